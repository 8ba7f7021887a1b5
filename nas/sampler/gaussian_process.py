"""A Gaussian process over architectures for few observations.

The hyper-parameters of its covariance function (`nas.sampler.kernel`) are set to the maximum of their posterior (MAP) with
analytic gradients. Observations are standardised internally.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.sampler.bit_encoding import BitEncoding
from nas.sampler.features import Features
from nas.sampler.kernel import Kernel, PointPairs, PriorMedians

Floats = NDArray[np.float64]

DIAGONAL_JITTER = 1e-6
MAX_PRIOR_DEVIATIONS = 6.0  # of a hyper-parameter from its prior mean, in prior standard deviations
MAX_FIT_POINTS = 256  # of more observations, hyper-parameters are fitted to a random subset
MAX_FIT_ITERATIONS = 60
RESULTS_PRIOR = PriorMedians()


class GaussianProcess:
    """The model of one objective.

    Args:
        encoding: the meaning of the bits.
        num_linear, num_smooth: the numbers of these features.
        prior: prior medians of its hyper-parameters.
    """

    def __init__(
        self, encoding: BitEncoding, num_linear: int, num_smooth: int, prior: PriorMedians = RESULTS_PRIOR
    ) -> None:
        self.kernel = Kernel(encoding, num_linear, num_smooth, prior)
        self.prior_mean, self.prior_sd = self.kernel.prior_mean, self.kernel.prior_sd
        self.theta = self.prior_mean.copy()
        self._observed: Features | None = None
        self._observed_theta = self.theta
        self._covariance = self._factor = np.zeros((0, 0))  # of the observations, and the factor of that with the noise

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
        arguments = (PointPairs.of(features), standard)
        fits = [
            scipy.optimize.minimize(
                self.negative_log_posterior, start, arguments, "L-BFGS-B", True, bounds=bounds, options=options
            )
            for start in starts
        ]
        best = min(fits, key=lambda fit: float(fit.fun))
        self.theta = best.x
        return float(best.fun)

    def losses(self, features: Features, candidates: Sequence[Floats]) -> list[float]:
        """The negative log posterior density of the current hyper-parameters given each of the `candidates` for y.

        Unlike `negative_log_posterior` it counts the scale of y, so that it compares warps of the same observations.
        """
        factor = self._noisy_factor(self.theta, self.kernel.covariance(self.theta, features, features))
        constant = self._log_determinant_and_prior(self.theta, factor)
        losses = []
        for y in candidates:
            scale = _scale(y)
            white = scipy.linalg.solve_triangular(factor, (y - y.mean()) / scale, lower=True, check_finite=False)
            losses.append(float(constant + 0.5 * white @ white + len(y) * np.log(scale)))
        return losses

    def condition(self, features: Features, y: Floats) -> None:
        """Set the observations: `y` at points of the given features.

        What was computed for the first points is kept as long as they and the hyper-parameters are the same.
        """
        kept, count = self._num_kept(features), len(features)
        covariance, factor = np.empty((count, count)), np.zeros((count, count), order="F")  # as LAPACK wants it
        if kept:
            covariance[:kept, :kept] = self._covariance[:kept, :kept]
            factor[:kept, :kept] = self._factor[:kept, :kept]
        covariance[kept:] = self.kernel.covariance(self.theta, features[slice(kept, None)], features)
        covariance[:kept, kept:] = covariance[kept:, :kept].T
        explained = covariance[:kept, kept:]
        if explained.size:
            explained = scipy.linalg.solve_triangular(factor[:kept, :kept], explained, lower=True, check_finite=False)
        remaining = covariance[kept:, kept:] - explained.T @ explained
        remaining[np.diag_indices(count - kept)] += self.noise + DIAGONAL_JITTER
        factor[kept:, :kept], factor[kept:, kept:] = explained.T, cholesky_with_jitter(remaining)
        self._covariance, self._factor = covariance, factor
        self._observed, self._observed_theta = features, self.theta.copy()
        self._center, self._scale = float(y.mean()), _scale(y)
        self._weights = scipy.linalg.cho_solve((factor, True), (y - self._center) / self._scale, check_finite=False)

    def _num_kept(self, features: Features) -> int:
        """The number of the first points of `features` that the model is conditioned on with these hyper-parameters."""
        if self._observed is None or not np.array_equal(self.theta, self._observed_theta):
            return 0
        return features.common_prefix(self._observed)

    @property
    def observed(self) -> Features:
        """The features of the observations.

        Raises:
            RuntimeError: the model was not conditioned.
        """
        if self._observed is None:
            raise RuntimeError("a Gaussian process must be conditioned on observations first")
        return self._observed

    @property
    def observed_mean(self) -> Floats:
        """The posterior mean of the observed points, `(observations,)`."""
        return self.mean(self._covariance)

    @property
    def observed_deviation(self) -> Floats:
        """The posterior standard deviation of the observed points without the noise, `(observations,)`."""
        return self.standard_deviation(self._covariance, self.observed)

    def covariance(self, features: Features) -> Floats:
        """The covariance of points with the observations, `(n, observations)`: an argument of `mean` and `standard_deviation`.

        Raises:
            RuntimeError: the model was not conditioned.
        """
        return self.kernel.covariance(self.theta, features, self.observed)

    def mean(self, covariance: Floats) -> Floats:
        """The posterior mean of points, `(n,)`."""
        return np.asarray(covariance @ self._weights * self._scale + self._center)

    def predict_mean(self, features: Features) -> Floats:
        """The posterior mean of points, `(n,)`."""
        return self.mean(self.covariance(features))

    def standard_deviation(self, covariance: Floats, features: Features) -> Floats:
        """The posterior standard deviation of points without the noise, `(n,)`: much slower than the mean."""
        explained = scipy.linalg.solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        variance = self.kernel.variance(self.theta, features) - np.einsum("ij,ij->j", explained, explained)
        return np.asarray(np.sqrt(np.maximum(variance, 1e-9)) * self._scale)

    def posterior_covariance(self, covariance: Floats, features: Features) -> Floats:
        """The posterior covariance of points with one another, without the noise, `(n, n)`."""
        explained = scipy.linalg.solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        prior = self.kernel.covariance(self.theta, features, features)
        return np.asarray((prior - explained.T @ explained) * self._scale**2)

    def prior_standard_deviation(self, features: Features) -> Floats:
        """The standard deviation of points before any observation, `(n,)`."""
        return np.asarray(np.sqrt(self.kernel.variance(self.theta, features)) * self._scale)

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

    def negative_log_posterior(self, theta: Floats, pairs: PointPairs, y: Floats) -> tuple[float, Floats]:
        """The negative log posterior density of the hyper-parameters `theta`, up to a constant, and its gradient.

        Args:
            theta: their logarithms, in the order of `prior_mean`.
            pairs: of the observed points.
            y: the observations, standardised.
        """
        terms = self.kernel.terms(theta, pairs)
        factor = self._noisy_factor(theta, terms.sum())
        inverse = _inverse(factor)
        weights = inverse @ y
        loss = self._log_determinant_and_prior(theta, factor) + 0.5 * y @ weights
        slope = 0.5 * (inverse - np.outer(weights, weights))  # derivative of the loss with respect to the covariance
        return float(loss), self.kernel.gradient(theta, slope, terms, pairs) + self.kernel.prior_energy(theta)[1]

    @staticmethod
    def _noisy_factor(theta: Floats, covariance: Floats) -> Floats:
        """The Cholesky factor of the covariance of observations; `covariance`, without the noise, is changed."""
        covariance[np.diag_indices(len(covariance))] += np.exp(theta[4]) + DIAGONAL_JITTER
        return cholesky_with_jitter(covariance)

    def _log_determinant_and_prior(self, theta: Floats, factor: Floats) -> float:
        """The part of the negative log posterior density that does not depend on the observations."""
        return float(np.log(np.diag(factor)).sum()) + self.kernel.prior_energy(theta)[0]


def _inverse(factor: Floats) -> Floats:
    """The inverse of the matrix of the lower Cholesky `factor`."""
    lower, _ = scipy.linalg.lapack.dpotri(factor, lower=True)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


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
