"""What to train next: the point of largest expected hypervolume improvement, given costs and observations.

Knows neither Optuna's studies nor what a point is. The cheap objectives are exact; the others are modelled
(`objective_models`).

scipy's parts, here and in the models, are imported when a model first needs them: a search begins 0.4 s sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.sampler.batch import Batch, Uncertainty
from nas.sampler.candidate_pool import CandidatePool
from nas.sampler.domain import Domain, Point
from nas.sampler.feasibility import MAX_INFEASIBLE, FeasibilityModel
from nas.sampler.features import FeatureExtractor, PointFunction
from nas.sampler.first_points import FirstPoints
from nas.sampler.gaussian_process import GaussianProcess
from nas.sampler.improvement import Costs
from nas.sampler.objective_models import FrontEstimate, ObjectiveModels, Observations
from nas.sampler.warp import CostGoal, LogErrorWarp

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MAX_ENUMERATED_POINTS = 30_000  # a larger space is searched by candidates
CANDIDATE_POOL_SIZE = 1_200
MAX_DEVIATION_MULTIPLICATIONS = 6e7  # spent on the deviations of candidates in one scoring
MIN_SCORED_DEVIATIONS = 256  # candidates whose deviation is computed at least
MAX_UNCERTAIN_COSTS = 2048  # candidates for which the uncertainty of predicted costs counts, in one scoring
MAX_BATCH_CANDIDATES = 512  # candidates from which all points of a batch are chosen
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
        self.primary_limit = primary_limit
        complete = domain.size <= MAX_ENUMERATED_POINTS
        self.extractor = FeatureExtractor(domain, cheap, extra, duration, goals, feasible, complete, self.rng)
        self.pool: CandidatePool[Point] = CandidatePool(self.extractor, complete, CANDIDATE_POOL_SIZE)
        self.models = ObjectiveModels(self.extractor, secondary_goals, primary_reference)
        self.feasibility = FeasibilityModel(self.extractor)
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
        self._score(estimate, available)
        if not self.pool.complete:
            best = self.pool.best(num_new)
            first = self.pool.add(self.domain.mutate(self.pool.points[i], self.rng) for i in best)
            self._score(estimate, self.pool.available(tried, first))
            self._climb(estimate, tried)
        return [self.pool.points[i] for i in self._select(estimate, count)]

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
            self._score(estimate, self.pool.available(tried, first))

    def _select(self, estimate: FrontEstimate, count: int) -> list[int]:
        """The indices of the best candidate and, with the best ones of the others, of those that follow it."""
        if count == 1:
            return self.pool.best(1)
        pool, model = self.pool, self.models.primary
        ranked = np.array([i for i in pool.best(len(pool)) if pool.score[i] > -np.inf])
        # The best ones are alike. Once one of them is chosen, the next may be of another kind: so half of them are of all ranks.
        half = MAX_BATCH_CANDIDATES // 2
        spread = (
            np.linspace(half, len(ranked) - 1, half).astype(np.intp)
            if len(ranked) > 2 * half
            else np.arange(half, len(ranked))
        )
        index = np.concatenate([ranked[:half], ranked[spread]])
        batch = Batch(
            estimate,
            self._expected_costs(estimate)[index],
            model.mean(pool.covariance(model)[index]),
            self._uncertainty(model, index),
            [self._uncertainty(objective.process, index) for objective in estimate.secondary],
        )
        weight = self._weight(index)
        return [int(index[i]) for i in batch.select(count, self._acquisition, weight)]

    def _weight(self, index: Indices) -> Floats:
        """By which the improvement of the candidates `index` counts: the probability that they can be trained, per time."""
        return np.asarray(self.feasibility.weight(self.pool)[index] / self.pool.durations[index])

    def _uncertainty(self, model: GaussianProcess, index: Indices) -> Uncertainty:
        """That of a model at the candidates `index`."""
        pool = self.pool
        covariance = model.posterior_covariance(pool.covariance(model)[index], pool.features[index])
        return Uncertainty(covariance, model.noise_deviation)

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

    def _score(self, estimate: FrontEstimate, index: Indices) -> None:
        """Score the candidates `index`.

        Deviations are computed only of candidates that might be the best: with the same hyper-parameters they fall from
        observation to observation, so the last ones computed are upper bounds. Those of predicted costs are left out at first.
        """
        if not len(index):
            return
        pool, model = self.pool, self.models.primary
        covariance = pool.covariance(model)
        mean, costs = model.mean(covariance)[index], Costs.exact(self._expected_costs(estimate)[index])
        bound = np.minimum(pool.deviation, model.prior_standard_deviation(pool.features))[index]
        weight = self._weight(index)
        scores = weight * self._acquisition(estimate, costs, mean, bound)
        predicted = costs.mean[:, self.extractor.num_cheap :].sum(axis=1)
        ranked = np.lexsort((predicted, -scores))  # if none is expected to keep a limit, those that are nearest
        num_exact = max(int(MAX_DEVIATION_MULTIPLICATIONS / model.num_observations**2), MIN_SCORED_DEVIATIONS)
        top = ranked[: min(num_exact, MAX_UNCERTAIN_COSTS) if estimate.secondary else num_exact]
        deviation = model.standard_deviation(covariance[index[top]], pool.features[index[top]])
        costs = Costs(costs.mean[top], self._cost_deviations(estimate, index[top]))
        exact = weight[top] * self._acquisition(estimate, costs, mean[top], deviation)
        scores = np.minimum(scores, exact.max() * (1 - 1e-9))  # a bound alone cannot win
        scores[top] = exact
        pool.score[index], pool.deviation[index[top]] = scores, deviation

    def _expected_costs(self, estimate: FrontEstimate) -> Floats:
        """The costs of all candidates and the means of those that are predicted, `(candidates, costs)`."""
        pool = self.pool
        predicted = [objective.process.mean(pool.covariance(objective.process)) for objective in estimate.secondary]
        return np.column_stack([pool.costs, *predicted])

    def _cost_deviations(self, estimate: FrontEstimate, index: Indices) -> Floats:
        """The standard deviations of the predicted costs of the candidates `index`, `(m, predicted costs)`."""
        pool = self.pool
        deviations = [
            process.standard_deviation(pool.covariance(process)[index], pool.features[index])
            for process in (objective.process for objective in estimate.secondary)
        ]
        return np.stack(deviations, axis=1) if deviations else np.zeros((len(index), 0))

    def _acquisition(self, estimate: FrontEstimate, costs: Costs, mean: Floats, deviation: Floats) -> Floats:
        """The expected hypervolume improvement of candidates, times the probability that they keep a limit, `(m,)`.

        That of a cost needs no probability: beyond it there is no improvement.
        """
        warp = estimate.warp
        improvement = estimate.improvement.expected(costs, mean, deviation, warp)
        if not np.isfinite(self.primary_limit):
            return improvement
        limit = min(self.primary_limit, warp.ceiling - 1e-9 * warp.unit)
        return np.asarray(scipy.special.ndtr((mean - warp(np.array(limit))) / deviation) * improvement)
