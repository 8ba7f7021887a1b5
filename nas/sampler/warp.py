"""Scales on which objectives are modelled and weighted.

Accuracies crowd below a ceiling, and the effect of a choice is a share of the error. So an objective is modelled as
`z = -log(ceiling - y)`, which stretches differences at the top. The ceiling is chosen by likelihood among several values
above the best observation; the highest ones leave the objective nearly as it is.

Costs spread over orders of magnitude, and neither a logarithmic nor a linear scale alone is right for a front: `CostScale` is
the mean of both, from 0 at the lowest cost to 1 at the highest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EQUAL_VALUES_TOLERANCE = 1e-9  # share of the largest value; within it all values count as equal
CEILING_MARGINS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 3.0, 20.0)  # of the ceiling above the best, in observed ranges


@dataclass(frozen=True)
class LogErrorWarp:
    """`z = -log((ceiling - y) / unit)`, increasing in y.

    Args:
        ceiling: an upper bound of y.
        unit: the error at which z is 0.
    """

    ceiling: float
    unit: float

    def __call__(self, y: Floats) -> Floats:
        """The warped values of `y`, which must be below the ceiling."""
        return -np.log((self.ceiling - y) / self.unit)

    def inverse(self, z: Floats) -> Floats:
        """The values y whose warped values are `z`."""
        return np.asarray(self.ceiling - self.unit * np.exp(-z))

    def log_slope(self, y: Floats) -> Floats:
        """log(dz/dy)."""
        return -np.log(self.ceiling - y)

    def expected_improvement(self, mean: Floats, deviation: Floats, level: Floats) -> Floats:
        """`E[max(y - level, 0)]` where z is normal, by broadcasting; `level` must be below the ceiling."""
        room = self.ceiling - level
        depth = (mean + np.log(room / self.unit)) / deviation
        expected_error = self.unit * np.exp(np.minimum(-mean + 0.5 * deviation**2, 700.0))
        return np.maximum(
            room * scipy.special.ndtr(depth) - expected_error * scipy.special.ndtr(depth - deviation), 0.0
        )


def candidate_warps(y: Floats, reference: float = -np.inf) -> list[LogErrorWarp]:
    """The warps to choose from for the observations `y`, `(n,)`, of which those below `reference` do not matter."""
    best, worst = float(y.max()), float(y.min())
    spread = best - (max(worst, reference) if reference < best else worst)
    if spread <= EQUAL_VALUES_TOLERANCE * max(abs(best), 1e-300):
        spread = max(abs(best), 1.0)
    return [LogErrorWarp(best + margin * spread, spread) for margin in CEILING_MARGINS]


@dataclass(frozen=True)
class CostGoal:
    """What counts of a cost, which is to be minimised.

    Args:
        limit: the highest value allowed; inf if there is no limit.
        reference: the value above which points do not count; inf if none was given.
        log: only ratios matter.
    """

    limit: float = np.inf
    reference: float = np.inf
    log: bool = False


@dataclass(frozen=True)
class CostScale:
    """An increasing scale of costs, 0 at `low` and 1 at `high`: the mean of a linear and a logarithmic scale.

    Costs of both signs have a linear scale only. Negative costs are a benefit to be maximised: their logarithm is that of the
    benefit, mirrored.

    Args:
        low, high: the ends.
        log: the logarithmic scale alone.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, values: Floats) -> CostScale:
        """The scale on which `values` span 0 to 1."""
        return cls(float(values.min()), float(values.max()))

    def ending_at(self, goal: CostGoal) -> CostScale:
        """The scale that ends at the reference of `goal` where that is finite, else at a limit within this one."""
        if self.low < goal.reference < np.inf:
            return CostScale(self.low, goal.reference, goal.log)
        return CostScale(self.low, goal.limit if self.low < goal.limit < self.high else self.high, goal.log)

    def __call__(self, values: Floats) -> Floats:
        """`values` on the scale."""
        if self.high <= self.low:
            return np.zeros_like(values)
        if self.log:
            return self.logarithmic(values)
        linear = (values - self.low) / (self.high - self.low)
        return np.asarray((linear + self.logarithmic(values)) / 2)

    def logarithmic(self, values: Floats) -> Floats:
        """`values` on the logarithmic scale alone; on the linear one where there is no logarithm."""
        if self.high <= self.low:
            return np.zeros_like(values)
        if self._sign == 0:
            return np.asarray((values - self.low) / (self.high - self.low))
        min_magnitude = 1e-3 * min(abs(self.low), abs(self.high))
        magnitude = np.maximum(self._sign * values, min_magnitude)
        return np.asarray(np.log(magnitude / abs(self.low)) / np.log(self.high / self.low))

    def from_logarithmic(self, scaled: Floats) -> Floats:
        """The inverse of `logarithmic`."""
        if self.high <= self.low or self._sign == 0:
            return np.asarray(self.low + scaled * (self.high - self.low))
        return np.asarray(self.low * np.exp(scaled * np.log(self.high / self.low)))

    @property
    def _sign(self) -> int:
        """The sign that all costs have; 0 if they differ."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0
