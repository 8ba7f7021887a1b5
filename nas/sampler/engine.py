"""What to train next: the point of largest expected hypervolume improvement, given what is known and what was observed.

One objective is dear (the primary one): it is modelled by a Gaussian process of its log-warped error. The cheap ones are
exact. Any others (a measured throughput) are modelled too, and taken as they are predicted. Points that are being trained
count as if they had turned out as predicted (kriging believer), so that parallel workers get different ones.

Knows neither Optuna's studies nor what a point is: costs are minimised, the one primary y is maximised.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Generic

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.sampler.domain import Domain, Point
from nas.sampler.gp import Features, GaussianProcess
from nas.sampler.improvement import Front
from nas.sampler.pool import Describer, Known, Pool
from nas.sampler.warp import CostScale, LogError, ceilings

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

ENUMERATED = 30_000  # a space of more points is searched by candidates
CANDIDATES = 1_200
WORK = 6e7  # multiplications spent on the deviations of candidates at a suggestion
KEPT = 400  # observations that a model is conditioned on
INITIAL = 3  # points trained before the model is asked
GROWTH = 1.1  # of the observations between two fits of the hyper-parameters
TREND = 2.5  # deviations of the primary objective from the cheapest to the dearest point, before anything is known


@dataclass(frozen=True)
class Observed(Generic[Point]):
    """What came of n trainings, whole ones or cut short.

    Args:
        points: that were trained.
        y: the primary objective, `(n,)`.
        others: further modelled objectives, minimised, `(n, m)`; NaN where they are not known.
        shortfall: 0 for a whole training, rising to 1 for the shortest, `(n,)`.
    """

    points: Sequence[Point]
    y: Floats
    others: Floats
    shortfall: Floats

    def __getitem__(self, index: Indices) -> Observed[Point]:
        points = [self.points[i] for i in index]
        return Observed(points, self.y[index], self.others[index], self.shortfall[index])


@dataclass(frozen=True)
class Belief:
    """What is believed of the front while trials run.

    Args:
        front: the levels to beat.
        warp: the scale on which the primary objective is modelled.
        members: indices of the points on the front, among those observed and pending.
    """

    front: Front
    warp: LogError
    members: Indices


class Engine(Generic[Point]):
    """Proposes points of a domain.

    Args:
        domain: the points.
        cheap: functions of what `domain.known` gives: the objectives (minimised) that are known before training.
        also: functions of further numbers that tell something of a point.
        others: number of further modelled objectives.
        limits: the highest value allowed of each cheap objective, and then of the others; inf where there is none.
        least: the lowest value of the primary objective allowed.
        feasible: of what `domain.known` gives: may this point be proposed?
        seed: of all that is random.
    """

    def __init__(
        self,
        domain: Domain[Point],
        cheap: Sequence[Known],
        also: Sequence[Known] = (),
        others: int = 0,
        limits: Sequence[float] | None = None,
        least: float = -np.inf,
        feasible: Callable[[Any], bool] | None = None,
        seed: int = 0,
    ) -> None:
        self.domain = domain
        self.rng = np.random.default_rng(seed)
        given = [np.inf] * (len(cheap) + others) if limits is None else list(limits)
        complete = domain.size <= ENUMERATED
        self.describer = Describer(domain, cheap, also, given[: len(cheap)], feasible, complete, self.rng)
        self.pool: Pool[Point] = Pool(self.describer, complete, CANDIDATES)
        self.limits, self.least = given[len(cheap) :], least
        features = self.pool.features
        shape = (domain.coding.group, domain.coding.weight, features.linear.shape[1], features.smooth.shape[1])
        self.model = GaussianProcess(*shape)
        self.other_models = [GaussianProcess(*shape) for _ in range(others)]
        self._other_scales = [CostScale(0.0, 1.0) for _ in range(others)]
        self._warp: LogError | None = None
        self._fitted_on = 0
        self._kept: Indices = np.arange(0)

    def suggest(self, observed: Observed[Point], pending: Sequence[Point], seen: AbstractSet[Hashable]) -> Point | None:
        """The next point to train: none of the keys `seen`. None if there is no such point."""
        learned = len(observed.y) > 4 * INITIAL or len(set(map(self.domain.key, observed.points))) >= INITIAL
        taken = len({self.domain.key(point) for point in (*observed.points, *pending)}) if not learned else INITIAL
        if not learned and (taken < INITIAL or not self.describer.cheap):
            return self._first(taken, seen)
        points = [*observed.points, *pending]
        belief = self._belief(observed, pending) if learned else self._supposition(points)
        if not self.pool.complete:
            self._refresh([points[i] for i in belief.members])
        free = self._free(seen)
        if not len(free):
            return None
        self._score(belief, free)
        if not self.pool.complete:
            new = self.pool.add(
                self.domain.mutated(self.pool.points[i], self.rng) for i in self._leading(self.domain.fresh)
            )
            self._score(belief, np.intersect1d(new, self._free(seen)))
        return self.pool.points[self._leading(1)[0]]

    # Before there is enough to learn from.

    def _first(self, taken: int, seen: AbstractSet[Hashable]) -> Point | None:
        """The cheapest point, then the dearest, then one of the middle; where nothing is cheap a random one."""
        free = self._free(seen)
        if not len(free):
            return None
        if not self.describer.cheap:
            return self.pool.points[int(self.rng.choice(free))]
        costs = self.pool.costs[free, 0]
        if taken < 2:
            return self.pool.points[int(free[np.argmin(costs) if taken == 0 else np.argmax(costs)])]
        ranked = free[np.argsort(costs, kind="stable")]
        middle, reach = len(ranked) // 2, len(ranked) // 16
        return self.pool.points[int(self.rng.choice(ranked[middle - reach : middle + reach + 1]))]

    def _supposition(self, points: Sequence[Point]) -> Belief:
        """Without results: each point is taken to be as good as its cost lets expect."""
        known = self.describer.known(points)
        at = self.describer.features(points, known)
        self.model.theta = self.model.prior_mean.copy()
        self.model.condition(at, TREND * self.describer.scales[0].logarithmic(known[:, 0]))
        self.pool.deviation[:] = np.inf
        return self._front(self.describer.costs(known), self.model.predicted(at), LogError(1.0, 1.0))

    # What is believed.

    def _belief(self, observed: Observed[Point], pending: Sequence[Point]) -> Belief:
        """Condition the models on what was observed and, as predicted, on what is pending."""
        count = len(observed.y)
        due = self._warp is None or count >= GROWTH * self._fitted_on or observed.y.max() >= self._warp.ceiling
        if due:
            self._kept = self._representative(observed)
            self._fitted_on = count
        trained = observed[np.concatenate([self._kept[self._kept < count], np.arange(self._fitted_on, count)])]
        known = self.describer.known(trained.points)
        at = replace(self.describer.features(trained.points, known), shortfall=trained.shortfall)
        if due:
            self._fit(at, trained)
        assert self._warp is not None
        z = self._warp(trained.y)
        self.model.condition(at, z)
        for j, model in enumerate(self.other_models):
            here = np.isfinite(trained.others[:, j])
            if here.any():
                model.condition(at[here], self._other_scales[j].logarithmic(trained.others[here, j]))
        costs = np.column_stack([self.describer.costs(known), self._other_costs(trained.others)])
        whole = trained.shortfall == 0
        if len(pending):
            known = self.describer.known(pending)
            going_on = self.describer.features(pending, known)
            z = np.concatenate([z, self.model.predicted(going_on)])
            predicted = [self._predicted_cost(j, going_on) for j in range(len(self.other_models))]
            costs = np.concatenate([costs, np.column_stack([self.describer.costs(known), *predicted])])
            at, whole = at.then(going_on), np.concatenate([whole, np.ones(len(pending), dtype=bool)])
            self.model.condition(at, z)
        return self._front(costs, self.model.predicted(at), self._warp, whole)

    def _representative(self, observed: Observed[Point]) -> Indices:
        """The indices of at most `KEPT` observations: half of them the nearest to the front, the rest random."""
        count = len(observed.y)
        if count <= KEPT:
            return np.arange(count)
        costs = np.column_stack([self.describer.costs(self.describer.known(observed.points)), observed.others])
        rank = moocore.pareto_rank(np.nan_to_num(np.column_stack([costs, -observed.y]), nan=np.inf))
        order = np.lexsort((rank, observed.shortfall > 0))
        rest = self.rng.choice(order[KEPT // 2 :], KEPT - KEPT // 2, replace=False)
        return np.sort(np.concatenate([order[: KEPT // 2], rest]))

    def _front(self, costs: Floats, z: Floats, warp: LogError, whole: NDArray[np.bool_] | None = None) -> Belief:
        """The front of the believed values; of noisy observations these are nearer the truth."""
        y = warp.inverse(z)
        index = np.arange(len(y)) if whole is None else np.nonzero(whole)[0]
        table = np.column_stack([costs[index], -y[index]])
        members = index[moocore.is_nondominated(table)] if len(table) else index
        return Belief(Front(costs[members], y[members], float(y.min()) - 1e-9), warp, members)

    def _fit(self, at: Features, trained: Observed[Point]) -> None:
        """Choose the warp and the hyper-parameters."""
        self._warp = min(
            ceilings(trained.y), key=lambda warp: self.model.loss(at, warp(trained.y)) - warp.log_slope(trained.y).sum()
        )
        self.model.fit(at, self._warp(trained.y), self.rng)
        for j, model in enumerate(self.other_models):
            here = np.isfinite(trained.others[:, j])
            if here.any():
                self._other_scales[j] = CostScale.of(trained.others[here, j])
                model.fit(at[here], self._other_scales[j].logarithmic(trained.others[here, j]), self.rng)
        self.pool.deviation[:] = np.inf

    def _other_costs(self, others: Floats) -> Floats:
        columns = [scale(column) for scale, column in zip(self._other_scales, others.T, strict=True)]
        return np.stack(columns, axis=1) if columns else np.zeros((len(others), 0))

    def _predicted_cost(self, j: int, at: Features) -> Floats:
        """A further objective on its scale; 0 as long as nothing was measured."""
        scale, model = self._other_scales[j], self.other_models[j]
        if not model.observations:
            return np.zeros(len(at))
        return scale(scale.from_logarithmic(model.predicted(at)))

    # Which candidate is best.

    def _free(self, seen: AbstractSet[Hashable]) -> Indices:
        """The indices of the pool that may be proposed."""
        free = self.pool.feasible.copy()
        index = self.pool.index
        free[[index[key] for key in seen if key in index]] = False
        self.pool.score[~free] = -np.inf
        return np.nonzero(free)[0]

    def _refresh(self, front: Sequence[Point]) -> None:
        """New candidates: random ones, mutants and crossings of the front and of the leading candidates."""
        self.pool.shrink()
        parents = [*front, *(self.pool.points[i] for i in self._leading(len(front) + 8))]
        new = []
        for i in range(self.domain.fresh):
            if i % 4 == 0:
                new.append(self.domain.sample(self.rng))
                continue
            a, b = (parents[int(one)] for one in self.rng.integers(len(parents), size=2))
            new.append(self.domain.mutated(a, self.rng) if i % 4 < 3 else self.domain.crossed(a, b, self.rng))
        self.pool.add(new)

    def _leading(self, count: int) -> list[int]:
        """The indices of the candidates of highest score, as far as it was computed."""
        score = np.where(self.pool.score == np.inf, -np.inf, self.pool.score)
        return [int(i) for i in np.argsort(-score, kind="stable")[:count]]

    def _score(self, belief: Belief, index: Indices) -> None:
        """Score the candidates `index`.

        Deviations are computed only of those that might be the best: with the same hyper-parameters they fall from
        observation to observation, so the last ones computed bound the others'.
        """
        if not len(index):
            return
        pool = self.pool
        at = pool.features[index]
        covariance = self.model.covariance(at)
        mean = self.model.mean(covariance)
        others = range(belief.front.dimensions - self.describer.cheap)
        costs = np.column_stack([pool.costs[index], *(self._predicted_cost(j, at) for j in others)])
        bound = np.minimum(pool.deviation[index], self.model.prior_deviation(at))
        bounded = self._improvement(belief, costs, mean, bound)
        ranked = np.argsort(-bounded, kind="stable")
        looked = ranked[: max(int(WORK / self.model.observations**2), 256)]
        deviation = self.model.deviation(covariance[looked], at[looked])
        exact = self._improvement(belief, costs[looked], mean[looked], deviation)
        bounded = np.minimum(bounded, exact.max() * (1 - 1e-9))  # what was not looked at cannot lead
        bounded[looked] = exact
        pool.score[index], pool.deviation[index[looked]] = bounded, deviation

    def _improvement(self, belief: Belief, costs: Floats, mean: Floats, deviation: Floats) -> Floats:
        """The expected hypervolume improvement of candidates, times the probability that they keep the limits."""
        likely = np.ones(len(costs))
        if np.isfinite(self.least):
            level = min(self.least, belief.warp.ceiling - 1e-9 * belief.warp.unit)
            likely *= ndtr((mean - belief.warp(np.array(level))) / deviation)
        for scale, limit, cost in zip(self._other_scales, self.limits, costs.T[self.describer.cheap :], strict=False):
            if np.isfinite(limit):
                likely *= cost <= scale(np.array(limit))
        return likely * belief.front.expected_improvement(costs, mean, deviation, belief.warp)
