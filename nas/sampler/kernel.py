"""The covariance function of the models, and its hyper-parameters.

A point has three kinds of features (`Features`), and the covariance is the sum of one term for each:

    k(x, x') = c  +  l <linear, linear'> / q  +  s exp(-1/2 sum_j (smooth_j - smooth'_j)^2 / r_j^2)
             +  b exp(-sum_g w_g d_g(x, x'))  +  f shortfall shortfall' (1 + exp(-sum_g w_g d_g(x, x')))

`d_g` is the distance within decision g: 1 where two choices differ (Hamming), the share of levels between two ordered
ones (a thermometer code); both are weighted sums of differing bits, so that all distances are one matrix product. The
smooth features (logarithms of costs) carry the trend of accuracy with size, the linear ones (logarithms of costs, and how
often each choice is made) effects that do not depend on the place, the bits effects that do. `shortfall` is 0 after a complete
training and larger the earlier it was stopped: the gain of the remaining epochs is a function of the point too.

The logarithms of b, l, ..., w_g and of the noise have normal priors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.sampler.bit_encoding import BitEncoding
from nas.sampler.features import Features

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

CONSTANT_VARIANCE = 4.0  # of the constant c: the mean of the observations is only an estimate
COMMON_WEIGHT_SD = 1.5  # of the logarithm of a factor that the weights of all decisions share, in the prior
NUM_SCALAR_HYPERPARAMETERS = 5  # b, l, s, f and the noise


@dataclass(frozen=True)
class PriorMedians:
    """Prior medians of hyper-parameters, where observations have the variance 1; the defaults are for the results of trainings.

    They are near what 150 random points of each of 28 problems gave (`tests/benchmarks/hyperparameters.py`): choices in their
    places matter more than a trend with cost (b .8 and s .5 in the median), which is smooth over most of the space (r 1.7).

    Args:
        bits: b.
        linear: l.
        smooth: s.
        smooth_range: each r, in standard deviations of the feature over the space.
        noise: the variance of the noise.
    """

    bits: float = 0.9
    linear: float = 0.3
    smooth: float = 0.5
    smooth_range: float = 1.7
    noise: float = 1e-2


class Kernel:
    """The covariance of points as a function of the logarithms of its hyper-parameters, `theta`.

    Args:
        encoding: the meaning of the bits.
        num_linear, num_smooth: the numbers of these features.
        prior: prior medians of its hyper-parameters.
    """

    def __init__(self, encoding: BitEncoding, num_linear: int, num_smooth: int, prior: PriorMedians) -> None:
        self.decision, self.distance = encoding.decision, encoding.distance
        self.num_decisions = len(encoding.weight)
        self.num_linear = num_linear
        # Of the logarithms of b, l, s, f, the noise, the ranges r and the weights w.
        prior_medians: list[Any] = [
            [prior.bits, prior.linear, prior.smooth, 0.5, prior.noise],
            np.full(num_smooth, prior.smooth_range),
            encoding.weight,
        ]
        self.prior_mean = np.log(np.concatenate(prior_medians))
        self.prior_sd = np.concatenate(
            [[1.0, 1.0, 1.0, 1.0, 1.5], np.full(num_smooth, 0.5), np.ones(self.num_decisions)]
        )
        # The logarithms of the weights have the covariance 1 + sd^2 11', whose inverse is 1 - share 11' (Sherman and Morrison).
        self._common_share = COMMON_WEIGHT_SD**2 / (1 + self.num_decisions * COMMON_WEIGHT_SD**2)
        self._ranges = slice(NUM_SCALAR_HYPERPARAMETERS, NUM_SCALAR_HYPERPARAMETERS + num_smooth)
        self._decision_weights = slice(NUM_SCALAR_HYPERPARAMETERS + num_smooth, None)

    def prior_energy(self, theta: Floats) -> tuple[float, Floats]:
        """Minus the log prior density of `theta`, up to a constant, and its gradient, `(hyper-parameters,)`."""
        deviation = theta - self.prior_mean
        gradient = deviation / self.prior_sd**2
        weights = self._decision_weights
        gradient[weights] -= self._common_share * deviation[weights].sum()
        return 0.5 * float(deviation @ gradient), gradient

    def covariance(self, theta: Floats, a: Features, b: Features) -> Floats:
        """The covariance of the points `a` with the points `b`, `(n, m)`."""
        log_bits, log_linear, log_smooth, log_shortfall = theta[:4]
        total = self._similarity(theta, a, b)
        shortfalls = None
        if a.shortfall.any() and b.shortfall.any():
            shortfalls = np.exp(log_shortfall) * np.outer(a.shortfall, b.shortfall) * (1 + total)
        total *= np.exp(log_bits)
        ranges = np.exp(theta[self._ranges])
        x, y = a.smooth / ranges, b.smooth / ranges
        exponent = x @ y.T
        exponent -= 0.5 * np.einsum("ij,ij->i", x, x)[:, None]
        exponent += log_smooth - 0.5 * np.einsum("ij,ij->i", y, y)
        total += np.exp(exponent, out=exponent)
        linear = np.exp(log_linear) / max(self.num_linear, 1)
        total += (linear * a.linear) @ b.linear.T if len(a) < len(b) else a.linear @ (linear * b.linear).T
        total += CONSTANT_VARIANCE
        return total if shortfalls is None else total + shortfalls

    def variance(self, theta: Floats, features: Features) -> Floats:
        """The variance of points, `(n,)`."""
        bits, linear, smooth, shortfall = np.exp(theta[:4])
        linear_variance = linear * np.einsum("ij,ij->i", features.linear, features.linear) / max(self.num_linear, 1)
        return np.asarray(bits + smooth + CONSTANT_VARIANCE + linear_variance + 2 * shortfall * features.shortfall**2)

    def _similarity(self, theta: Floats, a: Features, b: Features) -> Floats:
        """`exp(-sum_g w_g d_g)`, `(n, m)`."""
        per_bit = np.exp(theta[self._decision_weights])[self.decision] * self.distance
        # Of bits u, v: |u - v| = u + v - 2 u v. The fewer points are multiplied by the weights.
        twice = 2 * per_bit
        exponent = (a.bits * twice) @ b.bits.T if len(a) < len(b) else a.bits @ (b.bits * twice).T
        exponent -= (a.bits @ per_bit)[:, None]
        exponent -= b.bits @ per_bit
        return np.asarray(np.exp(exponent, out=exponent))

    def terms(self, theta: Floats, pairs: PointPairs) -> CovarianceTerms:
        """The terms of the covariance of points with one another."""
        features = pairs.features
        similarity = self._similarity(theta, features, features)
        exponent = np.full_like(similarity, theta[2])
        for square, log_range in zip(pairs.squares, theta[self._ranges], strict=True):
            exponent -= (0.5 * np.exp(-2 * log_range)) * square
        return CovarianceTerms(
            bits=np.exp(theta[0]) * similarity,
            linear=np.exp(theta[1]) / max(self.num_linear, 1) * pairs.products,
            smooth=np.exp(exponent, out=exponent),
            shortfalls=None if pairs.shortfalls is None else np.exp(theta[3]) * pairs.shortfalls,
            similarity=similarity,
        )

    def gradient(self, theta: Floats, slope: Floats, terms: CovarianceTerms, pairs: PointPairs) -> Floats:
        """The derivative of a function of the covariance of points with one another, with the noise, with respect to `theta`.

        Args:
            theta: the hyper-parameters.
            slope: the derivative of the function with respect to the covariance, `(n, n)`, symmetric.
            terms: those of the covariance.
            pairs: of the points.
        """
        by_bits, by_smooth = slope * terms.bits, slope * terms.smooth
        gradient = np.empty_like(theta)
        gradient[:3] = by_bits.sum(), np.vdot(slope, terms.linear), by_smooth.sum()
        gradient[3], by_similarity = 0.0, by_bits
        if terms.shortfalls is not None:
            by_shortfalls = slope * terms.shortfalls
            by_similarity = by_bits + by_shortfalls * terms.similarity
            gradient[3] = by_shortfalls.sum() + by_similarity.sum() - by_bits.sum()
        gradient[4] = np.trace(slope) * np.exp(theta[4])
        gradient[self._ranges] = [
            np.exp(-2 * log_range) * np.vdot(by_smooth, square)
            for square, log_range in zip(pairs.squares, theta[self._ranges], strict=True)
        ]
        gradient[self._decision_weights] = self._decision_gradient(theta, by_similarity, pairs.features.bits)
        return gradient

    def _decision_gradient(self, theta: Floats, by_similarity: Floats, bits: Floats) -> Floats:
        """The derivative with respect to the logarithms of the decisions' weights.

        Args:
            theta: the hyper-parameters.
            by_similarity: the derivative with respect to the logarithm of the similarity, `(n, n)`.
            bits: of the points.
        """
        differing = 2 * np.einsum("ij,ij->j", by_similarity @ bits, bits) - 2 * by_similarity.sum(1) @ bits
        per_decision = np.bincount(self.decision, self.distance * differing, minlength=self.num_decisions)
        return np.asarray(np.exp(theta[self._decision_weights]) * per_decision)


@dataclass(frozen=True)
class PointPairs:
    """What the covariance of n points with one another needs that does not depend on the hyper-parameters.

    Args:
        features: of the points.
        products: of their linear features, `(n, n)`.
        squares: of the differences of each smooth feature, each `(n, n)`.
        shortfalls: products of their shortfalls, `(n, n)`; None if all are zero.
    """

    features: Features
    products: Floats
    squares: Sequence[Floats]
    shortfalls: Floats | None

    @classmethod
    def of(cls, features: Features) -> PointPairs:
        """The pairs of the points of `features`."""
        shortfall = features.shortfall
        return cls(
            features,
            features.linear @ features.linear.T,
            [(column[:, None] - column) ** 2 for column in features.smooth.T],
            np.outer(shortfall, shortfall) if shortfall.any() else None,
        )


@dataclass(frozen=True)
class CovarianceTerms:
    """The terms of the covariance, and what their gradient needs; each `(n, n)`."""

    bits: Floats
    linear: Floats
    smooth: Floats
    shortfalls: Floats | None  # None if all are zero
    similarity: Floats

    def sum(self) -> Floats:
        """The covariance."""
        total = self.bits + self.linear + self.smooth + CONSTANT_VARIANCE
        return total if self.shortfalls is None else total + self.shortfalls * (1 + self.similarity)
