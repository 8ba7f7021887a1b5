"""A random forest whose trees are samples of the posterior; the expected hypervolume improvement over them, with exact costs."""

from __future__ import annotations

import moocore
import numpy as np
from sklearn.ensemble import RandomForestRegressor

from search_suite.front import nondominated
from search_suite.rivals.rows import Data, RowSampler
from search_suite.space import Floats

TREES = 100
SAMPLES = 16
"""Means of random trees, for each of which the improvements are computed."""
TREES_OF_SAMPLE = 6
MAX_SCORED = 60
"""Candidates that no other dominates whose improvement is computed, for each sample."""


class ForestSampler(RowSampler):
    """A forest for each trained objective, on the encoded choices, the counts of equal values, and the costs."""

    def choose(self, data: Data, candidates: Floats) -> int:
        costs = self.cost_losses(candidates)
        known, points = self._features(data.rows), self._features(candidates)
        predictions = np.repeat(costs[None], TREES, axis=0)
        for i, item in enumerate(self.context.objectives):
            if item.compute is None:
                forest = RandomForestRegressor(TREES, max_features=0.6, min_samples_leaf=2, random_state=len(data.rows))
                forest.fit(known, data.losses[:, i])
                predictions[:, :, i] = [tree.predict(points) for tree in forest.estimators_]
        low, high = data.losses.min(axis=0), data.losses.max(axis=0)
        width = np.where(high > low, high - low, 1.0)
        front = nondominated((data.losses - low) / width)
        predictions = (predictions - low) / width
        gains = np.zeros(len(candidates))
        for _ in range(SAMPLES):
            trees = self.rng.choice(TREES, TREES_OF_SAMPLE, replace=False)
            self._add_gains(gains, predictions[trees].mean(axis=0), front)
        return int(gains.argmax()) if gains.any() else int(self.rng.integers(len(candidates)))

    def _features(self, rows: Floats) -> Floats:
        return np.concatenate([self.encode(rows), self._counts(rows), np.nan_to_num(self.cost_losses(rows))], axis=1)

    def _counts(self, rows: Floats) -> Floats:
        """How often each value is chosen, over the parameters that have the same values."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, parameter in enumerate(self.space.parameters):
            groups.setdefault(parameter.values, []).append(i)
        columns = [
            (rows[:, indices] == level).sum(axis=1)
            for values, indices in groups.items()
            if len(indices) > 1
            for level in range(len(values))
        ]
        return np.array(columns).reshape(-1, len(rows)).T

    def _add_gains(self, gains: Floats, sample: Floats, front: Floats) -> None:
        """Add the hypervolume that each candidate would add to `front` if it had the values in `sample`."""
        reference = np.full(sample.shape[1], 1.1)
        inside = np.flatnonzero((sample < reference).all(axis=1))
        dominated = np.any(np.all(front[None] <= sample[inside, None], axis=2), axis=1)
        inside = inside[~dominated]
        if not len(inside):
            return
        inside = inside[moocore.is_nondominated(sample[inside], keep_weakly=True)]
        before = moocore.hypervolume(front, ref=reference)
        for i in inside[self.rng.permutation(len(inside))[:MAX_SCORED]]:
            gains[i] += moocore.hypervolume(np.vstack([front, sample[i]]), ref=reference) - before
