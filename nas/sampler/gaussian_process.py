"""A Gaussian process over architectures for few observations.

A point has three kinds of features (`Features`), and the covariance is the sum of one term for each:

    k(x, x') = c  +  l <linear, linear'> / q  +  s exp(-1/2 sum_j (smooth_j - smooth'_j)^2 / r_j^2)
             +  b exp(-sum_g w_g d_g(x, x'))  +  f shortfall shortfall' (1 + exp(-sum_g w_g d_g(x, x')))

`d_g` is the distance within decision g: 1 where two choices differ (Hamming), the share of levels between two ordered
ones (a thermometer code); both are weighted sums of differing bits, so that all distances are one matrix product. The
smooth features (logarithms of costs) carry the trend of accuracy with size, the linear ones (logarithms of costs, and how
often each choice is made) effects that do not depend on the place, the bits effects that do. `shortfall` is 0 after a complete
training and larger the earlier it was stopped: the gain of the remaining epochs is a function of the point too.

The logarithms of c, l, ..., w_g and of the noise have normal priors; they are set to the maximum of their posterior (MAP) with
analytic gradients. Observations are standardised internally.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.sampler.features import Features

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

CONSTANT_VARIANCE = 4.0  # of the constant c: the mean of the observations is only an estimate
DIAGONAL_JITTER = 1e-6
MAX_PRIOR_DEVIATIONS = 6.0  # of a hyper-parameter from its prior mean, in prior standard deviations
NUM_SCALAR_HYPERPARAMETERS = 5  # b, l, s, f and the noise
MAX_FIT_POINTS = 256  # of more observations, hyper-parameters are fitted to a random subset
MAX_FIT_ITERATIONS = 60


class GaussianProcess:
    """The model of one objective.

    Args:
        decision: the decision that each bit belongs to, `(p,)`, counted from 0.
        distance: the distance that each differing bit adds, `(p,)`.
        num_linear, num_smooth: the numbers of these features.
        noise: prior mean of the noise variance, on the standardised scale.
    """

    def __init__(self, decision: Ints, distance: Floats, num_linear: int, num_smooth: int, noise: float = 1e-3) -> None:
        self.decision, self.distance = decision, distance
        self.num_decisions = int(decision.max()) + 1 if len(decision) else 0
        self.num_linear = num_linear
        # Of the logarithms of b, l, s, f, the noise, the ranges r and the weights w.
        prior_medians: list[Any] = [
            [0.5, 0.5, 1.0, 0.5, noise],
            np.ones(num_smooth),
            np.full(self.num_decisions, 1 / max(self.num_decisions, 1)),
        ]
        self.prior_mean = np.log(np.concatenate(prior_medians))
        self.prior_sd = np.concatenate(
            [[1.0, 1.0, 1.0, 1.0, 1.5], np.full(num_smooth, 0.5), np.ones(self.num_decisions)]
        )
        self._ranges = slice(NUM_SCALAR_HYPERPARAMETERS, NUM_SCALAR_HYPERPARAMETERS + num_smooth)
        self._decision_weights = slice(NUM_SCALAR_HYPERPARAMETERS + num_smooth, None)
        self.theta = self.prior_mean.copy()
        self._observed: Features | None = None

    def fit(self, features: Features, y: Floats, rng: np.random.Generator) -> float:
        """Set the hyper-parameters to the maximum of their posterior given the observations `y`; its negative log density."""
        if len(y) > MAX_FIT_POINTS:
            chosen = rng.choice(len(y), MAX_FIT_POINTS, replace=False)
            features, y = features[chosen], y[chosen]
        standard = (y - y.mean()) / _scale(y)
        starts = [self.theta] if np.array_equal(self.theta, self.prior_mean) else [self.theta, self.prior_mean]
        radius = MAX_PRIOR_DEVIATIONS * self.prior_sd
        bounds = list(zip(self.prior_mean - radius, self.prior_mean + radius, strict=True))
        options = {"maxiter": MAX_FIT_ITERATIONS}
        arguments = (features, standard)
        fits = [
            minimize(self.negative_log_posterior, start, arguments, "L-BFGS-B", True, bounds=bounds, options=options)
            for start in starts
        ]
        best = min(fits, key=lambda fit: float(fit.fun))
        self.theta = best.x
        return float(best.fun)

    def loss(self, features: Features, y: Floats) -> float:
        """The negative log posterior density of the current hyper-parameters given `y`, up to a constant.

        Unlike `negative_log_posterior` it counts the scale of `y`, so that it compares warps of the same observations.
        """
        scale = _scale(y)
        return self.negative_log_posterior(self.theta, features, (y - y.mean()) / scale)[0] + len(y) * float(
            np.log(scale)
        )

    def condition(self, features: Features, y: Floats) -> None:
        """Set the observations: `y` at points of the given features."""
        self._center, self._scale = float(y.mean()), _scale(y)
        self._observed = features
        covariance = self._terms(self.theta, features, features).sum()
        covariance[np.diag_indices(len(y))] += self.noise + DIAGONAL_JITTER
        self._factor = cholesky_with_jitter(covariance)
        self._weights = cho_solve((self._factor, True), (y - self._center) / self._scale)

    def covariance(self, features: Features) -> Floats:
        """The covariance of points with the observations, `(n, observations)`: an argument of `mean` and `standard_deviation`.

        Raises:
            RuntimeError: the model was not conditioned.
        """
        if self._observed is None:
            raise RuntimeError("a Gaussian process must be conditioned on observations first")
        return self._terms(self.theta, features, self._observed).sum()

    def mean(self, covariance: Floats) -> Floats:
        """The posterior mean of points, `(n,)`."""
        return np.asarray(covariance @ self._weights * self._scale + self._center)

    def predict_mean(self, features: Features) -> Floats:
        """The posterior mean of points, `(n,)`."""
        return self.mean(self.covariance(features))

    def standard_deviation(self, covariance: Floats, features: Features) -> Floats:
        """The posterior standard deviation of points without the noise, `(n,)`: much slower than the mean."""
        explained = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        variance = self._prior_variance(features) - np.einsum("ij,ij->j", explained, explained)
        return np.asarray(np.sqrt(np.maximum(variance, 1e-9)) * self._scale)

    def posterior_covariance(self, covariance: Floats, features: Features) -> Floats:
        """The posterior covariance of points with one another, without the noise, `(n, n)`."""
        explained = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        prior = self._terms(self.theta, features, features).sum()
        return np.asarray((prior - explained.T @ explained) * self._scale**2)

    def prior_standard_deviation(self, features: Features) -> Floats:
        """The standard deviation of points before any observation, `(n,)`."""
        return np.asarray(np.sqrt(self._prior_variance(features)) * self._scale)

    def _prior_variance(self, features: Features) -> Floats:
        bits, linear, smooth, shortfall = np.exp(self.theta[:4])
        linear_variance = linear * np.einsum("ij,ij->i", features.linear, features.linear) / max(self.num_linear, 1)
        return np.asarray(bits + smooth + CONSTANT_VARIANCE + linear_variance + 2 * shortfall * features.shortfall**2)

    @property
    def noise_deviation(self) -> float:
        """The standard deviation of the noise of one observation, in the scale of the observations."""
        return float(np.sqrt(self.noise) * self._scale)

    @property
    def num_observations(self) -> int:
        """The number of observations that the model is conditioned on."""
        return 0 if self._observed is None else len(self._observed)

    @property
    def noise(self) -> float:
        """The variance of the noise, in the standardised scale."""
        return float(np.exp(self.theta[4]))

    def _terms(self, theta: Floats, a: Features, b: Features) -> _CovarianceTerms:
        per_bit = np.exp(theta[self._decision_weights])[self.decision] * self.distance
        weighted = a.bits * per_bit
        distance = weighted.sum(1)[:, None] + (b.bits @ per_bit)[None, :] - 2 * weighted @ b.bits.T
        similarity = np.exp(np.minimum(-distance, 0))
        ranges = np.exp(theta[self._ranges])
        squares = [((x[:, None] - y) / r) ** 2 for x, y, r in zip(a.smooth.T, b.smooth.T, ranges, strict=True)]
        any_shortfall = a.shortfall.any() and b.shortfall.any()
        return _CovarianceTerms(
            bits=np.exp(theta[0]) * similarity,
            linear=np.exp(theta[1]) / max(self.num_linear, 1) * (a.linear @ b.linear.T),
            smooth=np.exp(theta[2] - 0.5 * sum(squares, np.zeros_like(similarity))),
            shortfalls=np.exp(theta[3]) * np.outer(a.shortfall, b.shortfall) if any_shortfall else None,
            similarity=similarity,
            squares=squares,
        )

    def negative_log_posterior(self, theta: Floats, features: Features, y: Floats) -> tuple[float, Floats]:
        """The negative log posterior density of the hyper-parameters `theta`, up to a constant, and its gradient.

        Args:
            theta: their logarithms, in the order of `prior_mean`.
            features: of the observed points.
            y: the observations, standardised.
        """
        terms = self._terms(theta, features, features)
        covariance = terms.sum()
        covariance[np.diag_indices(len(y))] += np.exp(theta[4]) + DIAGONAL_JITTER
        factor = cholesky_with_jitter(covariance)
        inverse = cho_solve((factor, True), np.eye(len(y)))
        weights = inverse @ y
        deviation = (theta - self.prior_mean) / self.prior_sd
        loss = 0.5 * y @ weights + np.log(np.diag(factor)).sum() + 0.5 * deviation @ deviation
        slope = 0.5 * (inverse - np.outer(weights, weights))  # derivative of the loss with respect to the covariance
        by_smooth = slope * terms.smooth
        gradient = np.empty_like(theta)
        gradient[:3] = (slope * terms.bits).sum(), (slope * terms.linear).sum(), by_smooth.sum()
        gradient[3] = 0.0 if terms.shortfalls is None else (slope * terms.shortfalls * (1 + terms.similarity)).sum()
        gradient[4] = np.trace(slope) * np.exp(theta[4])
        gradient[self._ranges] = [(by_smooth * square).sum() for square in terms.squares]
        gradient[self._decision_weights] = self._decision_gradient(theta, slope, terms, features)
        return float(loss), gradient + deviation / self.prior_sd

    def _decision_gradient(self, theta: Floats, slope: Floats, terms: _CovarianceTerms, features: Features) -> Floats:
        """The gradient with respect to the logarithms of the decisions' weights."""
        by_distance = -slope * terms.bits
        if terms.shortfalls is not None:
            by_distance -= slope * terms.shortfalls * terms.similarity
        # Of bits u, v: |u - v| = u + v - 2 u v.
        differing = 2 * by_distance.sum(1) @ features.bits
        differing -= 2 * np.einsum("ij,ij->j", by_distance @ features.bits, features.bits)
        per_decision = np.bincount(self.decision, self.distance * differing, minlength=self.num_decisions)
        return np.asarray(np.exp(theta[self._decision_weights]) * per_decision)


@dataclass(frozen=True)
class _CovarianceTerms:
    """The terms of the covariance, and what their gradient needs; each `(n, m)`."""

    bits: Floats
    linear: Floats
    smooth: Floats
    shortfalls: Floats | None  # None if all are zero
    similarity: Floats
    squares: list[Floats]

    def sum(self) -> Floats:
        total = self.bits + self.linear + self.smooth + CONSTANT_VARIANCE
        return total if self.shortfalls is None else total + self.shortfalls * (1 + self.similarity)


def cholesky_with_jitter(covariance: Floats) -> Floats:
    """The lower Cholesky factor of `(n, n)`; if it is numerically singular, with as much jitter on the diagonal as it takes."""
    jitter = 0.0
    while True:
        try:
            return np.asarray(np.linalg.cholesky(covariance + jitter * np.eye(len(covariance))))
        except np.linalg.LinAlgError:
            jitter = max(10 * jitter, 1e-9 * float(np.trace(covariance)) / len(covariance))


def _scale(y: Floats) -> float:
    """The standard deviation of `y`, or 1 if all are equal."""
    deviation = float(y.std())
    return deviation if deviation > 1e-12 else 1.0
