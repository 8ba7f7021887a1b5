"""The retrained front: means and intervals over seeds, and the rank correlation with the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nas.analysis.retrained import proxy_correlation, retrained_models
from nas.study.retrained import RetrainedRun, run_name
from trainers.training.epoch import Epoch

IMAGES = "f00d"


def run_of(trial: int, val_accuracy: float, seed: int = 0, **changes: Any) -> RetrainedRun:
    """The record of a training of three epochs, of which the second was not validated."""
    values = [(0.5, 0.5), (None, None), (1.1, val_accuracy)]
    epochs = [Epoch(number, 1.0, *validated, 0.1, 1.5, 2.0) for number, validated in enumerate(values, start=1)]
    fields: dict[str, Any] = {
        "name": run_name("trial", str(trial), changes.get("start", "scratch")),
        "kind": "trial",
        "trial": trial,
        "seed": seed,
        "start": "scratch",
        "architecture_id": "0123456789ab",
        "macs": 1000 * (trial + 1),
        "params": 10,
        "recipe": {"epochs": 3},
        "recipe_digest": "ab" * 32,
        "fingerprint": IMAGES,
        "epochs": tuple(epoch.to_dict() for epoch in epochs),
        "val_accuracy": val_accuracy,
        "test_accuracy": val_accuracy - 0.1,
        "test_confusion": None,
        "wall_s": 4.0 + seed,
        "device": "cpu",
    }
    return RetrainedRun(**(fields | changes))


def seeds_of(trial: int, accuracies: Sequence[float]) -> list[RetrainedRun]:
    return [run_of(trial, accuracy, seed) for seed, accuracy in enumerate(accuracies)]


def test_runs_that_differ_in_their_seed_are_one_network() -> None:
    (model,) = retrained_models(seeds_of(3, (0.7, 0.9)), IMAGES)
    assert [run.seed for run in model.runs] == [0, 1]
    assert model.val.value == pytest.approx(0.8)
    assert model.test.value == pytest.approx(0.7)
    assert model.train_s == 4.5
    assert model.curve == [0.5, None, pytest.approx(0.8)]


def test_the_interval_of_one_network_is_students() -> None:
    values = (0.71, 0.74, 0.78, 0.69)
    (model,) = retrained_models(seeds_of(0, values), IMAGES)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (model.val.low, model.val.high) == pytest.approx(expected)


def test_the_deviation_is_pooled_over_the_networks_of_a_recipe() -> None:
    first, second, third = retrained_models(
        [*seeds_of(0, (0.7, 0.72)), *seeds_of(1, (0.8, 0.84)), *seeds_of(2, (0.9,))], IMAGES
    )
    deviation = math.sqrt((0.01**2 * 2 + 0.02**2 * 2) / 2)
    for model, count in ((first, 2), (second, 2), (third, 1)):
        assert model.val.high - model.val.value == pytest.approx(stats.t.ppf(0.975, 2) * deviation / math.sqrt(count))


def test_an_interval_of_an_accuracy_ends_at_one() -> None:
    (model,) = retrained_models(seeds_of(0, (0.9, 1.0)), IMAGES)
    assert model.val.high == 1.0
    assert model.val.low < 0.9


def test_without_a_second_seed_there_is_no_interval() -> None:
    (model,) = retrained_models([run_of(0, 0.7)], IMAGES)
    assert model.val.value == 0.7
    assert math.isnan(model.val.low)
    assert model.to_dict()["val"] == {"value": 0.7, "low": None, "high": None}


def test_other_images_and_other_recipes_are_apart() -> None:
    runs = [run_of(0, 0.7), run_of(0, 0.9, recipe_digest="cd" * 32), run_of(1, 0.8, fingerprint="other")]
    models = retrained_models(runs, IMAGES)
    assert [(model.first.recipe_digest[:2], model.val.value) for model in models] == [("ab", 0.7), ("cd", 0.9)]


def test_the_rank_correlation_is_that_of_the_trials_from_scratch() -> None:
    search = {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.8, 4: math.nan, 5: 0.4, 6: 0.3}
    full = (0.6, 0.9, 0.8, 0.95, 0.1, 0.5, 0.55)
    runs = [run_of(trial, accuracy) for trial, accuracy in enumerate(full)]
    runs += [run_of(0, 0.99, start="trial"), run_of(9, 0.2)]
    estimate = proxy_correlation(retrained_models(runs, IMAGES), search)
    assert estimate is not None
    assert estimate.value == pytest.approx(
        stats.kendalltau([0.5, 0.6, 0.7, 0.8, 0.4, 0.3], full[:4] + full[5:]).statistic
    )
    assert estimate.low <= estimate.value <= estimate.high


def test_few_trials_have_a_rank_correlation_without_an_interval() -> None:
    models = retrained_models([run_of(0, 0.7), run_of(1, 0.9), run_of(2, 0.8)], IMAGES)
    estimate = proxy_correlation(models, {0: 0.5, 1: 0.6, 2: 0.7})
    assert estimate is not None
    assert estimate.value == pytest.approx(1 / 3)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_two_trials_are_too_few_for_a_rank_correlation() -> None:
    models = retrained_models([run_of(0, 0.7), run_of(1, 0.8)], IMAGES)
    assert proxy_correlation(models, {0: 0.5, 1: 0.6}) is None
    assert proxy_correlation((), {}) is None
