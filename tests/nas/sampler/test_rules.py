"""What must not be proposed: points that fail, are infinite, or break limits, constraints and the user's own rule."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nas.sampler import ParetoSampler
from nas.sampler.engine import CLIMBING_POINTS, MAX_CLIMBS
from nas.sampler.parameter_domain import NUM_RANGE_NEIGHBOURS

BOX = {
    "mixer": CategoricalDistribution(["conv", "pool", "attention"]),
    "width": IntDistribution(1, 12),
    "depth": IntDistribution(1, 6),
    "kernel": CategoricalDistribution([3, 5, 7]),
}
DIRECTIONS = ["maximize", "minimize"]


def cost(params: dict[str, Any]) -> float:
    return float(params["width"] ** 2 * params["depth"] * params["kernel"])


def accuracy(params: dict[str, Any]) -> float:
    return 1 - cost(params) ** -0.2 + 0.05 * (params["mixer"] == "pool")


def create_study(**options: Any) -> optuna.Study:
    return optuna.create_study(directions=DIRECTIONS, sampler=ParetoSampler(BOX, {1: cost}, **{"seed": 0, **options}))


def is_expensive(params: dict[str, Any]) -> bool:
    return cost(params) > 1500  # 15 % of the space


def is_attention(params: dict[str, Any]) -> bool:
    return bool(params["mixer"] == "attention")


@pytest.mark.parametrize("fails", [is_expensive, is_attention])
@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.COMPLETE])
def test_failures_teach_without_an_attribute(fails: Callable[[dict[str, Any]], bool], state: TrialState) -> None:
    study = create_study()
    failures = []
    for _ in range(50):
        trial = study.ask(BOX)
        failures.append(fails(trial.params))
        if not failures[-1]:
            study.tell(trial, [accuracy(trial.params), cost(trial.params)])
        elif state == TrialState.FAIL:
            study.tell(trial, state=state)
        else:
            study.tell(trial, [-math.inf, cost(trial.params)])
    assert sum(failures) <= 12
    assert sum(failures[25:]) <= 5  # near the limit of what can be trained, where the best points are


def test_failures_before_all_parameters_are_suggested_teach() -> None:
    def objective(trial: optuna.Trial) -> float:
        mixer = trial.suggest_categorical("mixer", ["conv", "pool", "attention", "lambda"])
        if mixer == "attention":
            raise RuntimeError
        return trial.suggest_int("width", 1, 12) * trial.suggest_float("x", 0.0, 1.0) - (mixer == "pool")

    study = optuna.create_study(sampler=ParetoSampler(seed=1))
    study.optimize(objective, n_trials=50, catch=RuntimeError)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials[10:]) <= 4
    assert study.best_value == pytest.approx(-1.0, abs=0.05)


def test_constraints_are_learned() -> None:
    study = create_study()
    violations = []
    for _ in range(40):
        trial = study.ask(BOX)
        trial.set_constraint("memory", cost(trial.params) - 800)
        violations.append(cost(trial.params) > 800)
        study.tell(trial, [accuracy(trial.params), cost(trial.params)])
    assert sum(violations[20:]) <= 6
    feasible = [trial for trial in study.trials if trial.constraints["memory"] <= 0]
    assert max(trial.values[0] for trial in feasible) > 1 - 800**-0.2


def test_constraints_of_another_sampler_are_read() -> None:
    study = create_study()
    with pytest.warns((FutureWarning, optuna.exceptions.ExperimentalWarning)):
        other = optuna.samplers.NSGAIISampler(
            seed=0, constraints_func=lambda trial: [1.0 if trial.params["mixer"] == "pool" else -1.0]
        )
    ours, study.sampler = study.sampler, other
    for number in range(50):
        study.sampler = other if number < 25 else ours
        trial = study.ask(BOX)
        study.tell(trial, [accuracy(trial.params), cost(trial.params)])
    pools = [trial.params["mixer"] == "pool" for trial in study.trials]
    assert sum(pools[:25]) > 3
    assert sum(pools[25:]) <= 3  # though it is the best of the mixers


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_points_without_a_finite_cost_are_not_proposed(value: float) -> None:
    def cost_of_some(params: dict[str, Any]) -> float:
        return value if is_attention(params) else cost(params)

    study = optuna.create_study(
        directions=DIRECTIONS, sampler=ParetoSampler(BOX, {1: cost_of_some}, features=[cost_of_some], seed=0)
    )
    for _ in range(25):
        trial = study.ask(BOX)
        assert not is_attention(trial.params)
        study.tell(trial, [accuracy(trial.params), cost(trial.params)])


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("nas.")]


@pytest.mark.parametrize(
    "options",
    [{"feasible": lambda params: False}, {"limits": {1: 0.5}}, {"features": [], "feasible": lambda p: p["width"] > 12}],
)
def test_a_rule_that_no_point_keeps_is_said_once(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    study = create_study(**options)
    with caplog.at_level(logging.WARNING, "nas.sampler"):
        for _ in range(4):
            study.ask(BOX)
    assert warnings_of(caplog) == [
        "limits, feasible, cheap: no point was found that keeps the limits, is feasible and has finite costs; "
        "random points are proposed"
    ]


def test_once_all_feasible_points_were_tried_they_are_proposed_again(caplog: pytest.LogCaptureFixture) -> None:
    study = create_study(feasible=lambda params: params["mixer"] == "pool" and params["width"] == 2)
    with caplog.at_level(logging.WARNING, "nas.sampler"):
        for _ in range(22):
            trial = study.ask(BOX)
            assert (trial.params["mixer"], trial.params["width"]) == ("pool", 2)
            study.tell(trial, [accuracy(trial.params), cost(trial.params)])
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 18
    assert warnings_of(caplog) == [
        "all points that were found and may be proposed were tried; random points are proposed"
    ]


def test_the_cheapest_of_a_tie_is_not_always_the_first() -> None:
    firsts = {create_study(seed=seed).ask(BOX).params["mixer"] for seed in range(12)}
    assert firsts == {"conv", "pool", "attention"}


def test_functions_are_called_once_a_point() -> None:
    calls: dict[tuple[Any, ...], int] = {}

    def counted(params: dict[str, Any]) -> float:
        key = tuple(params.values())
        calls[key] = calls.get(key, 0) + 1
        return float(sum(params.values()))

    space = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(4)} | {"k": IntDistribution(1, 10)}
    random = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(directions=DIRECTIONS, sampler=random)
    for _ in range(1000):
        trial = study.ask(space)
        study.tell(trial, [1 - 1 / sum(trial.params.values()), sum(trial.params.values())])
    study.sampler = ParetoSampler(space, {1: counted}, features=[counted], seed=0)
    study.ask(space)
    first = len(calls)
    assert (
        first < 3600
    )  # 1,000 random points, 800 steps to the ends of costs, 400 trials, and the candidates of a proposal
    for _ in range(3):
        study.ask(space)
    assert len(calls) - first <= 3 * (2 * 64 + MAX_CLIMBS * CLIMBING_POINTS * (4 * NUM_RANGE_NEIGHBOURS + 9))
    assert max(calls.values()) == 1
