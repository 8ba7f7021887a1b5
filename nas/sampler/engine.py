"""What to train next, given costs and observations: candidates are made and scored (`scoring`), and one is chosen (`selection`).

Knows neither Optuna's studies nor what a point is. The cheap objectives are exact; the others are modelled
(`objective_models`).

scipy's parts are imported where a model first needs them: a search begins 0.4 s sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from nas.sampler.candidate_pool import CandidatePool
from nas.sampler.domain import Domain, Point
from nas.sampler.feasibility import MAX_INFEASIBLE, FeasibilityModel
from nas.sampler.features import FeatureExtractor, PointFunction
from nas.sampler.first_points import FirstPoints
from nas.sampler.objective_models import FrontEstimate, ObjectiveModels, Observations
from nas.sampler.scoring import Scoring
from nas.sampler.selection import select
from nas.sampler.warp import CostGoal, LogErrorWarp

MAX_ENUMERATED_POINTS = 30_000  # a larger space is searched by candidates
CANDIDATE_POOL_SIZE = 1_200
CLIMBING_POINTS = 8  # candidates whose neighbours are candidates, too
MAX_NEIGHBOURS = 512  # of more, random ones are added
MAX_CLIMBS = 3  # times that the neighbours of the best candidates are added
MANY_OBSERVATIONS = 400
"""With more, half as many candidates are made: those of very many suggestions have been compared."""


@dataclass(frozen=True)
class ExpectedFront:
    """What the models expect of observed points, by their keys (`Domain.key`).

    Args:
        keys: of the points on the front.
        values: the median of the primary objective without the noise of a training, and the ends of its central interval.
    """

    keys: AbstractSet[Hashable]
    values: Mapping[Hashable, tuple[float, float, float]]


class Engine(Generic[Point]):
    """Proposes points of a domain.

    Args:
        domain: the points.
        cheap: functions that give the cheap objectives, to be minimised.
        extra: functions that give further numbers known before training.
        duration: a function that gives the duration of a training, in any unit; None: all last as long.
        cheap_goals: what counts of each cheap objective; by default no more than its value.
        secondary_goals: what counts of each objective that is modelled in addition to the primary one, to be minimised.
        primary_limit: the lowest value allowed of the primary objective.
        primary_reference: the value of the primary objective below which points do not count.
        feasible: False for points that must not be proposed; None if all may be.
        seed: of all random draws.
    """

    def __init__(
        self,
        domain: Domain[Point],
        cheap: Sequence[PointFunction],
        extra: Sequence[PointFunction] = (),
        duration: PointFunction | None = None,
        cheap_goals: Sequence[CostGoal] | None = None,
        secondary_goals: Sequence[CostGoal] = (),
        primary_limit: float = -np.inf,
        primary_reference: float = -np.inf,
        feasible: Callable[[Any], bool] | None = None,
        seed: int = 0,
    ) -> None:
        self.domain = domain
        self.rng = np.random.default_rng(seed)
        goals = [CostGoal()] * len(cheap) if cheap_goals is None else cheap_goals
        complete = domain.size <= MAX_ENUMERATED_POINTS
        self.extractor = FeatureExtractor(domain, cheap, extra, duration, goals, feasible, complete, self.rng)
        self.pool: CandidatePool[Point] = CandidatePool(self.extractor, complete, CANDIDATE_POOL_SIZE)
        self.models = ObjectiveModels(self.extractor, secondary_goals, primary_reference)
        self.feasibility = FeasibilityModel(self.extractor)
        self.scoring = Scoring(self.pool, self.models, self.feasibility, primary_limit)
        lowest = max(np.nextafter(primary_reference, np.inf), primary_limit)  # a value at the reference does not count
        self.first_points: FirstPoints[Point] = FirstPoints(self.pool, self.feasibility, float(lowest))
        self._warp: LogErrorWarp | None = None  # of the last suggestion, if the model has learned from observations

    def suggest(
        self, observations: Observations[Point], pending: Sequence[Point], tried: AbstractSet[Hashable]
    ) -> Point | None:
        """The next point to train; None if there is none left (see `suggest_batch`)."""
        return next(iter(self.suggest_batch(observations, pending, tried)), None)

    def suggest_batch(
        self,
        observations: Observations[Point],
        pending: Sequence[Point],
        tried: AbstractSet[Hashable],
        infeasible: Sequence[Point] = (),
        count: int = 1,
    ) -> list[Point]:
        """The next points to train, the best first; none if there is none left.

        Args:
            observations: the results so far.
            pending: points that are being trained.
            tried: keys of points that must not be proposed, the pending ones among them.
            infeasible: points whose training failed and would fail again.
            count: the highest number of points; one model and one set of candidates serve all of them.
        """
        self._warp = None
        chosen = self.first_points.choose(observations, pending, tried, infeasible, self.rng)
        if chosen is not None:
            return chosen
        if self.first_points.can_learn(observations):
            estimate = self.models.estimate_front(observations, pending, self.rng)
            self._warp = estimate.warp
        else:
            estimate = self.models.estimate_from_costs([*observations.points, *pending])
        self.feasibility.condition(observations.last_points(MAX_INFEASIBLE) if infeasible else [], infeasible)
        if estimate.refitted:
            self.pool.forget_deviations()
        num_new = self.domain.num_new_candidates // (1 if len(observations) <= MANY_OBSERVATIONS else 2)
        if not self.pool.complete:
            self._renew_candidates(estimate.points, num_new)
        available = self.pool.available(tried)
        if not len(available):
            return []
        self.scoring.score(estimate, available)
        if not self.pool.complete:
            best = self.pool.best(num_new)
            first = self.pool.add(self.domain.mutate(self.pool.points[i], self.rng) for i in best)
            self.scoring.score(estimate, self.pool.available(tried, first))
            self._climb(estimate, tried)
        return [self.pool.points[i] for i in select(self.scoring, estimate, count)]

    def _climb(self, estimate: FrontEstimate, tried: AbstractSet[Hashable]) -> None:
        """Add the neighbours of the best candidates, and those of the best ones after that."""
        expanded: set[Hashable] = set()
        for _ in range(MAX_CLIMBS):
            best = [self.pool.points[i] for i in self.pool.best(CLIMBING_POINTS)]
            fresh = [point for point in best if self.domain.key(point) not in expanded]
            if not fresh:
                return
            expanded |= {self.domain.key(point) for point in fresh}
            neighbours = [neighbour for point in fresh for neighbour in self.domain.neighbours(point, self.rng)]
            if len(neighbours) > MAX_NEIGHBOURS:
                neighbours = [neighbours[i] for i in self.rng.choice(len(neighbours), MAX_NEIGHBOURS, replace=False)]
            first = self.pool.add(neighbours)
            self.scoring.score(estimate, self.pool.available(tried, first))

    def predict(self, point: Point) -> tuple[float, float, float] | None:
        """What the model of the last suggestion expects of the primary objective of a training of `point`.

        Returns:
            The median and the ends of the central interval (`nas.sampler.prediction`); None if there was no such model.
        """
        if self._warp is None:
            return None
        model = self.models.primary
        features = self.extractor.features([point], self.extractor.function_values([point]))
        covariance = model.covariance(features)
        mean = float(model.mean(covariance)[0])
        deviation = float(np.hypot(model.standard_deviation(covariance, features)[0], model.noise_deviation))
        median, low, high = self._warp.inverse(mean + deviation * np.array([0.0, -1.0, 1.0])).tolist()
        return median, low, high

    def expected_front(self, observations: Observations[Point]) -> ExpectedFront | None:
        """What the models expect of the points of complete trainings; None if there are too few observations."""
        if not self.first_points.can_learn(observations):
            return None
        estimate = self.models.estimate_front(observations, [], self.rng)
        model, index = self.models.primary, estimate.complete
        mean, deviation = model.observed_mean[index], model.observed_deviation[index]
        ends = estimate.warp.inverse(mean[:, None] + deviation[:, None] * np.array([0.0, -1.0, 1.0]))
        keys = [self.domain.key(estimate.observed[i]) for i in index.tolist()]
        values = {key: (median, low, high) for key, (median, low, high) in zip(keys, ends.tolist(), strict=True)}
        return ExpectedFront({self.domain.key(point) for point in estimate.points}, values)

    def _renew_candidates(self, front: Sequence[Point], count: int) -> None:
        """Add `count` candidates: random ones, and mutants and crossovers of the front and of the best candidates."""
        self.pool.shrink()
        parents = [*front, *(self.pool.points[i] for i in self.pool.best(len(front) + 8))]
        candidates = []
        for i in range(count):
            if i % 4 == 0:
                candidates.append(self.domain.sample(self.rng))
                continue
            a, b = (parents[int(j)] for j in self.rng.integers(len(parents), size=2))
            mutates = i % 4 < 3
            candidates.append(self.domain.mutate(a, self.rng) if mutates else self.domain.crossover(a, b, self.rng))
        self.pool.add(candidates)
