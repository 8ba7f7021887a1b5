"""The statistics of `nas fidelity` against scipy's, on written-out resamples, and against simulations with known true values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some
from scipy import stats

from nas.analysis.statistics import (
    Correlation,
    Estimate,
    bootstrap_weights,
    column_means,
    keep_upper_half,
    kendall,
    leave_one_out_pairs,
    mean_correlation,
    pooled_deviation,
    row_pairs,
    spearman,
    to_plain_json,
)

ORACLES = {kendall: stats.kendalltau, spearman: stats.spearmanr}

samples = some.integers(3, 12).flatmap(
    lambda n: some.tuples(
        *(some.lists(some.integers(-3, 3), min_size=n, max_size=n) for _ in range(2)),
        some.lists(some.integers(0, n - 1), min_size=n, max_size=n),
    )
)


@pytest.mark.parametrize("correlation", [kendall, spearman])
@settings(max_examples=150)
@given(sample=samples)
def test_a_weighted_correlation_is_scipys_of_the_resample_written_out(
    correlation: Correlation, sample: tuple[list[int], list[int], list[int]]
) -> None:
    x, y = (np.array(values, np.float64) for values in sample[:2])
    rows_drawn = np.array(sample[2])
    weights = np.stack([np.ones(len(x)), np.bincount(rows_drawn, minlength=len(x)).astype(np.float64)])
    values = correlation(x, y, weights)
    for rows, value in zip((np.arange(len(x)), rows_drawn), values, strict=True):
        if len(set(x[rows])) == 1 or len(set(y[rows])) == 1:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(ORACLES[correlation](x[rows], y[rows]).statistic, abs=1e-9)


@settings(max_examples=100)
@given(sample=samples)
def test_the_upper_half_of_a_resample_is_that_of_its_copies_in_order(
    sample: tuple[list[int], list[int], list[int]],
) -> None:
    values, rows = np.array(sample[0], np.float64), np.array(sample[2])
    weights = np.bincount(rows, minlength=len(values)).astype(np.float64)[None, :]
    kept = keep_upper_half(values, weights)[0]
    copies = sorted(values[rows], reverse=True)[: math.ceil(len(rows) / 2)]
    assert sorted(np.repeat(values, kept.astype(int)), reverse=True) == copies
    assert np.all((kept >= 0) & (kept <= weights[0]))


def test_resamples_begin_with_the_sample_and_are_repeatable() -> None:
    weights = bootstrap_weights(50, 7, seed=1)
    assert weights.shape == (51, 7)
    assert weights[0].tolist() == [1] * 7
    assert set(weights.sum(axis=1)) == {7.0}
    assert np.array_equal(weights, bootstrap_weights(50, 7, seed=1))
    assert not np.array_equal(weights, bootstrap_weights(50, 7, seed=2))


def test_the_bootstrap_interval_is_scipys() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    estimate = Estimate.of(kendall(x, y, bootstrap_weights(4000, 40, seed=0)))
    interval = stats.bootstrap(
        (x, y), lambda a, b: stats.kendalltau(a, b).statistic, paired=True, vectorized=False, n_resamples=1000,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert estimate.value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high), abs=0.03)


def test_mean_correlation_is_over_the_seeds_that_have_one() -> None:
    reference = np.array([1.0, 2, 3, 4, 5])
    first, second = np.array([1.0, 3, 2, 4, 5]), np.array([5.0, np.nan, 3, 2, 1])
    ones = np.ones((1, 5))
    by_hand = (0.8 + -1.0) / 2
    assert mean_correlation([(first, reference), (second, reference)], ones, kendall)[0] == pytest.approx(by_hand)
    too_few = np.array([1.0, 2, np.nan, np.nan, np.nan])
    assert mean_correlation([(first, reference), (too_few, reference)], ones, kendall)[0] == pytest.approx(0.8)
    assert math.isnan(mean_correlation([(too_few, reference)], ones, kendall)[0])


def test_the_upper_half_alone() -> None:
    reference, proxy = np.array([1.0, 2, 3, 4, 5, 6]), np.array([6.0, 5, 4, 1, 2, 3])
    ones = np.ones((1, 6))
    assert mean_correlation([(proxy, reference)], ones, kendall, upper=True)[0] == pytest.approx(1.0)
    assert math.isnan(
        mean_correlation([(proxy[:4], reference[:4])], np.ones((1, 4)), kendall, upper=True)[0]
    )  # a pair is no ranking


def test_deviation_is_pooled_within_architectures_and_its_interval_covers() -> None:
    assert pooled_deviation(np.array([[1.0, 10.0], [3.0, 14.0]])).value == pytest.approx(math.sqrt((2 + 8) / 2))
    with_gap = np.array([[1.0, 10.0, 5.0], [3.0, np.nan, np.nan]])
    assert pooled_deviation(with_gap).value == pytest.approx(math.sqrt(2))
    assert math.isnan(pooled_deviation(np.array([[1.0, 2.0]])).value)
    rng = np.random.default_rng(0)
    estimates = [pooled_deviation(rng.normal(size=10) + rng.normal(scale=2.0, size=(3, 10))) for _ in range(1000)]
    covered = np.mean([estimate.low <= 2 <= estimate.high for estimate in estimates])
    assert covered == pytest.approx(0.95, abs=0.025)


def test_means_halves_and_couples() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan], [8.0, 6.0]])
    assert column_means(values).tolist() == [4.0, 4.0]
    assert math.isnan(column_means(np.full((2, 1), np.nan))[0])
    (row, others), *_ = leave_one_out_pairs(values)
    assert (row.tolist(), others.tolist()) == ([1.0, 2.0], [5.5, 6.0])
    assert len(leave_one_out_pairs(values)) == len(row_pairs(values)) == 3
    assert leave_one_out_pairs(values[:1]) == row_pairs(values[:1]) == []


def test_an_interval_that_most_resamples_lack_is_nan() -> None:
    nothing = math.nan
    assert math.isnan(Estimate.of(np.array([0.5, nothing, nothing, nothing, 0.5])).low)
    assert Estimate.of(np.array([0.5, nothing, nothing, 0.5, 0.5])).low == 0.5
    assert Estimate(0.5, nothing, 1.0).to_dict() == {"value": 0.5, "low": None, "high": 1.0}
    assert to_plain_json({"a": (math.inf, [Estimate(nothing, 0.0, 1.0)], "b")}) == {
        "a": [None, [{"value": None, "low": 0.0, "high": 1.0}], "b"]
    }
