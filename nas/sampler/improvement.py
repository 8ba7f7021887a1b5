"""Expected hypervolume improvement where all objectives but one are known exactly.

Points have costs (minimised, scaled; the reference is 1 in each) and one uncertain objective y (maximised). At each place of
the cost box, the level to beat is the best y of the front's points that are no dearer. A candidate of costs e is better
where it is no dearer than the place, by `max(y - level, 0)`; so

    EHVI(e) = sum over levels  volume{places >= e of that level}  *  E[max(y - level, 0)]

With one cost the volumes are lengths of strips; with none there is one level (expected improvement); with more
they are counted on quasi-random places.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nas.sampler.warp import LogError

Floats = NDArray[np.float64]

PLACES = 512


@lru_cache(maxsize=8)
def _places(dimensions: int) -> Floats:
    from scipy.stats import qmc  # takes a while, and two objectives need none

    return np.asarray(qmc.Sobol(dimensions, seed=0).random(PLACES))


class Front:
    """The levels that a set of observed points leaves to beat.

    Args:
        costs: of the points, scaled, `(n, k)`.
        y: of the points, `(n,)`.
        worst: the level where no point reaches: the reference of y.
    """

    def __init__(self, costs: Floats, y: Floats, worst: float) -> None:
        self.dimensions = costs.shape[1]
        if self.dimensions == 0:
            self.levels = np.array([max(float(y.max(initial=worst)), worst)])
        elif self.dimensions == 1:
            order = np.lexsort((-y, costs[:, 0]))
            best = np.maximum.accumulate(np.concatenate([[worst], y[order]]))
            rises = best[1:] > best[:-1]
            self.edges = costs[order, 0][rises]
            self.levels = np.concatenate([[worst], best[1:][rises]])
        else:
            places = _places(self.dimensions)
            covered = (costs[None, :, :] <= places[:, None, :]).all(-1)
            levels = np.where(covered, y[None, :], worst).max(1, initial=worst)
            self.levels, index = np.unique(levels, return_inverse=True)
            self._one_hot = np.eye(len(self.levels), dtype=np.float32)[index] / np.float32(PLACES)

    def volumes(self, costs: Floats) -> Floats:
        """For candidates of `costs` `(m, k)` the volume that each dominates at each level, `(m, levels)`."""
        if self.dimensions == 0:
            return np.ones((len(costs), 1))
        if self.dimensions == 1:
            ends = np.concatenate([self.edges, [max(1.0, self.edges.max(initial=1.0))]])
            starts = np.concatenate([[-np.inf], self.edges])
            return np.clip(ends[None, :] - np.maximum(starts[None, :], costs), 0, None)
        places = _places(self.dimensions)
        reached = costs[:, None, 0] <= places[None, :, 0]
        for j in range(1, self.dimensions):
            reached &= costs[:, None, j] <= places[None, :, j]
        return np.asarray(reached.astype(np.float32) @ self._one_hot, dtype=np.float64)

    def expected_improvement(self, costs: Floats, mean: Floats, deviation: Floats, warp: LogError) -> Floats:
        """EHVI of candidates of `costs` `(m, k)` whose warped y is normal with `mean` and `deviation`, each `(m,)`."""
        gain = warp.improvement(mean[:, None], deviation[:, None], self.levels[None, :])
        return np.einsum("ij,ij->i", self.volumes(costs), gain)
