"""How many points there are before a model of results chooses them."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from nas.sampler import ParetoSampler
from nas.sampler.first_points import MAX_INITIAL_POINTS
from nas.sampler.initial_points import NUM_INITIAL_POINTS

BOX = {f"width{i}": CategoricalDistribution([1, 2, 3, 4]) for i in range(4)}  # 256 points


def size(params: dict[str, Any]) -> float:
    return float(sum(params[name] ** 2 for name in BOX))


def num_without_model(values: list[float], direction: str, **options: Any) -> int:
    """The number of proposals before the first by a model, where trainings give `values` one after another."""
    sampler = ParetoSampler(BOX, cheap={1: size}, seed=0, **options)
    study = optuna.create_study(directions=[direction, "minimize"], sampler=sampler)
    for number, value in enumerate(values):
        trial = study.ask(BOX)
        if sampler.prediction(number) is not None:
            return number
        study.tell(trial, (value, size(trial.params)))
    return len(values)


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1.0), ("minimize", -1.0)])
def test_there_are_more_initial_points_until_some_results_count(direction: str, sign: float) -> None:
    def number(values: list[float], **options: Any) -> int:
        return num_without_model([sign * value for value in values], direction, **options)

    bad, good = [0.1 + 0.01 * i for i in range(7)], [0.6, 0.8, 0.7]
    told: Any
    for told in ({"reference": {0: sign * 0.5}}, {"limits": {0: sign * 0.5}}):
        assert number(bad + good, **told) == 9  # when two of them count
        assert number(good + bad, **told) == NUM_INITIAL_POINTS
        assert number([0.1 + 0.01 * i for i in range(20)], **told) == MAX_INITIAL_POINTS
    assert number(bad + good) == NUM_INITIAL_POINTS  # everything counts
