"""The candidates for the next training, with all that is known of them before it.

Of a space that is small enough they are all its points. Of a larger one they are a few thousand: random points, and mutants
and crossovers of the best ones so far; the candidates of lowest score make room.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Set as AbstractSet
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from nas.sampler.domain import Point
from nas.sampler.features import FeatureExtractor

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
        self.feasible = np.zeros(0, dtype=bool)
        self.features = extractor.features([], values)
        # Of the primary model when last computed. With the same hyper-parameters it can only have fallen since then.
        self.deviation = np.zeros(0)
        self.score = np.zeros(0)  # the acquisition value; inf if it was not computed
        self.add(extractor.reference_points)

    def __len__(self) -> int:
        return len(self.points)

    def add(self, points: Iterable[Point]) -> list[int]:
        """Add `points`; returns the indices of the new ones."""
        key = self.extractor.domain.key
        added = {key(point): point for point in points if key(point) not in self.index}
        if not added:
            return []
        start = len(self.points)
        points = list(added.values())
        values = self.extractor.function_values(points)
        features = self.extractor.features(points, values)
        self.points += points
        self.index |= {name: start + i for i, name in enumerate(added)}
        self.costs = np.concatenate([self.costs, self.extractor.costs(values)])
        self.feasible = np.concatenate([self.feasible, self.extractor.feasible(points, values)])
        self.features = self.features.concatenate(features)
        self.deviation = np.concatenate([self.deviation, np.full(len(points), np.inf)])
        self.score = np.concatenate([self.score, np.full(len(points), np.inf)])
        return list(range(start, len(self.points)))

    def shrink(self) -> None:
        """If an incomplete pool is above its capacity, keep the candidates of highest score only."""
        if self.complete or len(self) <= self.capacity:
            return
        kept = np.sort(np.argsort(-self.score, kind="stable")[: int(SHRUNK_SHARE * self.capacity)])
        self.points = [self.points[i] for i in kept]
        self.index = {self.extractor.domain.key(point): i for i, point in enumerate(self.points)}
        self.costs, self.features, self.feasible = self.costs[kept], self.features[kept], self.feasible[kept]
        self.deviation, self.score = self.deviation[kept], self.score[kept]

    def available(self, tried: AbstractSet[Hashable]) -> Indices:
        """The indices of feasible candidates whose keys are not in `tried`; all others lose their score."""
        available = self.feasible.copy()
        available[[i for key, i in self.index.items() if key in tried]] = False
        self.score[~available] = -np.inf
        return np.nonzero(available)[0]

    def best(self, count: int) -> list[int]:
        """The indices of the `count` candidates of highest score, among those with a score."""
        score = np.where(self.score == np.inf, -np.inf, self.score)
        return [int(i) for i in np.argsort(-score, kind="stable")[:count]]

    def forget_deviations(self) -> None:
        """Discard the computed deviations: the hyper-parameters of the model have changed."""
        self.deviation[:] = np.inf
