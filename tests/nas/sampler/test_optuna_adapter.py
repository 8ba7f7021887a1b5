"""Each undocumented part of Optuna that the samplers rely on still works as they assume."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampler.optuna_adapter import contains, enqueued_params


@pytest.mark.parametrize(
    ("distribution", "value", "expected"),
    [
        (CategoricalDistribution(["conv", "pool"]), "pool", True),
        (CategoricalDistribution(["conv", "pool"]), "attention", False),
        (IntDistribution(2, 8, step=2), 4, True),
        (IntDistribution(2, 8, step=2), 5, False),
        (IntDistribution(2, 8, step=2), 10, False),
        (FloatDistribution(0.1, 1.0), 0.5, True),
        (FloatDistribution(0.1, 1.0), 0.05, False),
    ],
)
def test_distribution_contains(distribution: BaseDistribution, value: Any, expected: bool) -> None:
    assert contains(distribution, value) is expected


def test_fixed_params_of_an_enqueued_trial() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"k": 3})
    (waiting,) = study.get_trials()
    assert (waiting.params, enqueued_params(waiting)) == ({}, {"k": 3})
    study.ask()
    study.ask()
    enqueued, sampled = study.get_trials()
    assert enqueued_params(enqueued) == {"k": 3}
    assert enqueued_params(sampled) == {}
