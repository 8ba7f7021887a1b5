"""The candidates for the next training, with all that is known of them before it.

Of a space that is small enough they are all its points. Of a larger one they are a few thousand: random points, and mutants
and crossovers of the best ones so far; the candidates of lowest score make room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Set as AbstractSet
from itertools import islice
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from nas.sampler.candidate_covariance import CandidateCovariance
from nas.sampler.domain import Point
from nas.sampler.features import FeatureExtractor
from nas.sampler.gaussian_process import GaussianProcess

Indices = NDArray[np.intp]

SHRUNK_SHARE = 0.8  # of the capacity that is left after shrinking


class CandidatePool(Generic[Point]):
    """Candidates, and what was computed of them.

    Args:
        extractor: computes function values, costs and features of points.
        complete: the pool holds every point of the domain, and never changes.
        capacity: the number of candidates above which an incomplete pool shrinks.
    """

    def __init__(self, extractor: FeatureExtractor[Point], complete: bool, capacity: int) -> None:
        self.extractor = extractor
        self.complete = complete
        self.capacity = capacity
        self.points: list[Point] = []
        self.index: dict[Hashable, int] = {}
        values = np.zeros((0, len(extractor.functions)))
        self.costs = np.zeros((0, extractor.num_cheap))
        self.durations = np.zeros(0)
        self.feasible = np.zeros(0, dtype=bool)
        self.features = extractor.features([], values)
        # Of the primary model when last computed. With the same hyper-parameters it can only have fallen since then.
        self.deviation = np.zeros(0)
        self.score = np.zeros(0)  # the acquisition value; inf if it was not computed
        self._covariances: defaultdict[GaussianProcess, CandidateCovariance] = defaultdict(CandidateCovariance)
        self.add(extractor.reference_points)

    def __len__(self) -> int:
        return len(self.points)

    def add(self, points: Iterable[Point]) -> int:
        """Add those of `points` that are new, behind the others; returns the index of the first one."""
        key = self.extractor.domain.key
        keyed = {key(point): point for point in points}
        added = {name: point for name, point in keyed.items() if name not in self.index}
        start = len(self.points)
        if not added:
            return start
        points = list(added.values())
        values = self.extractor.function_values(points)
        features = self.extractor.features(points, values)
        self.points += points
        self.index |= {name: start + i for i, name in enumerate(added)}
        self.costs = np.concatenate([self.costs, self.extractor.costs(values)])
        self.durations = np.concatenate([self.durations, self.extractor.durations(values)])
        self.feasible = np.concatenate([self.feasible, self.extractor.feasible(points, values)])
        self.features = self.features.concatenate(features)
        self.deviation = np.concatenate([self.deviation, np.full(len(points), np.inf)])
        self.score = np.concatenate([self.score, np.full(len(points), np.inf)])
        return start

    def shrink(self) -> None:
        """If an incomplete pool is above its capacity, keep the candidates of highest score only."""
        if self.complete or len(self) <= self.capacity:
            return
        kept = np.sort(np.argsort(-self.score, kind="stable")[: int(SHRUNK_SHARE * self.capacity)])
        self.points = [self.points[i] for i in kept]
        self.index = {self.extractor.domain.key(point): i for i, point in enumerate(self.points)}
        self.costs, self.features, self.feasible = self.costs[kept], self.features[kept], self.feasible[kept]
        self.durations = self.durations[kept]
        self.deviation, self.score = self.deviation[kept], self.score[kept]
        for covariance in self._covariances.values():
            covariance.keep(kept)

    def covariance(self, model: GaussianProcess) -> NDArray[np.float64]:
        """The covariance of all candidates with the observations of `model`; it holds until the next call for this model."""
        return self._covariances[model].update(model, self.features)

    def available(self, tried: AbstractSet[Hashable], start: int = 0) -> Indices:
        """The indices, from `start` on, of feasible candidates whose keys are not in `tried`; the others lose their score."""
        available = self.feasible[start:].copy()
        keys = islice(self.index, start, None)  # in the order of the candidates
        available[[i for i, key in enumerate(keys) if key in tried]] = False
        self.score[start:][~available] = -np.inf
        return start + np.nonzero(available)[0]

    def best(self, count: int) -> list[int]:
        """The indices of the `count` candidates of highest score, among those with a score."""
        score = np.where(self.score == np.inf, -np.inf, self.score)
        return [int(i) for i in np.argsort(-score, kind="stable")[:count]]

    def forget_deviations(self) -> None:
        """Discard the computed deviations: the hyper-parameters of the model have changed."""
        self.deviation[:] = np.inf
