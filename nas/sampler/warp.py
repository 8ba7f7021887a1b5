"""Scales on which objectives are modelled and weighed.

Accuracies crowd below a ceiling, and what a choice changes is a share of the error: so an objective is modelled as
`z = -log(ceiling - y)`, in which differences at the top are stretched. The ceiling is chosen by likelihood among some
above the best observed; the highest leave the objective nearly as it is.

Costs spread over magnitudes, and neither their logarithm nor they themselves are the only right scale of a front:
`CostScale` is the mean of both, from 0 at the cheapest to 1 at the dearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

SAME = 1e-9  # share of the values within which they are taken as one
MARGINS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 3.0, 20.0)  # of the ceiling above the best, in ranges of what was observed


@dataclass(frozen=True)
class LogError:
    """`z = -log((ceiling - y) / unit)`, rising with y."""

    ceiling: float
    unit: float

    def __call__(self, y: Floats) -> Floats:
        """The warped values of `y`, which must be below the ceiling."""
        return -np.log((self.ceiling - y) / self.unit)

    def inverse(self, z: Floats) -> Floats:
        """The values that are warped to `z`."""
        return np.asarray(self.ceiling - self.unit * np.exp(-z))

    def log_slope(self, y: Floats) -> Floats:
        """log(dz/dy)."""
        return -np.log(self.ceiling - y)

    def improvement(self, mean: Floats, deviation: Floats, level: Floats) -> Floats:
        """`E[max(y - level, 0)]` where z is normal, by broadcasting; `level` below the ceiling."""
        room = self.ceiling - level
        depth = (mean + np.log(room / self.unit)) / deviation
        expected_error = self.unit * np.exp(np.minimum(-mean + 0.5 * deviation**2, 700.0))
        return np.maximum(room * ndtr(depth) - expected_error * ndtr(depth - deviation), 0.0)


def ceilings(y: Floats) -> list[LogError]:
    """The warps to choose from for observations `y`."""
    best, spread = float(y.max()), float(y.max() - y.min())
    if spread <= SAME * max(abs(best), 1e-300):
        spread = max(abs(best), 1.0)
    return [LogError(best + margin * spread, spread) for margin in MARGINS]


@dataclass(frozen=True)
class CostScale:
    """A rising scale of costs: 0 at `low`, 1 at `high`; where they have one sign the mean of a linear and a logarithmic one.

    Negative costs are a benefit to be maximised: their logarithm is that of the benefit, mirrored.
    """

    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> CostScale:
        """The scale on which `values` fill 0 to 1."""
        return cls(float(values.min()), float(values.max()))

    def __call__(self, values: Floats) -> Floats:
        """`values` on the scale."""
        if self.high <= self.low:
            return np.zeros_like(values)
        linear = (values - self.low) / (self.high - self.low)
        return np.asarray((linear + self.logarithmic(values)) / 2)

    def logarithmic(self, values: Floats) -> Floats:
        """Only the logarithmic scale; the linear one where there is none."""
        if self.high <= self.low:
            return np.zeros_like(values)
        if self._sign == 0:
            return np.asarray((values - self.low) / (self.high - self.low))
        least = 1e-3 * min(abs(self.low), abs(self.high))
        magnitude = np.maximum(self._sign * values, least)
        return np.asarray(np.log(magnitude / abs(self.low)) / np.log(self.high / self.low))

    def from_logarithmic(self, scaled: Floats) -> Floats:
        """The inverse of `logarithmic`."""
        if self.high <= self.low or self._sign == 0:
            return np.asarray(self.low + scaled * (self.high - self.low))
        return np.asarray(self.low * np.exp(scaled * np.log(self.high / self.low)))

    @property
    def _sign(self) -> int:
        return 1 if self.low > 0 else -1 if self.high < 0 else 0
