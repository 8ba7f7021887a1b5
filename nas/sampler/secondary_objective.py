"""The model of an objective that needs training beside the primary one: a measured throughput, another accuracy.

It is a Gaussian process of a transformed cost (`cost_transform`), to be minimised; its mean and its deviation both count
(`nas.sampler.improvement`). Noisy measurements do not: the front consists of the posterior means of the points that were
measured, as for the primary objective.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nas.sampler.cost_transform import CostTransform, candidate_transforms
from nas.sampler.domain import Rng
from nas.sampler.features import Features
from nas.sampler.gaussian_process import GaussianProcess
from nas.sampler.warp import CostGoal, CostScale

Floats = NDArray[np.float64]

UNSEEN_SHARE = 0.25  # of the range of what was observed, by which values beyond its ends are expected to count
NUM_INTERPOLATED = 4096  # points from which the inverse of a scale is interpolated


class SecondaryObjective:
    """The model of one secondary objective.

    Args:
        process: its Gaussian process.
        goal: what counts of the objective.
    """

    def __init__(self, process: GaussianProcess, goal: CostGoal) -> None:
        self.process = process
        self.goal = goal
        self._scale = CostScale(0.0, 1.0)  # on which the front is weighed
        self.transform: CostTransform | None = None  # with which costs are modelled

    @property
    def _worst(self) -> float:
        """The highest cost that counts; inf if none was given."""
        return min(self.goal.limit, self.goal.reference)

    def fit(self, features: Features, values: Floats, rng: Rng) -> None:
        """Choose scales and hyper-parameters by the measured `values`, `(n,)`; NaN where nothing was measured."""
        measured = np.isfinite(values)
        known, costs = features[measured], values[measured]
        transform = self._choose(known, costs)
        self.process.fit(known, transform(costs), rng)

    def _choose(self, features: Features, costs: Floats) -> CostTransform:
        """Choose the scales, the transform by its posterior probability given the current hyper-parameters."""
        low, worst = float(costs.min()), self._worst
        scale = CostScale.of(costs).ending_at(replace(self.goal, limit=np.inf))
        self._scale = scale if scale.high > scale.low else CostScale(low, low + max(abs(low), 1.0))
        covered = np.append(costs, worst) if worst < low else costs  # no floor is above a limit
        candidates = candidate_transforms(covered)
        losses = self.process.losses(features, [transform(costs) for transform, _ in candidates])
        corrections = [float(transform.log_slope(costs).sum() + np.log(prior)) for transform, prior in candidates]
        self.transform = candidates[int(np.argmin(np.subtract(losses, corrections)))][0]
        return self.transform

    def condition(self, features: Features, values: Floats, pending: Features) -> Floats:
        """Condition the model on `values` (as of `fit`) and, as predicted, on `pending` points.

        Returns:
            The posterior means of all these points, transformed; NaN where nothing was measured, `(n + pending,)`.
        """
        measured = np.isfinite(values)
        known, costs = features[measured], values[measured]
        transform = self.transform
        if transform is None or not np.isfinite(transform(costs)).all():  # one is below the floor
            transform = self._choose(known, costs)
        cost = transform(costs)
        self.process.condition(known, cost)
        if len(pending):
            cost = np.concatenate([cost, self.process.predict_mean(pending)])
            self.process.condition(known.concatenate(pending), cost)
        mean = np.full(len(values) + len(pending), np.nan)
        mean[np.append(measured, np.ones(len(pending), dtype=bool))] = self.process.observed_mean
        return mean

    def places(self, shares: Floats, margin: float) -> Floats:
        """`shares` of the range in which values count, transformed, `(n,)`.

        The range begins below the lowest value that was measured, since others may be lower. It ends at the limit or the
        reference; if there is none, above the highest value by `margin`, a share of the range.

        Raises:
            RuntimeError: the model was not conditioned.
        """
        if self.transform is None:
            raise RuntimeError("a secondary objective must be conditioned on values first")
        scale, worst = self._scale, self._worst
        end = min(1.0 + margin, float(scale(np.array(worst)))) if np.isfinite(worst) else 1.0 + margin
        start = min(end, 0.0) - UNSEEN_SHARE
        costs = scale.from_logarithmic(np.linspace(2 * start, max(2 * end, 1.0), NUM_INTERPOLATED))
        return self.transform(np.interp(start + shares * (end - start), scale(costs), costs))
