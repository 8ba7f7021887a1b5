"""Summaries of full trainings against values worked out by hand and by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas.analysis.retrained_summary import mean_interval, rank_correlation, summarise
from nas.study.retrained import RetrainedRun, run_name
from trainers.training.epoch import Epoch


def run_of(trial: int | None, seed: int, test_accuracy: float, digest: str = "ab" * 32) -> RetrainedRun:
    kind = "baseline" if trial is None else "trial"
    return RetrainedRun(
        name=run_name(kind, "resnet18" if trial is None else str(trial)),
        kind=kind,
        trial=trial,
        seed=seed,
        start="scratch",
        architecture_id=None,
        macs=None,
        params=10,
        recipe={},
        recipe_digest=digest,
        fingerprint="f00d",
        epochs=(Epoch(1, 1.0, 1.0, 0.5, 0.1, 1.0, 2.0).to_dict(),),
        val_accuracy=0.5,
        test_accuracy=test_accuracy,
        test_confusion=None,
        wall_s=2.0 + seed,
        device="cpu",
    )


def test_the_interval_is_that_of_student() -> None:
    values = [0.91, 0.93, 0.92, 0.96]
    estimate = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.93, low, high))
    assert mean_interval([0.5, 0.5]).to_dict() == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert mean_interval([0.5]).to_dict() == {"value": 0.5, "low": None, "high": None}


def test_runs_that_differ_in_their_seeds_are_one_row() -> None:
    runs = [run_of(4, 1, 0.8), run_of(None, 0, 0.7), run_of(4, 0, 0.9), run_of(4, 0, 0.6, "cd" * 32)]
    rows = summarise(runs, {4: 0.75}, {4: 1234.0})
    assert [(row.first.name, [run.seed for run in row.runs]) for row in rows] == [
        ("trial-4", [0, 1]),
        ("timm-resnet18", [0]),
        ("trial-4", [0]),
    ]
    assert (rows[0].test.value, rows[0].wall_s) == pytest.approx((0.85, 2.5))
    record = rows[1].to_dict()
    assert (record["proxy_accuracy"], record["images_per_s"], record["test_accuracy"]["value"]) == (None, None, 0.7)
    assert (rows[0].proxy_accuracy, rows[0].images_per_s) == (0.75, 1234.0)


def test_the_rank_correlation_is_that_of_trials_alone() -> None:
    accuracies = {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.8}
    runs = [run_of(number, 0, test) for number, test in enumerate((0.1, 0.3, 0.2, 0.4))]
    rows = summarise([*runs, run_of(None, 0, 0.99)], accuracies, {})
    tau = rank_correlation(rows)
    assert tau.value == pytest.approx(stats.kendalltau(list(accuracies.values()), [0.1, 0.3, 0.2, 0.4]).statistic)
    assert tau.low < tau.value <= tau.high <= 1
    assert math.isnan(rank_correlation(rows[:2]).value)
