"""A Gaussian process over architectures, made for few observations.

A point has three kinds of features (`Features`), and the covariance is the sum of what each explains:

    k(x, x') = c  +  l <linear, linear'> / q  +  s exp(-1/2 sum_j (smooth_j - smooth'_j)^2 / r_j^2)
             +  b exp(-sum_g w_g d_g(x, x'))  +  f shortfall shortfall' (1 + exp(-sum_g w_g d_g(x, x')))

`d_g` is the distance within decision g: 1 where two choices differ (Hamming), the share of levels between two ordered
ones (a thermometer code); both are weighted sums of differing bits, so that all distances are one matrix product. The
smooth features (logarithms of costs) carry the trend of accuracy with size, the linear ones (also how often each choice is
made) what counts anywhere, the bits what counts in its place. `shortfall` is 0 after a whole training and
grows as it was cut shorter: what the rest would have added is a function of the point too.

The logarithms of c, l, ..., w_g and of the noise have normal priors; they are set to the maximum of their posterior (MAP) with
analytic gradients. Observations are standardised within.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

OFFSET = 4.0  # variance of the constant: the mean of the observations is no more than an estimate
JITTER = 1e-6
FAR = 6.0  # deviations from its prior mean that a hyper-parameter may be
SCALARS = 5  # hyper-parameters that are there once
FIT_POINTS = 256  # of more, hyper-parameters are fitted to some
ITERATIONS = 60


@dataclass(frozen=True)
class Features:
    """What is known of n points before training.

    Args:
        bits: zeros and ones, `(n, p)`.
        linear: about standard normal over the space, `(n, q)`.
        smooth: likewise, `(n, k)`.
        shortfall: of the training, `(n,)`.
    """

    bits: Floats
    linear: Floats
    smooth: Floats
    shortfall: Floats

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Ints | NDArray[np.bool_]) -> Features:
        return Features(self.bits[index], self.linear[index], self.smooth[index], self.shortfall[index])

    def then(self, other: Features) -> Features:
        """These points, then those."""
        return Features(*(np.concatenate(pair) for pair in zip(self._parts(), other._parts(), strict=True)))

    def _parts(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.bits, self.linear, self.smooth, self.shortfall


class GaussianProcess:
    """The model of one objective.

    Args:
        group: the decision that each bit belongs to, `(p,)`, counted from 0.
        weight: the distance that each differing bit makes, `(p,)`.
        linear, smooth: numbers of these features.
    """

    def __init__(self, group: Ints, weight: Floats, linear: int, smooth: int, noise: float = 1e-3) -> None:
        self.group, self.weight = group, weight
        self.decisions = int(group.max()) + 1 if len(group) else 0
        self.linear, self.smooth = linear, smooth
        # Of the logarithms of b, l, s, f, the noise, the ranges r and the weights w.
        middle: list[Any] = [
            [0.5, 0.5, 1.0, 0.5, noise],
            np.ones(smooth),
            np.full(self.decisions, 1 / max(self.decisions, 1)),
        ]
        self.prior_mean = np.log(np.concatenate(middle))
        self.prior_sd = np.concatenate([[1.0, 1.0, 1.0, 1.0, 1.5], np.full(smooth, 0.5), np.ones(self.decisions)])
        self._ranges = slice(SCALARS, SCALARS + smooth)
        self._weights_of_decisions = slice(SCALARS + smooth, None)
        self.theta = self.prior_mean.copy()
        self._at: Features | None = None

    def fit(self, at: Features, y: Floats, rng: np.random.Generator) -> float:
        """Set the hyper-parameters to the maximum of their posterior given `y` at the points `at`; its negative log density."""
        if len(y) > FIT_POINTS:
            chosen = rng.choice(len(y), FIT_POINTS, replace=False)
            at, y = at[chosen], y[chosen]
        standard = (y - y.mean()) / _scale(y)
        starts = [self.theta] if np.array_equal(self.theta, self.prior_mean) else [self.theta, self.prior_mean]
        bounds = list(zip(self.prior_mean - FAR * self.prior_sd, self.prior_mean + FAR * self.prior_sd, strict=True))
        found = [
            minimize(
                self._loss, start, (at, standard), "L-BFGS-B", True, bounds=bounds, options={"maxiter": ITERATIONS}
            )
            for start in starts
        ]
        best = min(found, key=lambda one: float(one.fun))
        self.theta = best.x
        return float(best.fun)

    def loss(self, at: Features, y: Floats) -> float:
        """The negative log likelihood of `y` at the points `at` with the hyper-parameters as they are, up to a constant."""
        scale = _scale(y)
        return self._loss(self.theta, at, (y - y.mean()) / scale)[0] + len(y) * float(np.log(scale))

    def condition(self, at: Features, y: Floats) -> None:
        """Take `y` at the points `at` as what was observed."""
        self._center, self._scale = float(y.mean()), _scale(y)
        self._at = at
        covariance = self._terms(self.theta, at, at).sum()
        covariance[np.diag_indices(len(y))] += self.noise + JITTER
        self._factor = _cholesky(covariance)
        self._weights = cho_solve((self._factor, True), (y - self._center) / self._scale)

    def covariance(self, at: Features) -> Floats:
        """The covariance of points with what was observed, `(n, observations)`, which the next two take."""
        assert self._at is not None
        return self._terms(self.theta, at, self._at).sum()

    def mean(self, covariance: Floats) -> Floats:
        """The posterior mean of points, `(n,)`."""
        return np.asarray(covariance @ self._weights * self._scale + self._center)

    def predicted(self, at: Features) -> Floats:
        """The posterior mean of points, `(n,)`."""
        return self.mean(self.covariance(at))

    def deviation(self, covariance: Floats, at: Features) -> Floats:
        """The posterior standard deviation of points, the noise apart, `(n,)`: much more work than the mean."""
        explained = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        variance = self._prior_variance(at) - np.einsum("ij,ij->j", explained, explained)
        return np.asarray(np.sqrt(np.maximum(variance, 1e-9)) * self._scale)

    def prior_deviation(self, at: Features) -> Floats:
        """The standard deviation of points before any observation, `(n,)`."""
        return np.asarray(np.sqrt(self._prior_variance(at)) * self._scale)

    def _prior_variance(self, at: Features) -> Floats:
        bits, linear, smooth, short = np.exp(self.theta[:4])
        of_linear = linear * np.einsum("ij,ij->i", at.linear, at.linear) / max(self.linear, 1)
        return np.asarray(bits + smooth + OFFSET + of_linear + 2 * short * at.shortfall**2)

    @property
    def observations(self) -> int:
        """How many the model is conditioned on."""
        return 0 if self._at is None else len(self._at)

    @property
    def noise(self) -> float:
        """The variance of the noise, in the standardised scale."""
        return float(np.exp(self.theta[4]))

    def _terms(self, theta: Floats, a: Features, b: Features) -> _Terms:
        per_bit = np.exp(theta[self._weights_of_decisions])[self.group] * self.weight
        weighted = a.bits * per_bit
        distance = weighted.sum(1)[:, None] + (b.bits @ per_bit)[None, :] - 2 * weighted @ b.bits.T
        alike = np.exp(np.minimum(-distance, 0))
        ranges = np.exp(theta[self._ranges])
        squares = [((x[:, None] - y) / r) ** 2 for x, y, r in zip(a.smooth.T, b.smooth.T, ranges, strict=True)]
        some_cut_short = a.shortfall.any() and b.shortfall.any()
        return _Terms(
            bits=np.exp(theta[0]) * alike,
            linear=np.exp(theta[1]) / max(self.linear, 1) * (a.linear @ b.linear.T),
            smooth=np.exp(theta[2] - 0.5 * sum(squares, np.zeros_like(alike))),
            shortfalls=np.exp(theta[3]) * np.outer(a.shortfall, b.shortfall) if some_cut_short else None,
            alike=alike,
            squares=squares,
        )

    def _loss(self, theta: Floats, at: Features, y: Floats) -> tuple[float, Floats]:
        """The negative log posterior density of `theta` up to a constant, and its gradient."""
        terms = self._terms(theta, at, at)
        covariance = terms.sum()
        covariance[np.diag_indices(len(y))] += np.exp(theta[4]) + JITTER
        factor = _cholesky(covariance)
        inverse = cho_solve((factor, True), np.eye(len(y)))
        weights = inverse @ y
        deviation = (theta - self.prior_mean) / self.prior_sd
        loss = 0.5 * y @ weights + np.log(np.diag(factor)).sum() + 0.5 * deviation @ deviation
        slope = 0.5 * (inverse - np.outer(weights, weights))  # of the loss by the covariance
        by_smooth = slope * terms.smooth
        gradient = np.empty_like(theta)
        gradient[:3] = (slope * terms.bits).sum(), (slope * terms.linear).sum(), by_smooth.sum()
        gradient[3] = 0.0 if terms.shortfalls is None else (slope * terms.shortfalls * (1 + terms.alike)).sum()
        gradient[4] = np.trace(slope) * np.exp(theta[4])
        gradient[self._ranges] = [(by_smooth * square).sum() for square in terms.squares]
        gradient[self._weights_of_decisions] = self._by_decision(theta, slope, terms, at)
        return float(loss), gradient + deviation / self.prior_sd

    def _by_decision(self, theta: Floats, slope: Floats, terms: _Terms, at: Features) -> Floats:
        """The gradient by the logarithms of the decisions' weights."""
        by_distance = -slope * terms.bits
        if terms.shortfalls is not None:
            by_distance -= slope * terms.shortfalls * terms.alike
        # Of bits u, v: |u - v| = u + v - 2 u v.
        differing = 2 * by_distance.sum(1) @ at.bits - 2 * np.einsum("ij,ij->j", by_distance @ at.bits, at.bits)
        per_decision = np.bincount(self.group, self.weight * differing, minlength=self.decisions)
        return np.asarray(np.exp(theta[self._weights_of_decisions]) * per_decision)


@dataclass(frozen=True)
class _Terms:
    """The covariance by what explains it, and what its gradient needs; each `(n, m)`."""

    bits: Floats
    linear: Floats
    smooth: Floats
    shortfalls: Floats | None  # None: all zero
    alike: Floats
    squares: list[Floats]

    def sum(self) -> Floats:
        total = self.bits + self.linear + self.smooth + OFFSET
        return total if self.shortfalls is None else total + self.shortfalls * (1 + self.alike)


def _cholesky(covariance: Floats) -> Floats:
    """The lower factor; of a covariance that is singular to rounding, with as much more on the diagonal as it takes."""
    more = 0.0
    while True:
        try:
            return np.asarray(np.linalg.cholesky(covariance + more * np.eye(len(covariance))))
        except np.linalg.LinAlgError:
            more = max(10 * more, 1e-9 * float(np.trace(covariance)) / len(covariance))


def _scale(y: Floats) -> float:
    """The standard deviation of `y`, or 1 where they do not differ."""
    deviation = float(y.std())
    return deviation if deviation > 1e-12 else 1.0
