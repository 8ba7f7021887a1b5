"""Warm-up and the confidence interval of a median."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from scipy.stats import binom

from trainers.measuring.timing import median_interval, warm_up


def test_warm_up_ends_when_a_pass_is_no_faster() -> None:
    seconds = iter([8.0, 4.0, 2.0, 1.0, 1.0, 0.5])
    warm_up(lambda: next(seconds))
    assert list(seconds) == [0.5]
    ever_faster = iter([2.0**-i for i in range(50)])
    warm_up(lambda: next(ever_faster))
    assert len(list(ever_faster)) == 40


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=200))
def test_the_interval_surrounds_the_median(values: list[float]) -> None:
    low, middle, high = median_interval(values)
    assert min(values) <= low <= middle <= high <= max(values)


@pytest.mark.parametrize("count", [8, 20, 50, 200])
def test_the_interval_covers_the_median_that_often(count: int) -> None:
    low, _, high = median_interval(list(range(count)))
    # The median of the distribution lies between the order statistics of ranks low + 1 and high + 1 unless fewer than
    # that lie below it: a binomial probability.
    covered = binom.cdf(int(high), count, 0.5) - binom.cdf(int(low), count, 0.5)
    assert 0.92 < covered < 0.995
