"""What a user can say of the objectives besides their directions: a reference point, and that ratios matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from nas.sampler import ParetoSampler

SPACE = {f"width{i}": CategoricalDistribution([1, 2, 4, 8]) for i in range(4)} | {
    "act": CategoricalDistribution(["a", "b", "c"])
}
NUM_TRIALS = 25


def cost(params: dict[str, Any]) -> float:
    return float(sum(params[f"width{i}"] ** 2 for i in range(4)))


def loss(params: dict[str, Any]) -> float:
    """Between 1e-3 and 1: each width and the activation change it by a factor."""
    factor = {"a": 1.0, "b": 3.0, "c": 10.0}[params["act"]]
    return factor / math.prod(params[f"width{i}"] ** 0.6 for i in range(4)) / 10


def proposals(
    sampler: ParetoSampler, tell: Callable[[float], float], direction: str = "minimize"
) -> list[dict[str, Any]]:
    study = optuna.create_study(directions=[direction, "minimize"], sampler=sampler)
    for _ in range(NUM_TRIALS):
        trial = study.ask(SPACE)
        study.tell(trial, [tell(loss(trial.params)), cost(trial.params)])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_log_is_the_search_on_logarithms(direction: str, sign: int) -> None:
    """A positive value told with `log` and its logarithm told without give the same proposals, whatever the direction."""
    with_log = ParetoSampler(SPACE, cheap={1: cost}, log=[0], reference={0: 0.5**sign}, seed=3)
    without = ParetoSampler(SPACE, cheap={1: cost}, reference={0: sign * math.log(0.5)}, seed=3)
    by_value = proposals(with_log, lambda value: value**sign, direction)
    by_logarithm = proposals(without, lambda value: sign * math.log(value), direction)
    assert by_value == by_logarithm


def test_predictions_of_logarithmic_objectives_are_values() -> None:
    sampler = ParetoSampler(SPACE, cheap={1: cost}, log=[0], seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for _ in range(NUM_TRIALS):
        trial = study.ask(SPACE)
        last = sampler.prediction(trial.number)
        study.tell(trial, [loss(trial.params), cost(trial.params)])
    assert last is not None
    assert 0 < last.low <= last.median <= last.high
    assert last.median == pytest.approx(loss(trial.params), rel=0.5)


def test_values_without_logarithm_count_as_failures() -> None:
    """They end no search, and teach like other failures: here all of one activation."""
    sampler = ParetoSampler(SPACE, cheap={1: cost}, log=[0], seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for _ in range(40):
        trial = study.ask(SPACE)
        study.tell(trial, [-1.0 if trial.params["act"] == "a" else loss(trial.params), cost(trial.params)])
    failed = [trial.params["act"] == "a" for trial in study.trials]
    assert sum(failed[20:]) < 20 / 3  # a third of the points fail


def test_points_beyond_the_reference_of_a_cost_are_not_proposed() -> None:
    sampler = ParetoSampler(SPACE, cheap={1: cost}, reference={1: 60.0}, seed=1)
    proposed = proposals(sampler, lambda value: value)
    assert all(cost(params) <= 60 for params in proposed)


def test_reference_keeps_a_heavy_tail_from_deciding() -> None:
    """Below a reference of 1 the losses of cheap networks, up to 10^6, are worth nothing: the others are searched."""

    def tail(value: float) -> float:
        return value if value < 0.1 else math.exp(150 * min(value, 0.1))

    reference = 0.08
    inside = {}
    for told in ({}, {0: reference}):
        sampler = ParetoSampler(SPACE, cheap={1: cost}, reference=told, seed=2)
        inside[bool(told)] = sum(loss(params) < reference for params in proposals(sampler, tail))
    assert inside[True] > inside[False]


def test_largest_network_is_proposed_with_its_best_options() -> None:
    """The best network has the highest cost, which several options share: such points must count, too."""
    space = {f"size{i}": CategoricalDistribution([1, 2, 3, 4, 5]) for i in range(3)}
    space |= {f"option{i}": CategoricalDistribution(list("abcd")) for i in range(3)}

    def size(params: dict[str, Any]) -> float:
        return float(sum(params[f"size{i}"] for i in range(3)))

    sampler = ParetoSampler(space, cheap={1: size}, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(60):
        trial = study.ask(space)
        matches = sum(trial.params[f"option{i}"] == "d" for i in range(3))
        study.tell(trial, [0.5 + 0.02 * size(trial.params) + 0.05 * matches, size(trial.params)])
    best = max(study.trials, key=lambda trial: trial.values[0])
    assert best.values == [pytest.approx(0.95), 15]


def test_indices_of_no_objective_are_refused() -> None:
    for options in ({"log": [2]}, {"reference": {5: 1.0}}):
        sampler = ParetoSampler(SPACE, cheap={1: cost}, **options)  # type: ignore[arg-type]
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        with pytest.raises(
            ValueError, match=r"reference, log.*must be indices, from 0, of the study's 2 objectives, found"
        ):
            study.ask(SPACE)
