"""Expected hypervolume improvement where some objectives are known exactly.

Points have costs (minimised, scaled from 0 to 1; the reference is `ends`) and one uncertain objective y (maximised). At each
place of the cost box, the level to beat is the best y of the front's points that cost no more. A candidate of costs e improves
on a place that costs no less than e, by `max(y - level, 0)`. So

    EHVI(e) = sum over levels  volume{places >= e of that level}  *  E[max(y - level, 0)]

With one cost the volumes are lengths of intervals. Without costs there is one level (expected improvement). With more costs
the volumes are estimated by quasi-random (Sobol) places.

A cost may be uncertain, too: that of another objective that needs training. It is normal and independent of the others, so the
expectation is a product, and what was a volume is an expected volume:

    EHVI = mean over places  prod_j P(cost_j <= place_j)  *  E[max(y - level, 0)]

The probability is 0 or 1 for a cost that is exact. It does not change if place and cost are transformed alike, so each cost may
have a scale of its own on which it is normal (Emmerich et al., 2011, derive the integral for a box decomposition).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.sampler.warp import LogErrorWarp

Floats = NDArray[np.float64]

NUM_SOBOL_PLACES = 512


@dataclass(frozen=True)
class Costs:
    """The costs of m candidates.

    Args:
        mean: the expected ones, `(m, k)`.
        deviation: the standard deviations of the last u of them, `(m, u)`; the others are exact.
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def exact(cls, costs: Floats) -> Costs:
        """The exact costs `(m, k)`."""
        return cls(costs, np.zeros((len(costs), 0)))


@lru_cache(maxsize=8)
def sobol_places(dimensions: int) -> Floats:
    """Quasi-random places of the unit cube, `(NUM_SOBOL_PLACES, dimensions)`."""
    from scipy.stats import qmc  # slow to import, and two objectives do not need it

    return np.asarray(qmc.Sobol(dimensions, seed=0).random(NUM_SOBOL_PLACES))


class HypervolumeImprovement:
    """The improvement over a set of observed points.

    Args:
        costs: of the points, scaled, `(n, k)`.
        y: of the points, `(n,)`.
        reference: the level where no point reaches: the reference value of y.
        ends: the reference value of each cost, `(k,)`.
        places: of the cost box, `(NUM_SOBOL_PLACES, k)`, in the scale of each cost; they are needed if a cost is uncertain.
    """

    def __init__(self, costs: Floats, y: Floats, reference: float, ends: Floats, places: Floats | None = None) -> None:
        self.ends = ends
        self.num_costs = costs.shape[1]
        if places is None and self.num_costs > 1:
            places = sobol_places(self.num_costs) * ends
        self._places = places
        self._costs, self._y, self._reference = costs, y, reference
        if places is not None:
            reached = (costs[None, :, :] <= places[:, None, :]).all(-1)
            levels = np.where(reached, y[None, :], reference).max(1, initial=reference)
            self.levels, index = np.unique(levels, return_inverse=True)
            self._one_hot = np.eye(len(self.levels), dtype=np.float32)[index] / np.float32(NUM_SOBOL_PLACES)
        elif self.num_costs == 0:
            self.levels = np.array([max(float(y.max(initial=reference)), reference)])
        else:
            order = np.lexsort((-y, costs[:, 0]))
            best = np.maximum.accumulate(np.concatenate([[reference], y[order]]))
            rises = best[1:] > best[:-1]
            self.edges = costs[order, 0][rises]
            self.levels = np.concatenate([[reference], best[1:][rises]])

    def with_points(self, costs: Floats, y: Floats) -> HypervolumeImprovement:
        """The improvement over the points and further ones of the given `costs` and `y`."""
        return HypervolumeImprovement(
            np.concatenate([self._costs, costs]), np.concatenate([self._y, y]), self._reference, self.ends, self._places
        )

    def volumes(self, costs: Costs) -> Floats:
        """For m candidates the volume that each is expected to dominate at each level, `(m, levels)`."""
        if self._places is not None:
            return np.asarray(self._reached(costs, self._places) @ self._one_hot, dtype=np.float64)
        if self.num_costs == 0:
            return np.ones((len(costs.mean), 1))
        ends = np.minimum(np.concatenate([self.edges, [np.inf]]), self.ends[0])
        starts = np.concatenate([[-np.inf], self.edges])
        return np.clip(ends[None, :] - np.maximum(starts[None, :], costs.mean), 0, None)

    @staticmethod
    def _reached(costs: Costs, places: Floats) -> NDArray[np.float32]:
        """The probability that a candidate costs no more than a place, `(m, places)`."""
        num_exact = costs.mean.shape[1] - costs.deviation.shape[1]
        reached = np.ones((len(costs.mean), len(places)), dtype=bool)
        for mean, place in zip(costs.mean.T[:num_exact], places.T, strict=False):
            reached &= mean[:, None] <= place[None, :]
        probability = reached.astype(np.float32)
        uncertain = zip(costs.mean.T[num_exact:], costs.deviation.T, places.T[num_exact:], strict=True)
        for mean, deviation, place in uncertain:
            probability *= scipy.special.ndtr((place[None, :] - mean[:, None]) / deviation[:, None])
        return probability

    def expected(self, costs: Costs, mean: Floats, deviation: Floats, warp: LogErrorWarp) -> Floats:
        """EHVI of m candidates of `costs` whose warped y is normal with `mean` and `deviation`, each `(m,)`."""
        gain = warp.expected_improvement(mean[:, None], deviation[:, None], self.levels[None, :])
        return np.einsum("ij,ij->i", self.volumes(costs), gain)
