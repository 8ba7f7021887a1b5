"""Limits: exact costs, predictions and measurements against the worst values allowed."""

from __future__ import annotations

import random

import pytest

from nas.errors import ConfigError
from nas.objectives import get
from nas.study.config import StudyConfig
from nas.study.limits import (
    PREDICTION_MARGIN,
    check_limits,
    excesses,
    find_cheapest,
    find_violation,
    may_satisfy_limits,
    satisfies_limits,
)
from nas.study.operator_table import OperatorTable, operator_times, operators_to_time, time_features
from search_space import SearchSpace, cost

CHOICES = {"stages": [{"mixer": {"conv": {"k": [3, 5, 7]}, "pool": None}, "width": [8, 16, 32], "depth": [1, 2, 3]}]}
SPACE = SearchSpace.from_dict({**CHOICES, "image_size": 8})


def config(**limits: float) -> StudyConfig:
    return StudyConfig.model_validate({"space": CHOICES, "limits": limits, "objectives": ["accuracy", "images_per_s"]})


@pytest.mark.parametrize(
    ("values", "limits", "text"),
    [
        ({"macs": 5000}, {"macs": 4000}, "limit macs: 5000 > 4000"),
        ({"macs": 4000}, {"macs": 4000}, None),
        ({"images_per_s": 99.98765}, {"images_per_s": 100}, "limit images_per_s: 99.99 < 100"),
        ({"images_per_s": 100.0}, {"images_per_s": 100}, None),
        ({"params": 7}, {"macs": 1}, None),  # not known yet
        ({"params": 7, "macs": 9}, {"macs": 1, "params": 2}, "limit macs: 9 > 1"),  # the first limit of the study
    ],
)
def test_a_violation_is_described(values: dict[str, float], limits: dict[str, float], text: str | None) -> None:
    assert find_violation(values, limits) == text


def test_excesses_are_above_zero_where_a_limit_is_violated() -> None:
    values = {"macs": 5000.0, "images_per_s": 120.0, "params": 3.0}
    limits = {"macs": 4000.0, "images_per_s": 100.0, "latency_ms": 1.0}
    assert excesses(values, limits) == {"macs": 1000.0, "images_per_s": -20.0}


def test_exact_costs_of_architectures() -> None:
    costs = sorted(cost(architecture).macs for architecture in SPACE)
    satisfying = [one for one in SPACE if satisfies_limits(one, {"macs": costs[9], "images_per_s": 1e12})]
    assert len(satisfying) == sum(value <= costs[9] for value in costs)
    assert cost(find_cheapest(SPACE, "macs", 0)).macs == costs[0]


def test_predictions_have_a_margin() -> None:
    operators = operators_to_time(SPACE)
    seconds = [sum(time_features(operator)) * 1e-8 for operator in operators]
    table = OperatorTable(operator_times(operators, seconds), 16)
    rng = random.Random(0)
    for architecture in (SPACE.sample(rng) for _ in range(20)):
        predicted = table.predict(get("images_per_s"), architecture)
        for factor, expected in ((0.99 * PREDICTION_MARGIN, True), (1.01 * PREDICTION_MARGIN, False)):
            limits = {"images_per_s": factor * predicted}
            assert may_satisfy_limits(architecture, limits, {"images_per_s": table}) is expected
            assert may_satisfy_limits(architecture, limits, {})


def test_limits_that_no_architecture_satisfies_are_refused() -> None:
    cheapest = min(cost(architecture).macs for architecture in SPACE)
    check_limits(config(macs=cheapest, images_per_s=1e12), SPACE)
    with pytest.raises(ConfigError, match=rf"limits\.macs: no architecture .* the cheapest has {cheapest}, found 5"):
        check_limits(config(macs=5), SPACE)
