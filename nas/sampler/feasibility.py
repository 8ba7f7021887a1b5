"""How likely a point can be trained at all, learned from points that failed for certain (out of memory, no finite loss).

A Gaussian process with the features of the other models is conditioned on 1 for points that were trained and on 0 for those that
failed; its mean is the probability. So a limit on size, which nobody has written down, is learned from a few failures. Its
hyper-parameters stay at their prior: a few zeros and ones say little about them. What a point is worth is multiplied by a power
of the probability, since the best points that could be trained often lie beside those that cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from nas.sampler.candidate_pool import CandidatePool
from nas.sampler.domain import Point
from nas.sampler.features import FeatureExtractor
from nas.sampler.gaussian_process import GaussianProcess
from nas.sampler.kernel import PriorMedians

Floats = NDArray[np.float64]

MAX_INFEASIBLE = 200  # points of each kind that the model is conditioned on
MIN_PROBABILITY = 1e-3  # so that candidates that are all likely to fail are still compared
DOUBTFUL_PROBABILITY = (
    0.25  # below it the weight falls steeply: an end of the search is no reason for points that will fail
)
DOUBT = 8  # how steeply: the power
MIN_FITTED = 4  # points of each kind, from which on hyper-parameters are fitted
REFIT_GROWTH = 1.3  # factor by which the points grow between two fits
PRIOR = PriorMedians(bits=0.5, linear=0.5, smooth=1.0, smooth_range=1.0)
"""What fails depends on costs more than results do."""

CAUTION = 2  # the power, of the best after 30 trials by tests/benchmarks/feasibility.py; 3 has slightly fewer failures


class FeasibilityModel(Generic[Point]):
    """The model; as long as nothing has failed every weight is 1.

    Args:
        extractor: computes the features of points.
    """

    def __init__(self, extractor: FeatureExtractor[Point]) -> None:
        self.extractor = extractor
        self._process = GaussianProcess(extractor.domain.encoding, extractor.num_linear, extractor.num_smooth, PRIOR)
        self._is_active = False
        self._fitted_on = 0

    def condition(self, trained: Sequence[Point], infeasible: Sequence[Point]) -> None:
        """Take `trained` points for feasible and others for not; of each the last ones count."""
        self._is_active = len(infeasible) > 0
        if not self._is_active:
            return
        kept = [*trained[-MAX_INFEASIBLE:], *infeasible[-MAX_INFEASIBLE:]]
        features = self.extractor.features(kept, self.extractor.function_values(kept))
        labels = np.ones(len(kept))
        labels[len(kept) - min(len(infeasible), MAX_INFEASIBLE) :] = 0.0
        smaller = min(len(infeasible), len(kept) - len(infeasible))
        if smaller >= MIN_FITTED and len(kept) >= REFIT_GROWTH * self._fitted_on:
            self._process.fit(features, labels, np.random.default_rng(len(kept)))
            self._fitted_on = len(kept)
        self._process.condition(features, labels)

    def likeness(self, pool: CandidatePool[Point], infeasible: Sequence[Point]) -> Floats:
        """How alike each candidate and the `infeasible` point nearest to it are, `(n,)`: their covariance."""
        kept = infeasible[-MAX_INFEASIBLE:]
        features = self.extractor.features(kept, self.extractor.function_values(kept))
        kernel = self._process.kernel
        return np.asarray(kernel.covariance(kernel.prior_mean, pool.features, features).max(axis=1))

    def weight(self, pool: CandidatePool[Point]) -> Floats:
        """The factor of what the candidates are worth, `(n,)`: 1 for those that can certainly be trained."""
        if not self._is_active:
            return np.ones(len(pool))
        mean = self._process.mean(pool.covariance(self._process))
        probability = np.clip(mean, MIN_PROBABILITY, 1.0)
        return np.asarray(probability**CAUTION / (1 + (DOUBTFUL_PROBABILITY / probability) ** DOUBT))
