"""Trainings of different durations, known before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from nas.sampler import ParetoSampler
from nas.sampler.initial_points import LONGEST_DURATION

HUGE = {"width": IntDistribution(1, 64), "depth": IntDistribution(1, 16), "kernel": CategoricalDistribution([3, 5])}


@pytest.mark.parametrize("expected", [1, 4])
def test_trainings_are_shorter(cells: Any, expected: int) -> None:
    def spent(seed: int, **options: Any) -> float:
        sampler = ParetoSampler(cells.space, {1: cells.macs}, seed=seed, **options)
        study = cells.study(sampler)
        for _ in range(20):
            sampler.expect(expected)
            trial = study.ask()
            study.tell(trial, cells.objective(trial))
        return sum(trial.values[1] for trial in study.trials)

    assert sum(spent(seed, duration=cells.macs) for seed in range(3)) < 0.85 * sum(map(spent, range(3)))


def size(params: dict[str, Any]) -> float:
    return float(params["width"] ** 2 * params["depth"] * params["kernel"])


@pytest.mark.parametrize("duration", [size, lambda params: 1e-6 * size(params)], ids=["s", "us"])
def test_no_initial_point_takes_very_long(duration: Any) -> None:
    """The largest network takes 60 times as long as the median one."""

    def first(**options: Any) -> list[float]:
        sampler = ParetoSampler(HUGE, cheap={1: size}, seed=0, **options)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        return [size(study.ask(HUGE).params) for _ in range(4)]

    rng = np.random.default_rng(0)
    widths, depths, kernels = rng.integers(1, 65, 9_999), rng.integers(1, 17, 9_999), rng.choice([3, 5], 9_999)
    median = float(np.median(widths**2 * depths * kernels))
    assert max(first()) > 10 * median
    assert 0.5 * LONGEST_DURATION * median < max(first(duration=duration)) < 1.2 * LONGEST_DURATION * median


def test_a_unit_does_not_matter(cells: Any) -> None:
    def proposals(factor: float) -> list[dict[str, Any]]:
        sampler = ParetoSampler(
            cells.space, {1: cells.macs}, duration=lambda params: factor * cells.macs(params), seed=1
        )
        study = cells.study(sampler)
        study.optimize(cells.objective, n_trials=12)
        return [trial.params for trial in study.trials]

    assert proposals(1.0) == proposals(2.0**20)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_duration_must_be_above_0(cells: Any, value: float) -> None:
    sampler = ParetoSampler(cells.space, {1: cells.macs}, duration=lambda params: cells.macs(params) * value, seed=0)
    with pytest.raises(ValueError, match=r"duration: must be above 0, found"):
        cells.study(sampler).ask(cells.space)


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_an_unknown_duration_is_the_longest(cells: Any, unknown: float) -> None:
    """Networks without a known duration are trained, too, but not before others that are as good."""

    def duration(params: dict[str, Any]) -> float:
        return unknown if params["edge4"] == "conv3" else cells.macs(params)

    study = cells.study(ParetoSampler(cells.space, {1: cells.macs}, duration=duration, seed=0))
    study.optimize(cells.objective, n_trials=40)
    share = np.mean([trial.params["edge4"] == "conv3" for trial in study.trials])
    assert 0 < share < 0.5
