"""What is known of points before training, as numbers: the values of the cheap functions, and the features of the models."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from nas.sampler.bounded_cache import BoundedCache
from nas.sampler.domain import Domain, Point, Rng
from nas.sampler.warp import CostGoal, CostScale

Floats = NDArray[np.float64]
Index = NDArray[np.intp] | NDArray[np.bool_] | slice
PointFunction = Callable[[Any], float]

NUM_REFERENCE_POINTS = 1000  # random points by which features are standardised
MAX_CACHED_POINTS = 50_000  # points whose function values are kept
CLIMB_MUTATIONS = 400  # mutations tried to reach the point of lowest and of highest cost


@dataclass(frozen=True)
class Features:
    """The features of n points.

    Args:
        bits: zeros and ones, `(n, p)`.
        linear: about standard normal over the space, `(n, q)`.
        smooth: about standard normal over the space, `(n, k)`: function values, and coordinates in ranges.
        shortfall: 0 for a complete training, up to 1 for the shortest, `(n,)`.
    """

    bits: Floats
    linear: Floats
    smooth: Floats
    shortfall: Floats

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Index) -> Features:
        return Features(self.bits[index], self.linear[index], self.smooth[index], self.shortfall[index])

    def concatenate(self, other: Features) -> Features:
        """These points followed by `other`."""
        return Features(
            np.concatenate([self.bits, other.bits]),
            np.concatenate([self.linear, other.linear]),
            np.concatenate([self.smooth, other.smooth]),
            np.concatenate([self.shortfall, other.shortfall]),
        )

    def common_prefix(self, other: Features) -> int:
        """The number of points, from the first on, that have the same features as those of `other`."""
        count = min(len(self), len(other))
        same = self.shortfall[:count] == other.shortfall[:count]
        for a, b in ((self.bits, other.bits), (self.linear, other.linear), (self.smooth, other.smooth)):
            same &= (a[:count] == b[:count]).all(axis=1)
        return count if same.all() else int(np.argmin(same))


class FeatureExtractor(Generic[Point]):
    """Computes what is known of points before training: costs on a scale of the space, feasibility, and features.

    Args:
        domain: the points.
        cheap: functions that give the cheap objectives, to be minimised.
        extra: functions that give further numbers, such as the parameters of a network.
        duration: a function that gives the duration of a training, in any unit; None if it is not known.
        goals: what counts of each cheap objective.
        feasible: False for points that must not be proposed; None if all may be.
        enumerate_all: scales are those of all points of the domain, not of random ones.
        rng: draws the random points.
    """

    def __init__(
        self,
        domain: Domain[Point],
        cheap: Sequence[PointFunction],
        extra: Sequence[PointFunction],
        duration: PointFunction | None,
        goals: Sequence[CostGoal],
        feasible: Callable[[Any], bool] | None,
        enumerate_all: bool,
        rng: Rng,
    ) -> None:
        self.domain = domain
        self._num_numbers = len(cheap) + len(extra)  # which are features; a duration is not
        self.functions = (*cheap, *extra, *(() if duration is None else (duration,)))
        self.num_cheap = len(cheap)
        self._rows: BoundedCache[Hashable, tuple[float, ...]] = BoundedCache(MAX_CACHED_POINTS)
        self._is_feasible: BoundedCache[Hashable, bool] = BoundedCache(MAX_CACHED_POINTS)
        self.goals, self._feasible = tuple(goals), feasible
        self.reference_points = list(domain.points()) if enumerate_all else self._sample_reference(rng)
        values = self.function_values(self.reference_points)
        self.scales = self._scales(values)
        raw = self._raw_features(self.reference_points, domain.encode(self.reference_points), values)
        self._center, self._spread = raw.mean(0), raw.std(0)
        self._spread[self._spread < 1e-9] = np.inf  # a constant feature has no effect
        self._num_coordinates = domain.coordinates([]).shape[1]
        self.num_linear = raw.shape[1] - self._num_coordinates
        self.num_smooth = self._num_numbers + self._num_coordinates

    def function_values(self, points: Sequence[Point]) -> Floats:
        """The cheap objectives, further numbers and the durations of `points`, `(n, functions)`."""
        return np.array([self._row(point) for point in points]).reshape(len(points), len(self.functions))

    def _row(self, point: Point) -> tuple[float, ...]:
        key = self.domain.key(point)
        if key not in self._rows:
            argument = self.domain.function_argument(point)
            return self._rows.store(key, tuple(float(function(argument)) for function in self.functions))
        return self._rows[key]

    def feasible(self, points: Sequence[Point], values: Floats) -> NDArray[np.bool_]:
        """Which of `points`, of the given function values, may be proposed, `(n,)`; none without finite costs."""
        costs = values[:, : self.num_cheap]
        allowed = np.asarray(
            np.isfinite(costs).all(axis=1) & (costs <= [goal.limit for goal in self.goals]).all(axis=1)
        )
        if self._feasible is not None:
            for i in np.nonzero(allowed)[0].tolist():
                allowed[i] = self._allows(points[i], self._feasible)
        return allowed

    def _allows(self, point: Point, feasible: Callable[[Any], bool]) -> bool:
        key = self.domain.key(point)
        if key not in self._is_feasible:
            self._is_feasible.store(key, bool(feasible(self.domain.function_argument(point))))
        return self._is_feasible[key]

    def costs(self, values: Floats) -> Floats:
        """The cheap objectives on the scale of the space, `(n, cheap)`."""
        columns = [self.scales[j](_finite(values[:, j], self.scales[j])) for j in range(self.num_cheap)]
        return np.stack(columns, axis=1) if columns else np.zeros((len(values), 0))

    def durations(self, values: Floats) -> Floats:
        """The durations of trainings, in any unit, `(n,)`; all alike if they are not known.

        Raises:
            ValueError: one is not above 0.
        """
        if len(self.functions) == self._num_numbers:
            return np.ones(len(values))
        durations = _finite(values[:, -1], self.scales[-1])
        if not (durations > 0).all():
            raise ValueError(f"duration: must be above 0, found {durations.min():g}")
        return durations

    def features(self, points: Sequence[Point], values: Floats) -> Features:
        """The features of `points` of the given function values, as of complete trainings."""
        bits = self.domain.encode(points)
        standard = (self._raw_features(points, bits, values) - self._center) / self._spread
        linear, coordinates = np.split(standard, [self.num_linear], axis=1)
        # So many coordinates together are as far apart as one function value.
        coordinates = coordinates / np.sqrt(max(self._num_coordinates, 1))
        smooth = np.concatenate([linear[:, : self._num_numbers], coordinates], axis=1)
        return Features(bits, linear, smooth, np.zeros(len(points)))

    def _raw_features(self, points: Sequence[Point], bits: Floats, values: Floats) -> Floats:
        """The logarithms of function values, the counts of choices and the coordinates, `(n, linear + coordinates)`."""
        columns = [
            scale.logarithmic(_finite(values[:, j], scale)) for j, scale in enumerate(self.scales[: self._num_numbers])
        ]
        logs = np.stack(columns, axis=1) if columns else np.zeros((len(bits), 0))
        counts = bits @ self.domain.encoding.count_matrix
        return np.concatenate([logs, counts, self.domain.coordinates(points)], axis=1)

    def _scales(self, values: Floats) -> tuple[CostScale, ...]:
        """The scale of each function; that of a cheap objective ends at its reference or limit, above which nothing counts."""
        finite = (column[np.isfinite(column)] for column in values.T)
        scales = [CostScale.of(column) if len(column) else CostScale(0.0, 1.0) for column in finite]
        for j, goal in enumerate(self.goals):
            scales[j] = scales[j].ending_at(goal)
        return tuple(scales)

    def _sample_reference(self, rng: Rng) -> list[Point]:
        """Random points, and the points of lowest and highest cost that a random climb finds."""
        samples = (self.domain.sample(rng) for _ in range(NUM_REFERENCE_POINTS))
        points = list({self.domain.key(point): point for point in samples}.values())
        for j in range(self.num_cheap):
            points += [self._climb(points, j, sign, rng) for sign in (1.0, -1.0)]
        return points

    def _climb(self, points: Sequence[Point], j: int, sign: float, rng: Rng) -> Point:
        """The point of lowest (`sign` 1) or highest (-1) cost `j` that mutations of the best of `points` reach."""

        def signed_cost(point: Point) -> float:
            cost = self._row(point)[j]
            return sign * cost if np.isfinite(cost) else np.inf

        best = min(points, key=signed_cost)
        lowest = signed_cost(best)
        for _ in range(CLIMB_MUTATIONS):
            mutant = self.domain.mutate(best, rng)
            if (mutant_cost := signed_cost(mutant)) < lowest:
                best, lowest = mutant, mutant_cost
        return best


def _finite(values: Floats, scale: CostScale) -> Floats:
    """`values` with the highest of the scale for those that are infinite or NaN: such points are not proposed."""
    return np.where(np.isfinite(values), values, scale.high)
