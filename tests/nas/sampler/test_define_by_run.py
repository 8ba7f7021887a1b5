"""`ParetoSampler()` without a search space: the trials show which parameters there are, and when a trial has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nas.sampler import ParetoSampler
from nas.sampler.conditions import ALWAYS, learn_conditions
from nas.sampler.observed_space import ObservedSpace, merge
from nas.sampler.parameter_domain import ParameterDomain
from nas.sampler.parameters import ABSENT_LEVEL as NONE


def key(trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    return tuple(sorted(trial.params.items()))


def conditional(trial: optuna.Trial) -> float:
    """The best value is 0, at kind "b", depth 3, width_2 0.7 and the other widths 0.3."""
    if trial.suggest_categorical("kind", ["a", "b", "c"]) != "b":
        return 2.0 + abs(trial.suggest_float("rate", 1e-4, 1.0, log=True) - 0.01)
    depth = trial.suggest_int("depth", 1, 4)
    widths = [trial.suggest_float(f"width_{i}", 0.0, 1.0) for i in range(depth)]
    return abs(depth - 3) + sum((width - (0.7 if i == 2 else 0.3)) ** 2 for i, width in enumerate(widths))


def test_conditional_parameters_are_searched_together() -> None:
    """Multivariate TPE with groups reached 0.005, 0.012 and 0.008 with these seeds, random search 0.08, 1.02 and 0.11."""
    best = []
    for seed in range(3):
        study = optuna.create_study(sampler=ParetoSampler(seed=seed))
        study.optimize(conditional, n_trials=60)
        best.append(study.best_value)
    assert max(best) < 0.003


def test_conditions_are_learned_from_the_parameters_of_trials() -> None:
    rows = [(1, 2, 5), (0, NONE, NONE), (1, 0, NONE), (0, NONE, NONE), (1, 3, 0), (1, 1, NONE)]
    conditions = learn_conditions(rows, ordered=(False, True, True))
    assert all(conditions.agrees(row) for row in rows)
    assert not conditions.is_active(1, (0, NONE, NONE))
    assert [conditions.is_active(2, (1, depth, NONE)) for depth in range(5)] == [False, False, True, True, True]
    assert not conditions.agrees((0, 1, NONE))
    assert learn_conditions([(0, 1), (1, 0)], ordered=(True, True)) == ALWAYS


def test_parameter_that_was_added_to_the_objective_is_in_every_point() -> None:
    rows = [(i % 3, NONE) for i in range(20)] + [(i % 3, i) for i in range(3)]
    assert learn_conditions(rows, ordered=(False, True)) == ALWAYS
    study = optuna.create_study(directions=["minimize"], sampler=ParetoSampler(seed=0))
    study.optimize(lambda t: float(t.suggest_int("k", 1, 5)), n_trials=5)
    study.optimize(lambda t: t.suggest_int("k", 1, 5) + (t.suggest_float("x", 0, 1) - 0.3) ** 2, n_trials=25)
    assert study.best_value < 1.002


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("max_depth", "kernels"), [(2, (3, 5, 7)), (6, None)])
def test_points_that_an_edited_objective_no_longer_asks_for_are_proposed_once(
    seed: int, max_depth: int, kernels: Sequence[int] | None
) -> None:
    def objective(
        trial: optuna.Trial, max_depth: int = 6, kernels: Sequence[int] | None = (3, 5, 7)
    ) -> tuple[float, float]:
        width, depth = trial.suggest_int("width", 8, 64), trial.suggest_int("depth", 1, max_depth)
        kernel = trial.suggest_categorical("kernel", kernels) if kernels else 3
        return 1 / width + 0.3 / depth + 0.01 * kernel, width**2 * depth

    sampler = ParetoSampler(cheap={1: lambda params: params["width"] ** 2 * params["depth"]}, seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(objective, n_trials=30)
    study.optimize(lambda trial: objective(trial, max_depth, kernels), n_trials=30)
    assert (
        len(set(map(key, study.trials[30:]))) >= 22
    )  # values out of range are replaced by random ones: these may repeat


def test_domain_under_conditions_has_each_point_once() -> None:
    space: dict[str, BaseDistribution] = {
        "kind": CategoricalDistribution(["a", "b"]),
        "k": IntDistribution(1, 3),
        "only": CategoricalDistribution([7]),
    }
    rows = [(1, 0, NONE), (0, NONE, 0), (1, 2, NONE), (0, NONE, 0)]
    domain = ParameterDomain(space, learn_conditions(rows, ordered=(False, True, False)))
    points = [domain.to_params(point) for point in domain.points()]
    assert points == [{"kind": "a", "only": 7}, *({"kind": "b", "k": k} for k in (1, 2, 3))]
    rng = np.random.default_rng(0)
    a, b = domain.sample(rng), domain.sample(rng)
    for _ in range(20):
        for point in (domain.sample(rng), domain.mutate(a, rng), domain.crossover(a, b, rng)):
            assert domain.to_params(point) in points
    assert domain.complete({"kind": "b"}, rng) in list(domain.points())
    assert domain.complete({"kind": "a"}, rng) == (0, NONE, 0)


def test_no_duplicates_among_optional_parameters_of_a_declared_space() -> None:
    space = {
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "k": CategoricalDistribution([3, 5, 7]),
        "depth": IntDistribution(1, 5),
    }

    def objective(trial: optuna.Trial) -> float:
        depth = trial.suggest_int("depth", 1, 5)
        if trial.suggest_categorical("kind", ["a", "b", "c"]) == "a":
            return depth - trial.suggest_categorical("k", [3, 5, 7])
        return float(depth)

    study = optuna.create_study(sampler=ParetoSampler(space, seed=0))
    study.optimize(objective, n_trials=24)
    assert len({key(trial) for trial in study.trials}) >= 23  # of 25; what is optional shows at the first that lacks it


def test_floats_are_not_on_a_grid() -> None:
    space = {"x": FloatDistribution(-5.0, 5.0), "y": FloatDistribution(1e-4, 1.0, log=True)}
    study = optuna.create_study(sampler=ParetoSampler(space, seed=0))

    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -5.0, 5.0), trial.suggest_float("y", 1e-4, 1.0, log=True)
        return (x - 1.2345) ** 2 + math.log10(y / 0.0321) ** 2

    study.optimize(objective, n_trials=40)
    assert len({trial.params["x"] for trial in study.trials}) > 20
    assert study.best_value < 0.01  # the best of a grid of 32 levels has 0.014


def test_two_equal_ends_are_one_value() -> None:
    space = {"x": FloatDistribution(2.0, 2.0), "k": IntDistribution(1, 30)}
    study = optuna.create_study(sampler=ParetoSampler(space, seed=0))
    for _ in range(30):
        trial = study.ask(space)
        study.tell(trial, (trial.params["k"] - 20) ** 2)
    assert len({trial.params["k"] for trial in study.trials}) == 30


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (FloatDistribution(0, 1), FloatDistribution(-1, 0.5), FloatDistribution(-1, 1)),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(0, 2, step=0.5), FloatDistribution(0, 2, step=0.5)),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(0, 1), FloatDistribution(0, 1)),
        (IntDistribution(2, 8, step=2), IntDistribution(4, 16, step=4), IntDistribution(2, 16, step=2)),
        (IntDistribution(2, 8, step=2), IntDistribution(1, 9, step=2), IntDistribution(1, 9)),
        (IntDistribution(1, 8, log=True), IntDistribution(4, 16, log=True), IntDistribution(1, 16, log=True)),
        (IntDistribution(1, 8), FloatDistribution(0, 1), FloatDistribution(0, 1)),
        (CategoricalDistribution([1]), IntDistribution(0, 1), IntDistribution(0, 1)),
    ],
)
def test_union_of_the_ranges_of_two_trials(
    first: BaseDistribution, second: BaseDistribution, merged: BaseDistribution
) -> None:
    assert merge(first, second) == merged


def test_a_space_that_does_not_change_keeps_its_domain() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(conditional, n_trials=40)
    space = ObservedSpace(None)
    assert space.domain is None
    space.read(study.trials)
    domain = space.domain
    assert domain is not None
    assert set(domain.names) == {"kind", "rate", "depth", "width_0", "width_1", "width_2", "width_3"}
    space.read(study.trials)
    assert space.domain is domain


def test_states_and_enqueued_trials_of_a_resumed_study(tmp_path: Any) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        k = trial.suggest_int("k", 1, 20)
        if trial.number % 5 == 2:
            raise optuna.TrialPruned
        if trial.number % 5 == 3:
            raise RuntimeError
        kind = trial.suggest_categorical("kind", ["a", "b", "c"])
        return k * (1.0 + (kind == "b")), float(k)

    for _ in range(2):
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name="s",
            load_if_exists=True,
            directions=["maximize", "minimize"],
            sampler=ParetoSampler(cheap={1: lambda params: params["k"]}, seed=0),
        )
        study.ask().suggest_int("k", 1, 20)  # never ends
        study.enqueue_trial({"kind": "c"})
        study.optimize(objective, n_trials=12, catch=RuntimeError)
    complete = [key(trial) for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert len(complete) > 10
    assert len(set(complete)) == len(complete)


@pytest.mark.parametrize("directions", [["minimize"], ["maximize"] * 2, ["minimize", "maximize", "minimize"]])
def test_any_number_of_objectives_none_of_them_cheap(directions: list[str]) -> None:
    study = optuna.create_study(directions=directions, sampler=ParetoSampler(seed=0))

    def objective(trial: optuna.Trial) -> list[float]:
        x, k = trial.suggest_float("x", 0.0, 1.0), trial.suggest_int("k", 1, 5)
        kind = trial.suggest_categorical("kind", [None, "a", True])
        return [x * k, k - x, (kind == "a") + x][: len(directions)]

    study.optimize(objective, n_trials=25)
    assert len({key(trial) for trial in study.trials}) == 25
    extreme = (min if directions[0] == "minimize" else max)(trial.values[0] for trial in study.trials)
    assert extreme == pytest.approx(0.0 if directions[0] == "minimize" else 5.0, abs=0.1)
