"""The points that compete for the next training, with all that is known of them before it.

Of a space that is small enough they are all its points. Of a larger one they are a few thousand: random ones, and mutants
and crossings of what is best so far, the weakest making room.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from nas.sampler.domain import Domain, Point, Rng, remember
from nas.sampler.gp import Features
from nas.sampler.warp import CostScale

Floats = NDArray[np.float64]
Known = Callable[[Any], float]

REFERENCE = 1000  # random points that features are standardised by
REMEMBERED = 100_000  # points whose costs are not computed again
CLIMB = 400  # mutations tried on the way to the cheapest and to the dearest point


class Describer(Generic[Point]):
    """What is known of points before training: costs, on a scale of the space, and the features that the models see.

    Args:
        domain: the points.
        cheap: costs, to be minimised, that are objectives.
        also: further numbers that tell something of a point, such as parameters.
        limits: the highest value allowed of each cheap cost.
        feasible: of what `domain.known` gives: may this point be proposed?
        complete: look at every point of the domain for the scales, not at random ones.
    """

    def __init__(
        self,
        domain: Domain[Point],
        cheap: Sequence[Known],
        also: Sequence[Known],
        limits: Sequence[float],
        feasible: Callable[[Any], bool] | None,
        complete: bool,
        rng: Rng,
    ) -> None:
        self.domain = domain
        self.functions = (*cheap, *also)
        self.cheap = len(cheap)
        self._rows: dict[Hashable, tuple[float, ...]] = {}
        self._limits, self._feasible = np.asarray(limits, dtype=np.float64), feasible
        if complete:
            self.reference = list(domain.all())
        else:
            self.reference = list({domain.key(p): p for p in (domain.sample(rng) for _ in range(REFERENCE))}.values())
            for j in range(self.cheap):
                self.reference += [self._extreme(j, sign, rng) for sign in (1.0, -1.0)]
        known = self.known(self.reference)
        self.scales = tuple(CostScale.of(column) for column in known.T)
        for j, limit in enumerate(self._limits):
            if self.scales[j].low < limit < self.scales[j].high:
                self.scales = (*self.scales[:j], CostScale(self.scales[j].low, float(limit)), *self.scales[j + 1 :])
        raw = self._raw_features(domain.bits(self.reference), known)
        self._center, self._spread = raw.mean(0), raw.std(0)
        self._spread[self._spread < 1e-9] = np.inf  # tells nothing

    def known(self, points: Sequence[Point]) -> Floats:
        """The cheap costs and further numbers of `points`, `(n, cheap + also)`."""
        return np.array([self._row(point) for point in points]).reshape(len(points), len(self.functions))

    def _row(self, point: Point) -> tuple[float, ...]:
        key = self.domain.key(point)
        if key not in self._rows:
            given = self.domain.known(point)
            return remember(self._rows, key, tuple(float(f(given)) for f in self.functions), REMEMBERED)
        return self._rows[key]

    def feasible(self, points: Sequence[Point], known: Floats) -> NDArray[np.bool_]:
        """Which of `points` may be proposed, `(n,)`."""
        may = (known[:, : self.cheap] <= self._limits).all(1)
        if self._feasible is not None:
            may &= np.array([bool(self._feasible(self.domain.known(point))) for point in points], dtype=bool)
        return np.asarray(may)

    def costs(self, known: Floats) -> Floats:
        """The cheap costs on the scale of the space, `(n, cheap)`."""
        columns = [self.scales[j](known[:, j]) for j in range(self.cheap)]
        return np.stack(columns, axis=1) if columns else np.zeros((len(known), 0))

    def features(self, points: Sequence[Point], known: Floats) -> Features:
        """What the models see of `points`."""
        bits = self.domain.bits(points)
        standard = (self._raw_features(bits, known) - self._center) / self._spread
        return Features(bits, standard, standard[:, : len(self.functions)], np.zeros(len(points)))

    def _raw_features(self, bits: Floats, known: Floats) -> Floats:
        logs = [scale.logarithmic(column) for scale, column in zip(self.scales, known.T, strict=True)]
        counts = bits @ self.domain.coding.pools
        return np.concatenate([np.stack(logs, axis=1) if logs else np.zeros((len(bits), 0)), counts], axis=1)

    def _extreme(self, j: int, sign: float, rng: Rng) -> Point:
        """The cheapest (`sign` 1) or dearest (-1) point by cost `j` that a random climb finds."""

        def price(point: Point) -> float:
            return sign * self._row(point)[j]

        best = min(self.reference, key=price)
        least = price(best)
        for _ in range(CLIMB):
            other = self.domain.mutated(best, rng)
            if (at := price(other)) < least:
                best, least = other, at
        return best


class Pool(Generic[Point]):
    """Candidates, and what was computed of them.

    Args:
        describer: says what is known of a point.
        complete: holds every point of the domain, and never changes.
        capacity: of a pool that is not complete.
    """

    def __init__(self, describer: Describer[Point], complete: bool, capacity: int) -> None:
        self.describer = describer
        self.complete = complete
        self.capacity = capacity
        self.points: list[Point] = []
        self.index: dict[Hashable, int] = {}
        self.known = np.zeros((0, len(describer.functions)))
        self.costs = np.zeros((0, describer.cheap))
        self.feasible = np.zeros(0, dtype=bool)
        self.features = describer.features([], self.known)
        self.deviation = np.zeros(0)  # of the primary model when last computed: since then it can only have fallen
        self.score = np.zeros(0)
        self.add(describer.reference)

    def __len__(self) -> int:
        return len(self.points)

    def add(self, points: Iterable[Point]) -> list[int]:
        """Take up `points`; the indices of those that were not there."""
        key = self.describer.domain.key
        new = {key(point): point for point in points if key(point) not in self.index}
        if not new:
            return []
        begin = len(self.points)
        known = self.describer.known(list(new.values()))
        features = self.describer.features(list(new.values()), known)
        self.points += new.values()
        self.index |= {name: begin + i for i, name in enumerate(new)}
        self.known = np.concatenate([self.known, known])
        self.costs = np.concatenate([self.costs, self.describer.costs(known)])
        self.feasible = np.concatenate([self.feasible, self.describer.feasible(list(new.values()), known)])
        self.features = self.features.then(features)
        self.deviation = np.concatenate([self.deviation, np.full(len(new), np.inf)])
        self.score = np.concatenate([self.score, np.full(len(new), np.inf)])
        return list(range(begin, len(self.points)))

    def shrink(self) -> None:
        """Of a pool above its capacity, leave the points of highest score."""
        if self.complete or len(self) <= self.capacity:
            return
        left = np.sort(np.argsort(-self.score, kind="stable")[: int(0.8 * self.capacity)])
        self.points = [self.points[i] for i in left]
        self.index = {self.describer.domain.key(point): i for i, point in enumerate(self.points)}
        self.known, self.costs, self.features = self.known[left], self.costs[left], self.features[left]
        self.feasible = self.feasible[left]
        self.deviation, self.score = self.deviation[left], self.score[left]
