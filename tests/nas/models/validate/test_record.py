"""The numbers of a validation, against sums written out by hand and other packages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from nas.models.validate import Calibration
from nas.models.validate.record import wilson_interval


def test_calibration_by_hand() -> None:
    confidences = np.array([0.9, 0.8, 0.95, 0.3])
    correct = np.array([True, False, True, False])
    found = Calibration.of(confidences, correct, bins=2)
    assert found.counts == (1, 3)
    assert found.accuracies == pytest.approx((0.0, 2 / 3))
    assert found.confidences == pytest.approx((0.3, 2.65 / 3))
    assert found.ece == pytest.approx((1 * 0.3 + 3 * abs(2 / 3 - 2.65 / 3)) / 4)


def test_a_bin_holds_its_upper_end() -> None:
    found = Calibration.of(np.array([0.0, 0.5, 0.51, 1.0]), np.ones(4, bool), bins=2)
    assert found.counts == (2, 2)


def test_an_empty_bin_is_not_known() -> None:
    found = Calibration.of(np.array([0.9]), np.array([True]), bins=4)
    assert math.isnan(found.accuracies[0])
    assert found.to_dict()["accuracies"] == [None, None, None, 1.0]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_the_error_is_between_nothing_and_one_and_no_image_is_lost(rows: list[tuple[float, bool]]) -> None:
    confidences, correct = np.array([c for c, _ in rows]), np.array([b for _, b in rows])
    found = Calibration.of(confidences, correct)
    assert sum(found.counts) == len(rows)
    assert abs(correct.mean() - confidences.mean()) - 1e-9 <= found.ece <= 1


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (7, 10), (10, 10), (950, 1000)])
def test_the_interval_is_wilsons(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)
