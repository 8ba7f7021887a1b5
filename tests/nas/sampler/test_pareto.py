"""`ParetoSampler` in ordinary Optuna studies: what it proposes, what it never proposes, and how it is used."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from nas.sampler import ParetoSampler
from search_space import SearchSpace, cost

SMALL = {"a": CategoricalDistribution(["x", "y", "z"]), "b": IntDistribution(1, 4)}


def test_first_points_are_of_lowest_highest_and_medium_cost(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0))
    study.optimize(cells.objective, n_trials=3)
    costs = [trial.values[1] for trial in study.trials]
    assert costs[0] == 1.0
    assert costs[1] == 46.0
    assert 1.0 < costs[2] < 46.0


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED])
def test_every_point_is_proposed_once_then_any(cells: Any, state: TrialState) -> None:
    study = cells.study(ParetoSampler(SMALL, {1: lambda params: float(params["b"])}, seed=1))
    for _ in range(12):
        trial = study.ask(SMALL)
        study.tell(trial, (0.5, 1.0) if state == TrialState.COMPLETE else None, state=state)
    assert len({cells.key(trial) for trial in study.trials}) == 12
    assert set(study.ask(SMALL).params) == {"a", "b"}


def test_parallel_trials_are_all_different_from_the_first_on(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0))
    running = [study.ask(cells.space) for _ in range(16)]
    for _ in range(24):
        trial = running.pop(0)
        study.tell(trial, (cells.accuracy(trial.params), cells.macs(trial.params)))
        running.append(study.ask(cells.space))
    assert len({cells.key(trial) for trial in study.trials}) == 40


def test_resumed_study_repeats_no_point(cells: Any, tmp_path: Any) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(
        storage=storage,
        study_name="s",
        directions=["maximize", "minimize"],
        sampler=ParetoSampler(cells.space, {1: cells.macs}),
    )
    study.optimize(cells.objective, n_trials=6)
    study.ask(cells.space)  # never finishes
    study.enqueue_trial(dict.fromkeys(cells.space, "conv1") | {"edge0": "none"})
    resumed = optuna.load_study(
        storage=storage, study_name="s", sampler=ParetoSampler(cells.space, {1: cells.macs}, seed=0)
    )
    resumed.optimize(cells.objective, n_trials=6)
    assert len({cells.key(trial) for trial in resumed.trials}) == 13


def test_same_seed_gives_the_same_proposals(cells: Any) -> None:
    runs = []
    for _ in range(2):
        study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=7))
        study.optimize(cells.objective, n_trials=8)
        runs.append([cells.key(trial) for trial in study.trials])
    assert runs[0] == runs[1]


def test_nan_failed_and_infinite_values_are_tolerated(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0))
    for number in range(15):
        trial = study.ask(cells.space)
        value = {4: math.inf, 7: -math.inf}.get(number, cells.accuracy(trial.params))
        if number == 1:
            with pytest.warns(UserWarning, match="nan is not acceptable"):
                study.tell(trial, (math.nan, cells.macs(trial.params)))
        else:
            study.tell(trial, (value, cells.macs(trial.params)))
    assert len({cells.key(trial) for trial in study.trials}) == 15
    assert study.trials[1].state == TrialState.FAIL


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_scale_and_direction_of_accuracy_do_not_matter(cells: Any, scale: float, direction: str) -> None:
    """The same architectures are proposed for accuracies of 0 to 1, for percents, and for errors."""

    def proposals(scale: float, direction: str) -> list[Any]:
        study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=3), direction, "minimize")
        for _ in range(9):
            trial = study.ask(cells.space)
            value = scale * (
                cells.accuracy(trial.params) if direction == "maximize" else 1 - cells.accuracy(trial.params)
            )
            study.tell(trial, (value, cells.macs(trial.params)))
        return [cells.key(trial) for trial in study.trials]

    assert proposals(scale, direction) == proposals(1.0, "maximize")


def test_parallel_trials_of_three_objectives(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0), "maximize", "minimize", "minimize")
    running = [study.ask(cells.space) for _ in range(6)]
    for _ in range(12):
        trial = running.pop(0)
        study.tell(
            trial, (cells.accuracy(trial.params), cells.macs(trial.params), 2.0 + len(set(trial.params.values())))
        )
        running.append(study.ask(cells.space))
    assert len({cells.key(trial) for trial in study.trials}) == 18


def test_study_in_which_every_training_was_stopped(cells: Any) -> None:
    study = cells.study(
        ParetoSampler(cells.space, {1: cells.macs}, budget=9, seed=0), "maximize", "minimize", "maximize"
    )
    for _ in range(8):
        trial = study.ask(cells.space)
        cells.report(study, trial, 1, cells.accuracy(trial.params))
        study.tell(trial, state=TrialState.PRUNED)
    assert len({cells.key(trial) for trial in study.trials}) == 8


def test_nothing_beyond_limits_or_infeasible_is_proposed(cells: Any) -> None:
    sampler = ParetoSampler(
        cells.space,
        {1: cells.macs},
        limits={1: 20.0},
        feasible=lambda p: p["edge0"] != "none",
        features=[lambda p: len(p)],
        seed=0,
    )
    study = cells.study(sampler)
    study.optimize(cells.objective, n_trials=25)
    assert max(trial.values[1] for trial in study.trials) <= 20.0
    assert all(trial.params["edge0"] != "none" for trial in study.trials)


def test_threads_share_a_sampler(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0))
    study.optimize(cells.objective, n_trials=16, n_jobs=4)
    assert len({cells.key(trial) for trial in study.trials}) == 16


def test_sampler_can_be_pickled_and_copied() -> None:
    sampler = ParetoSampler(SMALL, seed=0)
    study = optuna.create_study(direction="maximize", sampler=pickle.loads(pickle.dumps(sampler)))
    study.optimize(lambda t: float(t.suggest_int("b", 1, 4)), n_trials=2)
    copy.deepcopy(study.sampler)


def test_parameters_outside_the_space_are_drawn_at_random(cells: Any) -> None:
    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, seed=0))

    def objective_with_learning_rate(trial: optuna.Trial) -> tuple[float, float]:
        values = cells.objective(trial)
        assert 0 <= trial.suggest_float("lr", 0, 1) <= 1
        return values

    study.optimize(objective_with_learning_rate, n_trials=5)
    assert len({trial.params["lr"] for trial in study.trials}) == 5


def test_architectures_are_proposed_by_the_decisions_of_their_space(cells: Any) -> None:
    space = SearchSpace.from_dict(
        {
            "image_size": 16,
            "num_stages": [1, 2],
            "stem": {"patch": [2, 4]},
            "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}] * 2,
        }
    )
    sampler = ParetoSampler(
        space,
        {1: lambda a: cost(a).macs},
        features=[lambda a: cost(a).params],
        feasible=lambda a: cost(a).params < 20_000,
        seed=0,
    )
    study = cells.study(sampler)
    architectures = []
    for _ in range(20):
        trial = study.ask()
        architectures.append(space.suggest(trial))
        study.tell(trial, (1 - 1 / cost(architectures[-1]).params, cost(architectures[-1]).macs))
    assert len({architecture.id for architecture in architectures}) == 20
    assert all(cost(architecture).params < 20_000 for architecture in architectures)
    cheapest = min(cost(a).macs for a in space if cost(a).params < 20_000)
    assert cost(architectures[0]).macs == cheapest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cheap": {2: len}}, "must be indices, from 0, of the study's 2 objectives, found 2"),
        ({"cheap": {0: len, 1: len}}, r"at least one objective must need training, found all of \[0, 1\]"),
        ({"cheap": {1: len}, "primary": 1}, r"must be an objective that is not cheap, one of \[0\], found 1"),
        ({"limits": {-1: 3.0}}, "found -1"),
    ],
)
def test_wrong_use_is_refused(cells: Any, options: dict[str, Any], message: str) -> None:
    study = cells.study(ParetoSampler(cells.space, seed=0, **options))
    with pytest.raises(ValueError, match=message):
        study.ask(cells.space)
