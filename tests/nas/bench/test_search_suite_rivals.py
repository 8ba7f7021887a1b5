"""Rivals of `tests/benchmarks/search_suite`: what they are told, and that they search."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from search_suite.catalogue import create_problem
from search_suite.rivals.forest import ForestSampler
from search_suite.rivals.rows import Data, RowSampler
from search_suite.space import Floats

from nas.analysis.front import Volume
from nas.sampler.registry import SamplerContext, SamplerObjective


class Probe(RowSampler):
    """Records what it is asked, and takes the first candidate."""

    def __init__(self, context: SamplerContext) -> None:
        super().__init__(context)
        self.asked: list[tuple[Data, Floats]] = []

    def choose(self, data: Data, candidates: Floats) -> int:
        self.asked.append((data, candidates))
        return 0


def test_a_rival_sees_losses_and_candidates_that_are_new() -> None:
    space = {
        "op": CategoricalDistribution(("a", "b", "c")),
        "size": CategoricalDistribution((64, 16, 32)),
        "on": CategoricalDistribution((False, True)),
        "rate": FloatDistribution(0.1, 10, log=True),
    }
    objectives = (
        SamplerObjective("acc", "maximize"),
        SamplerObjective("cost", "minimize", log=True, compute=lambda params: float(params["size"]), limit=40.0),
    )
    sampler = Probe(SamplerContext(space, objectives, feasible=lambda params: params["op"] != "c", seed=0))
    point = {"op": "b", "size": 32, "on": True, "rate": 1.0}
    row = sampler.space.row(point)
    np.testing.assert_allclose(sampler.encode(row[None]), [[0, 1, 0, 0.5, 1, 0.5]])
    np.testing.assert_allclose(sampler.cost_losses(row[None]), [[np.nan, math.log(32)]])
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(sampler.num_first + 1):
        trial = study.ask(space)
        assert trial.params["op"] != "c"
        assert trial.params["size"] <= 40
        study.tell(trial, [0.5 if trial.number else math.inf, trial.params["size"]])
    assert sampler.asked == []  # the infinite one does not count
    study.ask(space)
    ((data, candidates),) = sampler.asked
    assert data.losses.shape == (sampler.num_first, 2)
    assert set(data.losses[:, 0]) == {-0.5}
    assert not {row.tobytes() for row in candidates} & data.tried


def test_a_forest_with_exact_costs_finds_a_front() -> None:
    problem = create_problem("tiny", 0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=ForestSampler(problem.context(0)))
    volume = Volume(2)
    for _ in range(15):
        trial, point = problem.ask(study)
        study.tell(trial, problem.means(point).tolist())
        volume.add(problem.goal.unit(problem.means(point)[None])[0])
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 15
    assert volume.value / problem.goal.best > 0.95


RIVALS = {
    "botorch": lambda context: import_module("search_suite.rivals.gaussian_process").BotorchSampler(context),
    "pymoo": lambda context: import_module("search_suite.rivals.evolution").PymooSampler(context, "nsga2"),
    "syne_tune": lambda context: import_module("search_suite.rivals.syne_tune_evolution").SyneTuneSampler(context),
}


@pytest.mark.parametrize("library", RIVALS)
def test_rivals_of_other_libraries(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed (extra bench-rivals)")
    problem = create_problem("tiny", 0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=RIVALS[library](problem.context(0)))
    for _ in range(12):
        trial, point = problem.ask(study)
        study.tell(trial, problem.means(point).tolist())
    assert len({tuple(trial.params.values()) for trial in study.trials}) > 6
