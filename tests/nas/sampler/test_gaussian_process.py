"""The Gaussian process against formulas written out naively, and its gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nas.sampler.bit_encoding import DecisionLevels, encode_decisions
from nas.sampler.candidate_covariance import CandidateCovariance
from nas.sampler.features import Features
from nas.sampler.gaussian_process import (
    DIAGONAL_JITTER,
    Floats,
    GaussianProcess,
    cholesky_with_jitter,
)
from nas.sampler.kernel import COMMON_WEIGHT_SD, CONSTANT_VARIANCE, PointPairs

_, ENCODING = encode_decisions([DecisionLevels(count, ordered=False, names="abc"[:count]) for count in (3, 2, 2)])


def features(n: int, seed: int, stopped: bool = False) -> Features:
    """Three categorical decisions of 3, 2 and 2 choices, two smooth features that are linear ones too, and a count."""
    rng = np.random.default_rng(seed)
    choices = [np.eye(count)[rng.integers(count, size=n)] for count in (3, 2, 2)]
    linear = rng.normal(size=(n, 3))
    shortfall = rng.choice([0.0, 0.5, 1.0], n) if stopped else np.zeros(n)
    return Features(np.concatenate(choices, 1), linear, linear[:, :2], shortfall)


def model() -> GaussianProcess:
    gp = GaussianProcess(ENCODING, num_linear=3, num_smooth=2)
    gp.theta = gp.prior_mean + np.random.default_rng(3).normal(size=len(gp.theta)) * 0.5
    return gp


def naive_covariance(gp: GaussianProcess, a: Features, b: Features) -> Floats:
    bits, linear, smooth, short = np.exp(gp.theta[:4])
    ranges, weights = np.exp(gp.theta[5:7]), np.exp(gp.theta[7:])
    table = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            groups = [g == ENCODING.decision for g in range(3)]
            differ = [not np.array_equal(a.bits[i, own], b.bits[j, own]) for own in groups]
            alike = np.exp(-sum(w for w, d in zip(weights, differ, strict=True) if d))
            near = np.exp(-0.5 * sum(((a.smooth[i] - b.smooth[j]) / ranges) ** 2))
            table[i, j] = CONSTANT_VARIANCE + bits * alike + linear * (a.linear[i] @ b.linear[j]) / 3 + smooth * near
            table[i, j] += short * a.shortfall[i] * b.shortfall[j] * (1 + alike)
    return table


@pytest.mark.parametrize("stopped", [False, True])
def test_posterior_equals_the_textbook_formula(stopped: bool) -> None:
    gp, points, new = model(), features(12, 0, stopped), features(5, 1)
    y = np.random.default_rng(2).normal(3.0, 2.0, 12)
    gp.condition(points, y)
    standard = (y - y.mean()) / y.std()
    inverse = np.linalg.inv(naive_covariance(gp, points, points) + (gp.noise + DIAGONAL_JITTER) * np.eye(12))
    cross = naive_covariance(gp, new, points)
    mean = cross @ inverse @ standard * y.std() + y.mean()
    variance = np.diag(naive_covariance(gp, new, new)) - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    covariance = gp.covariance(new)
    assert gp.mean(covariance) == pytest.approx(mean, rel=1e-9)
    assert gp.standard_deviation(covariance, new) == pytest.approx(np.sqrt(variance) * y.std(), rel=1e-6)
    assert gp.prior_standard_deviation(new) == pytest.approx(
        np.sqrt(np.diag(naive_covariance(gp, new, new))) * y.std(), rel=1e-9
    )


@pytest.mark.parametrize("stopped", [False, True])
def test_gradient_equals_finite_differences(stopped: bool) -> None:
    gp, points = model(), features(15, 4, stopped)
    y = np.random.default_rng(5).normal(size=15)
    _, gradient = gp.negative_log_posterior(gp.theta, PointPairs.of(points), y)
    for i in range(len(gp.theta)):
        step = np.zeros(len(gp.theta))
        step[i] = 1e-5
        difference = (
            gp.negative_log_posterior(gp.theta + step, PointPairs.of(points), y)[0]
            - gp.negative_log_posterior(gp.theta - step, PointPairs.of(points), y)[0]
        ) / 2e-5
        assert gradient[i] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_fit_finds_the_relevant_decision() -> None:
    points = features(120, 6)
    y = 3.0 * points.bits[:, 3] + 0.01 * np.random.default_rng(7).normal(size=120)
    gp = GaussianProcess(ENCODING, num_linear=3, num_smooth=2)
    (before,) = gp.losses(points, [y])
    gp.fit(points, y, np.random.default_rng(0))
    assert gp.losses(points, [y])[0] < before
    weights = gp.theta[7:]
    assert weights[1] > weights[0]
    assert weights[1] > weights[2]
    gp.condition(points, y)
    new = features(50, 8)
    assert gp.mean(gp.covariance(new)) == pytest.approx(3.0 * new.bits[:, 3], abs=0.1)


def test_equal_observations() -> None:
    gp, points = GaussianProcess(ENCODING, num_linear=3, num_smooth=2), features(6, 9)
    gp.fit(points, np.full(6, 2.5), np.random.default_rng(0))
    gp.condition(points, np.full(6, 2.5))
    assert gp.mean(gp.covariance(features(4, 10))) == pytest.approx(np.full(4, 2.5), abs=1e-6)


def test_gain_of_the_remaining_epochs_is_learned() -> None:
    """Stopped trainings lie 1 below the complete ones: the prediction for a stopped one adds that."""
    points = features(60, 11)
    truth = points.bits[:, 0] - points.bits[:, 5]
    half = Features(points.bits, points.linear, points.smooth, np.ones(60))
    y = np.concatenate([truth[:40], truth - 1.0])
    gp = GaussianProcess(ENCODING, num_linear=3, num_smooth=2)
    both = points[np.arange(40)].concatenate(half)
    gp.fit(both, y, np.random.default_rng(0))
    gp.condition(both, y)
    assert gp.mean(gp.covariance(points[np.arange(40, 60)])) == pytest.approx(truth[40:], abs=0.1)


def test_different_observations_of_one_point() -> None:
    """The same point many times, with vast and with tiny differences: the covariance is singular to rounding."""
    point = features(1, 12)
    points = point[np.zeros(30, dtype=int)]
    for spread in (1e-12, 1.0, 1e12):
        y = spread * np.random.default_rng(0).normal(size=30)
        gp = GaussianProcess(ENCODING, num_linear=3, num_smooth=2)
        gp.fit(points, y, np.random.default_rng(0))
        assert (np.abs(gp.theta - gp.prior_mean) <= 6 * gp.prior_sd + 1e-9).all()
        gp.condition(points, y)
        assert gp.mean(gp.covariance(point)) == pytest.approx(y.mean(), abs=0.5 * spread)


def test_singular_covariance_is_factored_with_jitter() -> None:
    covariance = np.ones((4, 4)) * 3.0
    covariance[0, 1] = covariance[1, 0] = 3.0 + 1e-12  # not even positive
    factor = cholesky_with_jitter(covariance)
    assert factor @ factor.T == pytest.approx(covariance, rel=1e-6)


def test_observations_that_are_added_and_replaced_give_the_same_posterior() -> None:
    """What is kept of earlier observations changes nothing, whatever becomes of them and of the hyper-parameters."""
    kept, new, points = model(), features(5, 1), features(40, 0, stopped=True)
    y = np.random.default_rng(2).normal(3.0, 2.0, 40)
    first, swapped = np.arange(25), np.r_[np.arange(10), 30:40, 10:20]
    for step, index in enumerate((first, np.arange(40), first, swapped, np.arange(3), np.arange(40))):
        if step == 4:
            kept.theta = kept.theta + 0.3
        kept.condition(points[index], y[index] + step)
        fresh = model()
        fresh.theta = kept.theta
        fresh.condition(points[index], y[index] + step)
        covariance = fresh.covariance(new)
        assert kept.mean(covariance) == pytest.approx(fresh.mean(covariance), rel=1e-9)
        assert kept.standard_deviation(covariance, new) == pytest.approx(
            fresh.standard_deviation(covariance, new), rel=1e-8
        )
        assert kept.observed_mean == pytest.approx(fresh.predict_mean(points[index]), rel=1e-9)


def test_the_covariance_of_candidates_is_that_computed_anew() -> None:
    gp, candidates, points = model(), features(60, 20), features(30, 21)
    y = np.random.default_rng(22).normal(size=30)
    covariance = CandidateCovariance()
    shown = candidates[np.arange(20)]
    for step, observed in enumerate((10, 10, 12, 30, 11, 30, 30)):
        if step == 2:
            shown = candidates[np.arange(45)]
        if step == 4:
            kept = np.array([1, 5, 6, 30, 44])
            covariance.keep(kept)
            shown = shown[kept].concatenate(candidates[np.arange(45, 60)])
        if step == 5:
            gp.theta = gp.theta - 0.2
        index = np.r_[:observed] if step != 6 else np.r_[0:7, 9:30]
        gp.condition(points[index], y[index])
        assert covariance.update(gp, shown) == pytest.approx(gp.covariance(shown), rel=1e-12)


def test_weights_of_decisions_share_a_factor_in_the_prior() -> None:
    """The prior is the normal one of independent hyper-parameters, plus a common term of the weights."""
    gp, rng = model(), np.random.default_rng(0)
    covariance = np.diag(gp.prior_sd**2)
    covariance[-3:, -3:] += COMMON_WEIGHT_SD**2  # three decisions
    density = multivariate_normal(gp.prior_mean, covariance)
    a, b = gp.prior_mean + rng.normal(size=(2, len(gp.theta)))
    difference = gp.kernel.prior_energy(a)[0] - gp.kernel.prior_energy(b)[0]
    assert difference == pytest.approx(density.logpdf(b) - density.logpdf(a))


def test_levels_of_an_ordered_decision_are_alike_if_they_are_near_before_any_result() -> None:
    """Whether two are the same one counts a fifth of how far apart they are; unordered levels are all as different."""
    levels = [DecisionLevels(5, ordered, names) for ordered, names in ((True, "abcde"), (False, "fghij"), (True, None))]
    tables, encoding = encode_decisions(levels)
    assert encoding.weight == pytest.approx(np.array([0.2, 1.0, 1.0, 1.0]) / 3.2)
    gp = GaussianProcess(encoding, num_linear=0, num_smooth=0)
    assert gp.prior_mean[-4:] == pytest.approx(np.log(encoding.weight))

    def log_ratios(decision: int) -> list[float]:
        """Logarithms of the covariance of the first level with each, relative to that with itself."""
        rows = np.stack(
            [np.concatenate([t[i if d == decision else 0] for d, t in enumerate(tables)]) for i in range(5)]
        )
        points = Features(rows, np.zeros((5, 0)), np.zeros((5, 0)), np.zeros(5))
        row = gp.kernel.covariance(gp.theta, points, points)[0] - CONSTANT_VARIANCE - np.exp(gp.theta[2])
        return [float(x) for x in np.log(row / row[0]) * 3.2]

    assert log_ratios(0) == pytest.approx([0.0, -0.45, -0.7, -0.95, -1.2])
    assert log_ratios(1) == pytest.approx([0.0, -1.0, -1.0, -1.0, -1.0])
    assert log_ratios(2) == pytest.approx([0.0, -0.25, -0.5, -0.75, -1.0])
