"""The models of the objectives that need training, and the front that they estimate.

The primary objective is modelled by a Gaussian process of its log-warped error. Each secondary one (a measured throughput) has
a Gaussian process too (`secondary_objective`). Pending points, which are being trained, count as if their results were those
predicted (kriging believer), so that parallel workers get different points.

Costs are minimised; the primary objective y is maximised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.sampler.domain import Point, Rng
from nas.sampler.features import FeatureExtractor, Features
from nas.sampler.gaussian_process import GaussianProcess
from nas.sampler.improvement import HypervolumeImprovement, sobol_places
from nas.sampler.secondary_objective import UNSEEN_SHARE, SecondaryObjective
from nas.sampler.warp import CostGoal, LogErrorWarp, candidate_warps

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MAX_MODEL_OBSERVATIONS = 400  # observations that a model is conditioned on
REFIT_GROWTH = 1.1  # factor by which observations grow between two fits of the hyper-parameters
MAX_NEW_OBSERVATIONS = 100  # beyond those chosen, until others are chosen
REFERENCE_MARGIN = 0.01
"""By so much of its range the reference of a cost lies above the highest one, unless it is given: so points at the end count."""
PRIOR_COST_TREND = 2.5  # rise of the primary objective from lowest to highest cost without data, in standard deviations


@dataclass(frozen=True)
class Observations(Generic[Point]):
    """The results of n trainings, complete or stopped early.

    Args:
        points: the trained points.
        y: the primary objective, `(n,)`.
        secondary: further modelled objectives, minimised, `(n, m)`; NaN where unknown.
        shortfall: 0 for a complete training, up to 1 for the shortest, `(n,)`.
        cheap: the cheap objectives, minimised, `(n, k)`; NaN where they must be computed.
    """

    points: Sequence[Point]
    y: Floats
    secondary: Floats
    shortfall: Floats
    cheap: Floats

    def __len__(self) -> int:
        return len(self.y)

    def last_points(self, count: int) -> list[Point]:
        """The points of the last `count` complete trainings."""
        complete = np.nonzero(self.shortfall == 0)[0]
        return [self.points[i] for i in complete[-count:].tolist()]

    def __getitem__(self, index: Indices) -> Observations[Point]:
        points = [self.points[i] for i in index.tolist()]
        return Observations(points, self.y[index], self.secondary[index], self.shortfall[index], self.cheap[index])


@dataclass(frozen=True)
class FrontEstimate:
    """The estimated front while trials run.

    Args:
        improvement: the expected hypervolume improvement over the front.
        warp: the scale on which the primary objective is modelled.
        points: those on the front, among those observed and pending.
        refitted: the hyper-parameters of the primary model are new.
        secondary: the models of the last costs of `improvement`.
        observed: the points that the models have learned from, and the pending ones.
        complete: the indices of those whose training is not one that was stopped.
    """

    improvement: HypervolumeImprovement
    warp: LogErrorWarp
    points: Sequence[Any]
    refitted: bool
    secondary: Sequence[SecondaryObjective] = ()
    observed: Sequence[Any] = ()
    complete: Indices = field(default_factory=lambda: np.arange(0))


class ObjectiveModels(Generic[Point]):
    """The models of the primary and the secondary objectives.

    Args:
        extractor: computes the costs and features of points.
        secondary_goals: what counts of each secondary objective.
        reference: the value of the primary objective below which points do not count; -inf if none was given.
    """

    def __init__(
        self,
        extractor: FeatureExtractor[Point],
        secondary_goals: Sequence[CostGoal],
        reference: float,
    ) -> None:
        self.extractor = extractor
        self.reference = reference
        told = np.isfinite([goal.reference for goal in extractor.goals])
        self._ends = np.where(told, 1.0, 1.0 + REFERENCE_MARGIN)
        # The points of lowest and highest cost show how bad others may be. Where nothing is cheap, the ends are not known.
        self._margin = UNSEEN_SHARE if secondary_goals and not extractor.goals else 0.0
        shape = (extractor.domain.encoding, extractor.num_linear, extractor.num_smooth)
        self.primary = GaussianProcess(*shape)
        self.secondary = [SecondaryObjective(GaussianProcess(*shape), goal) for goal in secondary_goals]
        self._warp: LogErrorWarp | None = None
        self._fitted_on = 0
        self._chosen_on = 0
        self._kept: Indices = np.arange(0)

    def estimate_from_costs(self, points: Sequence[Point]) -> FrontEstimate:
        """The front of `points` without results: each is assumed to be as good as its cost lets expect."""
        values = self.extractor.function_values(points)
        features = self.extractor.features(points, values)
        self.primary.theta = self.primary.prior_mean.copy()
        self.primary.condition(features, PRIOR_COST_TREND * self.extractor.scales[0].logarithmic(values[:, 0]))
        z = self.primary.observed_mean
        complete = np.ones(len(z), dtype=bool)
        costs = self.extractor.costs(values)
        return self._front(points, costs, z, LogErrorWarp(1.0, 1.0), complete, True, [])

    def estimate_front(self, observations: Observations[Point], pending: Sequence[Point], rng: Rng) -> FrontEstimate:
        """Condition the models on `observations` and, as predicted, on `pending` points; the front of both."""
        count = len(observations)
        warp = self._warp
        refit = warp is None or count >= REFIT_GROWTH * self._fitted_on or observations.y.max() >= warp.ceiling
        if refit or count > self._chosen_on + MAX_NEW_OBSERVATIONS:
            self._kept = self._representative(observations, rng)
            self._chosen_on = count
        if refit:
            self._fitted_on = count
        trained = observations[np.concatenate([self._kept[self._kept < count], np.arange(self._chosen_on, count)])]
        values = self.extractor.function_values(trained.points)
        features = replace(self.extractor.features(trained.points, values), shortfall=trained.shortfall)
        if warp is None or refit:
            warp = self._warp = self._fit(features, trained, rng)
        z = warp(trained.y)
        self.primary.condition(features, z)
        pending_values = self.extractor.function_values(pending)
        pending_features = self.extractor.features(pending, pending_values)
        if len(pending):
            z = np.concatenate([z, self.primary.predict_mean(pending_features)])
            self.primary.condition(features.concatenate(pending_features), z)
        secondary = self._measured(trained)
        predicted = [objective.condition(features, column, pending_features) for objective, column in secondary]
        costs = np.column_stack([self.extractor.costs(np.concatenate([values, pending_values])), *predicted])
        complete = np.append(trained.shortfall == 0, np.ones(len(pending), dtype=bool))
        points = [*trained.points, *pending]
        models = [objective for objective, _ in secondary]
        return self._front(points, costs, self.primary.observed_mean, warp, complete, refit, models)

    def _measured(self, trained: Observations[Point]) -> list[tuple[SecondaryObjective, Floats]]:
        """The secondary objectives that have a value, and their values, `(n,)`; the others do not count yet."""
        columns = zip(self.secondary, trained.secondary.T, strict=True)
        return [(objective, column) for objective, column in columns if np.isfinite(column).any()]

    def _representative(self, observations: Observations[Point], rng: Rng) -> Indices:
        """The indices of at most `MAX_MODEL_OBSERVATIONS`: half of them the nearest to the front, the others random."""
        count, half = len(observations), MAX_MODEL_OBSERVATIONS // 2
        if count <= MAX_MODEL_OBSERVATIONS:
            return np.arange(count)
        cheap = observations.cheap.copy()
        unknown = np.nonzero(np.isnan(cheap).any(axis=1))[0]
        values = self.extractor.function_values([observations.points[i] for i in unknown.tolist()])
        cheap[unknown] = values[:, : cheap.shape[1]]
        losses = np.column_stack([self.extractor.costs(cheap), observations.secondary, -observations.y])
        rank = moocore.pareto_rank(np.nan_to_num(losses, nan=np.inf))
        order = np.lexsort((rank, observations.shortfall > 0))
        others = rng.choice(order[half:], MAX_MODEL_OBSERVATIONS - half, replace=False)
        return np.sort(np.concatenate([order[:half], others]))

    def _fit(self, features: Features, trained: Observations[Point], rng: Rng) -> LogErrorWarp:
        """Choose the hyper-parameters, and the warp, which is returned."""
        y = trained.y
        warps = candidate_warps(y, self.reference)
        losses = self.primary.losses(features, [warp(y) for warp in warps])
        corrected = [loss - warp.log_slope(y).sum() for loss, warp in zip(losses, warps, strict=True)]
        warp = warps[int(np.argmin(corrected))]
        self.primary.fit(features, warp(y), rng)
        for objective, values in self._measured(trained):
            objective.fit(features, values, rng)
        return warp

    def _front(
        self,
        points: Sequence[Any],
        costs: Floats,
        z: Floats,
        warp: LogErrorWarp,
        complete: NDArray[np.bool_],
        refitted: bool,
        secondary: Sequence[SecondaryObjective],
    ) -> FrontEstimate:
        """The front of the posterior means `z`, which are nearer the truth than noisy observations, of complete trainings."""
        y = warp.inverse(z)
        index = np.nonzero(complete)[0]
        table = np.column_stack([costs[index], -y[index]])
        members = index[moocore.is_nondominated(table)] if len(table) else index
        reference = max(self.reference, float(y.min()) - self._margin * float(np.ptp(y)) - 1e-9)
        reference = min(reference, warp.ceiling - 1e-9 * warp.unit)
        improvement = HypervolumeImprovement(
            costs[members], y[members], reference, self._ends, self._places(secondary) if secondary else None
        )
        front = [points[i] for i in members.tolist()]
        return FrontEstimate(improvement, warp, front, refitted, secondary, points, index)

    def _places(self, secondary: Sequence[SecondaryObjective]) -> Floats:
        """Places of the box of all costs, each on the scale of its cost, `(places, costs)`."""
        num_cheap = len(self._ends)
        shares = sobol_places(num_cheap + len(secondary))
        margin = max(self._margin, REFERENCE_MARGIN)
        columns = [objective.places(shares[:, num_cheap + j], margin) for j, objective in enumerate(secondary)]
        return np.column_stack([shares[:, :num_cheap] * self._ends, *columns])
