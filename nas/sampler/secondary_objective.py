"""The model of an objective that needs training beside the primary one: a measured throughput, another accuracy.

It is a Gaussian process of a cost, to be minimised, on the logarithmic scale of `CostScale`; its mean and its deviation both
count (`nas.sampler.improvement`). Noisy measurements do not: the front consists of the posterior means of the points that were
measured, as for the primary objective.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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
        self._scale = CostScale(0.0, 1.0)

    def fit(self, features: Features, values: Floats, rng: Rng) -> None:
        """Choose the scale and the hyper-parameters by the measured `values`, `(n,)`; NaN where nothing was measured."""
        measured = np.isfinite(values)
        self._scale = CostScale.of(values[measured]).ending_at(replace(self.goal, limit=np.inf))
        self.process.fit(features[measured], self._scale.logarithmic(values[measured]), rng)

    def condition(self, features: Features, values: Floats, pending: Features) -> Floats:
        """Condition the model on `values` (as of `fit`) and, as predicted, on `pending` points.

        Returns:
            The posterior means of all these points, NaN where nothing was measured, `(n + pending,)`.
        """
        measured = np.isfinite(values)
        known, cost = features[measured], self._scale.logarithmic(values[measured])
        self.process.condition(known, cost)
        if len(pending):
            cost = np.concatenate([cost, self.process.predict_mean(pending)])
            self.process.condition(known.concatenate(pending), cost)
        mean = np.full(len(values) + len(pending), np.nan)
        mean[np.append(measured, np.ones(len(pending), dtype=bool))] = self.process.observed_mean
        return mean

    def places(self, shares: Floats, margin: float) -> Floats:
        """`shares` of the range in which values count, on the scale of the model, `(n,)`.

        The range begins below the lowest value that was measured, since others may be lower. It ends at the limit or the
        reference; if there is none, above the highest value by `margin`, a share of the range.
        """
        scale, worst = self._scale, min(self.goal.limit, self.goal.reference)
        end = min(1.0 + margin, float(scale(np.array(worst)))) if np.isfinite(worst) else 1.0 + margin
        start = min(end, 0.0) - UNSEEN_SHARE
        places = start + shares * (end - start)
        grid = np.linspace(2 * start, max(2 * end, 1.0), NUM_INTERPOLATED)
        scaled = scale(scale.from_logarithmic(grid))
        return np.interp(places, scaled, grid) if scaled[-1] > scaled[0] else places
