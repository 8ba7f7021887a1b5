"""When the points of a search are initial ones (`initial_points`), and when a model of results chooses them.

Four results are enough for a model if two of them count. Results below the reference of the primary objective do not, nor do
those that break its limit. A model of such results alone searches near the least bad one, and stays away from all that the others
had; so there are more initial points until then.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Set as AbstractSet
from typing import Generic

import numpy as np

from nas.sampler.candidate_pool import CandidatePool
from nas.sampler.domain import Point
from nas.sampler.feasibility import FeasibilityModel
from nas.sampler.initial_points import NUM_INITIAL_POINTS, choose_initial
from nas.sampler.objective_models import Observations

MIN_COUNTING_RESULTS = 2
MAX_INITIAL_POINTS = 12  # with which a model is used however many results count


class FirstPoints(Generic[Point]):
    """Chooses the initial points.

    Args:
        pool: the candidates.
        feasibility: says which candidates are like those that failed.
        lowest: the lowest value of the primary objective that counts; -inf if all do.
    """

    def __init__(self, pool: CandidatePool[Point], feasibility: FeasibilityModel[Point], lowest: float) -> None:
        self.pool, self.feasibility, self.lowest = pool, feasibility, lowest

    def choose(
        self,
        observations: Observations[Point],
        pending: Sequence[Point],
        tried: AbstractSet[Hashable],
        infeasible: Sequence[Point],
        rng: np.random.Generator,
    ) -> list[Point] | None:
        """The next point, of which there is none if all are tried; None once a model is to choose it (see `Engine`)."""
        can_learn = self.can_learn(observations)
        if can_learn and self._enough_count(observations):
            return None
        points = [*observations.points, *pending]
        started = len(set(map(self._key, (*points, *infeasible))))
        if not points and started > 2:  # nothing could be trained yet: points of low cost, and any others in turn
            return self._initial(0 if started % 2 else 2, [], tried, infeasible, rng)
        most = MAX_INITIAL_POINTS if can_learn else NUM_INITIAL_POINTS
        if started < most or not (can_learn or self.pool.extractor.num_cheap):
            return self._initial(started, points, tried, infeasible, rng)
        return None

    def can_learn(self, observations: Observations[Point]) -> bool:
        """True if there are enough observations for the models."""
        if len(observations) > 4 * NUM_INITIAL_POINTS:
            return True
        return len(set(map(self._key, observations.points))) >= NUM_INITIAL_POINTS

    def _enough_count(self, observations: Observations[Point]) -> bool:
        counting = int((observations.y >= self.lowest).sum())
        return len(observations) >= MAX_INITIAL_POINTS or counting >= MIN_COUNTING_RESULTS

    def _key(self, point: Point) -> Hashable:
        return self.pool.extractor.domain.key(point)

    def _initial(
        self,
        started: int,
        points: Sequence[Point],
        tried: AbstractSet[Hashable],
        infeasible: Sequence[Point],
        rng: np.random.Generator,
    ) -> list[Point]:
        available = self.pool.available(tried)
        likeness = self.feasibility.likeness(self.pool, infeasible)[available] if infeasible else None
        chosen = choose_initial(self.pool, available, started, points, infeasible, likeness, rng)
        return [] if chosen is None else [self.pool.points[chosen]]
