"""What `ParetoSampler` expects of its proposals: in the objective's units, and without a change of any proposal."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from nas.sampler import ParetoSampler
from nas.sampler.initial_points import NUM_INITIAL_POINTS
from nas.sampler.prediction import INTERVAL_PROBABILITY, PredictingSampler


def sampler_of(cells: Any, **options: Any) -> ParetoSampler:
    return ParetoSampler(cells.space, {1: cells.macs}, seed=4, **options)


def run(cells: Any, sampler: ParetoSampler, trials: int, sign: float = 1.0) -> list[tuple[Any, float]]:
    """The prediction and the value of each trial."""
    study = cells.study(sampler, "maximize" if sign > 0 else "minimize", "minimize")
    noise = np.random.default_rng(0).normal(0, 0.01, trials)
    pairs = []
    for number in range(trials):
        trial = study.ask(cells.space)
        value = sign * (cells.accuracy(trial.params) + noise[number])
        pairs.append((sampler.prediction(number), value))
        study.tell(trial, (value, cells.macs(trial.params)))
        assert sampler.prediction(number) is None  # forgotten with its plan
    return pairs


def test_predictions_are_in_the_units_and_direction_of_the_objective(cells: Any) -> None:
    upward = run(cells, sampler_of(cells), 40)
    downward = run(cells, sampler_of(cells), 40, sign=-1.0)
    assert [prediction is None for prediction, _ in upward[:NUM_INITIAL_POINTS]] == [True] * NUM_INITIAL_POINTS
    for (up, _), (down, _) in zip(upward[NUM_INITIAL_POINTS:], downward[NUM_INITIAL_POINTS:], strict=True):
        assert up.low < up.median < up.high
        assert down.objective == up.objective == 0
        assert down.to_list() == pytest.approx([-up.median, -up.high, -up.low], abs=1e-6)


def test_predictions_follow_the_results_of_three_searches(cells: Any) -> None:
    correlations, covered = [], []
    for seed in range(3):
        pairs = run(cells, ParetoSampler(cells.space, {1: cells.macs}, seed=seed), 40)[10:]
        correlations.append(np.corrcoef([prediction.median for prediction, _ in pairs], [value for _, value in pairs]))
        covered += [prediction.low <= value <= prediction.high for prediction, value in pairs]
    assert np.mean(correlations, axis=0)[0, 1] > 0.6
    assert abs(np.mean(covered) - INTERVAL_PROBABILITY) < 0.2


def test_the_interval_is_symmetric_in_the_ratio_of_errors_below_a_ceiling(cells: Any) -> None:
    """`ceiling - y` is log-normal: with the ceiling that makes low, median and high a geometric row, it is above all values."""
    sampler = sampler_of(cells)
    study = cells.study(sampler)
    values = []
    for _ in range(12):
        trial = study.ask(cells.space)
        values.append(cells.accuracy(trial.params))
        study.tell(trial, (values[-1], cells.macs(trial.params)))
    median, low, high = sampler.prediction(study.ask(cells.space).number).to_list()
    ceiling = (median**2 - low * high) / (2 * median - low - high)
    assert ceiling > max(values)
    assert (ceiling - low) / (ceiling - median) == pytest.approx((ceiling - median) / (ceiling - high))


def test_enqueued_trials_have_none_and_other_samplers_do_not_predict(cells: Any) -> None:
    sampler = sampler_of(cells)
    study = cells.study(sampler)
    for _ in range(5):
        trial = study.ask(cells.space)
        study.tell(trial, (cells.accuracy(trial.params), cells.macs(trial.params)))
    study.enqueue_trial(cells.all_params()[77])
    assert sampler.prediction(study.ask(cells.space).number) is None
    assert isinstance(sampler, PredictingSampler)
    assert not isinstance(optuna.samplers.RandomSampler(), PredictingSampler)
