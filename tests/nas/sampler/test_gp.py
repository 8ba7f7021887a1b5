"""The Gaussian process against formulas written out naively, and its gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

from nas.sampler.gp import JITTER, OFFSET, Features, Floats, GaussianProcess, _cholesky

GROUP = np.array([0, 0, 0, 1, 1, 2, 2])
WEIGHT = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])


def features(n: int, seed: int, cut_short: bool = False) -> Features:
    """Three categorical decisions of 3, 2 and 2 choices, two smooth features that are linear ones too, and a count."""
    rng = np.random.default_rng(seed)
    choices = [np.eye(count)[rng.integers(count, size=n)] for count in (3, 2, 2)]
    linear = rng.normal(size=(n, 3))
    shortfall = rng.choice([0.0, 0.5, 1.0], n) if cut_short else np.zeros(n)
    return Features(np.concatenate(choices, 1), linear, linear[:, :2], shortfall)


def model() -> GaussianProcess:
    gp = GaussianProcess(GROUP, WEIGHT, linear=3, smooth=2)
    gp.theta = gp.prior_mean + np.random.default_rng(3).normal(size=len(gp.theta)) * 0.5
    return gp


def naive_covariance(gp: GaussianProcess, a: Features, b: Features) -> Floats:
    bits, linear, smooth, short = np.exp(gp.theta[:4])
    ranges, weights = np.exp(gp.theta[5:7]), np.exp(gp.theta[7:])
    table = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            differ = [not np.array_equal(a.bits[i, g == GROUP], b.bits[j, g == GROUP]) for g in range(3)]
            alike = np.exp(-sum(w for w, d in zip(weights, differ, strict=True) if d))
            near = np.exp(-0.5 * sum(((a.smooth[i] - b.smooth[j]) / ranges) ** 2))
            table[i, j] = OFFSET + bits * alike + linear * (a.linear[i] @ b.linear[j]) / 3 + smooth * near
            table[i, j] += short * a.shortfall[i] * b.shortfall[j] * (1 + alike)
    return table


@pytest.mark.parametrize("cut_short", [False, True])
def test_posterior_is_that_of_the_textbook(cut_short: bool) -> None:
    gp, at, new = model(), features(12, 0, cut_short), features(5, 1)
    y = np.random.default_rng(2).normal(3.0, 2.0, 12)
    gp.condition(at, y)
    standard = (y - y.mean()) / y.std()
    inverse = np.linalg.inv(naive_covariance(gp, at, at) + (gp.noise + JITTER) * np.eye(12))
    cross = naive_covariance(gp, new, at)
    mean = cross @ inverse @ standard * y.std() + y.mean()
    variance = np.diag(naive_covariance(gp, new, new)) - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    covariance = gp.covariance(new)
    assert gp.mean(covariance) == pytest.approx(mean, rel=1e-9)
    assert gp.deviation(covariance, new) == pytest.approx(np.sqrt(variance) * y.std(), rel=1e-6)
    assert gp.prior_deviation(new) == pytest.approx(
        np.sqrt(np.diag(naive_covariance(gp, new, new))) * y.std(), rel=1e-9
    )


@pytest.mark.parametrize("cut_short", [False, True])
def test_gradient_is_that_of_differences(cut_short: bool) -> None:
    gp, at = model(), features(15, 4, cut_short)
    y = np.random.default_rng(5).normal(size=15)
    _, gradient = gp._loss(gp.theta, at, y)
    for i in range(len(gp.theta)):
        step = np.zeros(len(gp.theta))
        step[i] = 1e-5
        difference = (gp._loss(gp.theta + step, at, y)[0] - gp._loss(gp.theta - step, at, y)[0]) / 2e-5
        assert gradient[i] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_fit_finds_which_decision_counts() -> None:
    at = features(120, 6)
    y = 3.0 * at.bits[:, 3] + 0.01 * np.random.default_rng(7).normal(size=120)
    gp = GaussianProcess(GROUP, WEIGHT, linear=3, smooth=2)
    before = gp.loss(at, y)
    gp.fit(at, y, np.random.default_rng(0))
    assert gp.loss(at, y) < before
    weights = gp.theta[7:]
    assert weights[1] > weights[0]
    assert weights[1] > weights[2]
    gp.condition(at, y)
    new = features(50, 8)
    assert gp.mean(gp.covariance(new)) == pytest.approx(3.0 * new.bits[:, 3], abs=0.1)


def test_observations_that_do_not_differ_are_no_trouble() -> None:
    gp, at = GaussianProcess(GROUP, WEIGHT, linear=3, smooth=2), features(6, 9)
    gp.fit(at, np.full(6, 2.5), np.random.default_rng(0))
    gp.condition(at, np.full(6, 2.5))
    assert gp.mean(gp.covariance(features(4, 10))) == pytest.approx(np.full(4, 2.5), abs=1e-6)


def test_rest_of_a_training_is_learned_from_whole_ones() -> None:
    """Points trained half-way lie one below what they reach: a half-trained one is predicted to gain that."""
    at = features(60, 11)
    truth = at.bits[:, 0] - at.bits[:, 5]
    half = Features(at.bits, at.linear, at.smooth, np.ones(60))
    y = np.concatenate([truth[:40], truth - 1.0])
    gp = GaussianProcess(GROUP, WEIGHT, linear=3, smooth=2)
    both = at[np.arange(40)].then(half)
    gp.fit(both, y, np.random.default_rng(0))
    gp.condition(both, y)
    assert gp.mean(gp.covariance(at[np.arange(40, 60)])) == pytest.approx(truth[40:], abs=0.1)


def test_points_alike_in_all_but_their_outcomes_are_no_trouble() -> None:
    """The same point many times, with vast and with tiny differences: the covariance is singular to rounding."""
    one = features(1, 12)
    at = one[np.zeros(30, dtype=int)]
    for spread in (1e-12, 1.0, 1e12):
        y = spread * np.random.default_rng(0).normal(size=30)
        gp = GaussianProcess(GROUP, WEIGHT, linear=3, smooth=2)
        gp.fit(at, y, np.random.default_rng(0))
        assert (np.abs(gp.theta - gp.prior_mean) <= 6 * gp.prior_sd + 1e-9).all()
        gp.condition(at, y)
        assert gp.mean(gp.covariance(one)) == pytest.approx(y.mean(), abs=0.5 * spread)


def test_singular_covariance_is_factored_with_more_on_its_diagonal() -> None:
    covariance = np.ones((4, 4)) * 3.0
    covariance[0, 1] = covariance[1, 0] = 3.0 + 1e-12  # not even positive
    factor = _cholesky(covariance)
    assert factor @ factor.T == pytest.approx(covariance, rel=1e-6)
