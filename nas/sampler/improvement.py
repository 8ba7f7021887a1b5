"""Expected hypervolume improvement where all objectives but one are known exactly.

Points have costs (minimised, scaled from 0 to 1; the reference is `ends`) and one uncertain objective y (maximised). At each
place of the cost box, the level to beat is the best y of the front's points that cost no more. A candidate of costs e improves
on a place that costs no less than e, by `max(y - level, 0)`. So

    EHVI(e) = sum over levels  volume{places >= e of that level}  *  E[max(y - level, 0)]

With one cost the volumes are lengths of intervals. Without costs there is one level (expected improvement). With more costs
the volumes are estimated by quasi-random (Sobol) places.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nas.sampler.warp import LogErrorWarp

Floats = NDArray[np.float64]

NUM_SOBOL_PLACES = 512


@lru_cache(maxsize=8)
def _sobol_places(dimensions: int) -> Floats:
    from scipy.stats import qmc  # slow to import, and two objectives do not need it

    return np.asarray(qmc.Sobol(dimensions, seed=0).random(NUM_SOBOL_PLACES))


class HypervolumeImprovement:
    """The improvement over a set of observed points.

    Args:
        costs: of the points, scaled, `(n, k)`.
        y: of the points, `(n,)`.
        reference: the level where no point reaches: the reference value of y.
        ends: the reference value of each cost, `(k,)`.
    """

    def __init__(self, costs: Floats, y: Floats, reference: float, ends: Floats) -> None:
        self.ends = ends
        self.num_costs = costs.shape[1]
        self._costs, self._y, self._reference = costs, y, reference
        if self.num_costs == 0:
            self.levels = np.array([max(float(y.max(initial=reference)), reference)])
        elif self.num_costs == 1:
            order = np.lexsort((-y, costs[:, 0]))
            best = np.maximum.accumulate(np.concatenate([[reference], y[order]]))
            rises = best[1:] > best[:-1]
            self.edges = costs[order, 0][rises]
            self.levels = np.concatenate([[reference], best[1:][rises]])
        else:
            places = self._places
            reached = (costs[None, :, :] <= places[:, None, :]).all(-1)
            levels = np.where(reached, y[None, :], reference).max(1, initial=reference)
            self.levels, index = np.unique(levels, return_inverse=True)
            self._one_hot = np.eye(len(self.levels), dtype=np.float32)[index] / np.float32(NUM_SOBOL_PLACES)

    def with_points(self, costs: Floats, y: Floats) -> HypervolumeImprovement:
        """The improvement over the points and further ones of the given `costs` and `y`."""
        return HypervolumeImprovement(
            np.concatenate([self._costs, costs]), np.concatenate([self._y, y]), self._reference, self.ends
        )

    @property
    def _places(self) -> Floats:
        return _sobol_places(self.num_costs) * self.ends

    def volumes(self, costs: Floats) -> Floats:
        """For candidates of `costs` `(m, k)` the volume that each dominates at each level, `(m, levels)`."""
        if self.num_costs == 0:
            return np.ones((len(costs), 1))
        if self.num_costs == 1:
            ends = np.minimum(np.concatenate([self.edges, [np.inf]]), self.ends[0])
            starts = np.concatenate([[-np.inf], self.edges])
            return np.clip(ends[None, :] - np.maximum(starts[None, :], costs), 0, None)
        places = self._places
        reached = costs[:, None, 0] <= places[None, :, 0]
        for j in range(1, self.num_costs):
            reached &= costs[:, None, j] <= places[None, :, j]
        return np.asarray(reached.astype(np.float32) @ self._one_hot, dtype=np.float64)

    def expected(self, costs: Floats, mean: Floats, deviation: Floats, warp: LogErrorWarp) -> Floats:
        """EHVI of candidates of `costs` `(m, k)` whose warped y is normal with `mean` and `deviation`, each `(m,)`."""
        gain = warp.expected_improvement(mean[:, None], deviation[:, None], self.levels[None, :])
        return np.einsum("ij,ij->i", self.volumes(costs), gain)
