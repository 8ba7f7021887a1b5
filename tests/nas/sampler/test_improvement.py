"""Warps and expected hypervolume improvement against quadrature, and against hypervolumes of simulated outcomes."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from nas.sampler.improvement import Costs, HypervolumeImprovement
from nas.sampler.warp import CostGoal, CostScale, LogErrorWarp, candidate_warps

UNIT = st.floats(0.01, 0.99)


@given(st.floats(-3, 3), st.floats(0.01, 1.0), st.floats(-5.0, 0.99))
def test_expected_improvement_equals_quadrature(mean: float, deviation: float, level: float) -> None:
    warp = LogErrorWarp(ceiling=1.0, unit=2.0)

    def gain(standard: float) -> float:
        y = float(warp.inverse(np.array(mean + deviation * standard)))
        return max(y - level, 0.0) * float(norm.pdf(standard))

    kink = (float(warp(np.array(level))) - mean) / deviation
    expected = quad(gain, min(max(kink, -9.0), 9.0), 9.0, epsabs=1e-12)[0]
    value = warp.expected_improvement(np.array(mean), np.array(deviation), np.array(level))
    assert float(value) == pytest.approx(expected, rel=1e-5, abs=1e-8)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_ceilings_are_above_all_and_warps_invert(values: list[float]) -> None:
    y = np.array(values)
    for warp in candidate_warps(y):
        assert warp.ceiling > y.max()
        assert warp.inverse(warp(y)) == pytest.approx(y, abs=1e-6)
        order = np.argsort(y, kind="stable")
        assert (np.diff(warp(y)[order]) >= 0).all()


@given(st.lists(st.floats(1e-3, 1e9), min_size=2, max_size=20, unique=True), st.sampled_from([1.0, -1.0]))
def test_cost_scale_rises_from_0_to_1_and_its_logarithm_inverts(values: list[float], sign: float) -> None:
    costs = sign * np.sort(np.array(values))[:: int(sign)]
    scale = CostScale.of(costs)
    scaled = scale(costs)
    assert scaled[0] == pytest.approx(0.0, abs=1e-9)
    assert scaled[-1] == pytest.approx(1.0)
    assert (np.diff(scaled) > -1e-12).all()
    assert scale.from_logarithmic(scale.logarithmic(costs)) == pytest.approx(costs, rel=1e-6)


def test_cost_scale_of_both_signs_is_linear_and_of_one_value_zero() -> None:
    costs = np.array([-1.0, 0.0, 3.0])
    assert CostScale.of(costs)(costs) == pytest.approx([0, 0.25, 1])
    assert CostScale.of(np.array([5.0, 5.0]))(np.array([5.0])) == pytest.approx([0])


def simulated_gain(
    costs: np.ndarray, y: np.ndarray, worst: float, ends: np.ndarray, at: np.ndarray, outcomes: np.ndarray
) -> float:
    """The mean gain of hypervolume, the reference (ends; worst), over `outcomes` of a candidate with costs `at`."""
    reference = [*ends, -worst]
    before = moocore.hypervolume(np.column_stack([costs, -y]), ref=reference)
    total = 0.0
    for outcome in outcomes:
        points = np.column_stack([np.vstack([costs, at]), -np.append(y, outcome)])
        total += moocore.hypervolume(points, ref=reference) - before
    return total / len(outcomes)


# With one cost the volumes are exact, the 400 outcomes are not; with more costs, 512 places approximate the box.
@pytest.mark.parametrize(("dimensions", "tolerance"), [(1, 0.002), (2, 0.004), (3, 0.008)])
@pytest.mark.parametrize("seed", range(4))
def test_expected_hypervolume_improvement_equals_simulation(dimensions: int, tolerance: float, seed: int) -> None:
    ends = np.array([1.0, 1.1, 1.0])[:dimensions] if seed % 2 else np.full(dimensions, 1.1)
    rng = np.random.default_rng(seed)
    costs, y = rng.random((8, dimensions)), rng.random(8)
    warp, worst = LogErrorWarp(1.5, 1.0), float(y.min())
    candidates = rng.random((5, dimensions)) * 0.6
    mean, deviation = rng.normal(0.2, 0.3, 5), np.full(5, 0.4)
    volume = float(np.prod(ends)) if dimensions > 1 else 1.0  # with places, volumes are shares of the box
    values = volume * HypervolumeImprovement(costs, y, worst, ends).expected(
        Costs.exact(candidates), mean, deviation, warp
    )
    shares = (np.arange(400) + 0.5) / 400
    for candidate, m, s, value in zip(candidates, mean, deviation, values, strict=True):
        outcomes = warp.inverse(norm.ppf(shares, m, s))
        assert value == pytest.approx(
            simulated_gain(costs, y, worst, ends, candidate, outcomes), rel=0.02, abs=tolerance
        )


def test_without_costs_it_is_the_expected_improvement_over_the_best() -> None:
    improvement = HypervolumeImprovement(np.zeros((3, 0)), np.array([0.1, 0.7, 0.3]), 0.1, np.zeros(0))
    warp = LogErrorWarp(2.0, 1.0)
    mean, deviation = np.array([0.0, 0.3]), np.array([0.2, 0.1])
    values = improvement.expected(Costs.exact(np.zeros((2, 0))), mean, deviation, warp)
    assert values == pytest.approx(warp.expected_improvement(mean, deviation, np.array(0.7)))


def test_certainly_dominated_candidate_improves_nothing() -> None:
    improvement = HypervolumeImprovement(np.array([[0.2], [0.6]]), np.array([0.5, 0.9]), 0.0, np.ones(1))
    warp = LogErrorWarp(2.0, 1.0)
    z = warp(np.array([0.4, 0.85]))
    values = improvement.expected(Costs.exact(np.array([[0.3], [0.7]])), z, np.full(2, 1e-4), warp)
    assert values == pytest.approx([0, 0], abs=1e-12)


def test_points_of_the_highest_cost_count_up_to_the_reference_of_that_cost() -> None:
    warp, mean, deviation = LogErrorWarp(2.0, 1.0), np.array([0.5]), np.array([0.3])
    front = np.array([[0.2], [1.0]]), np.array([0.1, 0.5]), 0.0
    at_end = [
        HypervolumeImprovement(*front, np.array([end])).expected(Costs.exact(np.ones((1, 1))), mean, deviation, warp)
        for end in (1.0, 1.1)
    ]
    assert at_end[0] == pytest.approx([0])
    gain = warp.expected_improvement(mean, deviation, np.array(0.5))
    assert at_end[1] == pytest.approx(0.1 * gain)


def test_values_worse_than_the_reference_do_not_count() -> None:
    warp, mean, deviation = LogErrorWarp(2.0, 1.0), np.array([0.0]), np.array([0.3])
    improvement = HypervolumeImprovement(np.array([[0.2]]), np.array([-50.0]), 0.3, np.array([1.1]))
    gain = warp.expected_improvement(mean, deviation, np.array(0.3))
    assert improvement.expected(Costs.exact(np.array([[0.5]])), mean, deviation, warp) == pytest.approx(0.6 * gain)


def test_cost_scale_ends_at_the_reference_or_at_a_limit_within() -> None:
    scale = CostScale(1.0, 100.0)
    assert scale.ending_at(CostGoal()) == scale
    assert scale.ending_at(CostGoal(limit=50.0)).high == 50
    assert scale.ending_at(CostGoal(limit=500.0)).high == 100
    assert scale.ending_at(CostGoal(limit=50.0, reference=200.0)).high == 200
    assert scale.ending_at(CostGoal(reference=0.5)).high == 100  # no point is better than this reference
    assert scale.ending_at(CostGoal(log=True))(np.array([10.0])) == pytest.approx([0.5])
