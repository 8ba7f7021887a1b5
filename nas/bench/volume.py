"""The hypervolume of points that come one by one."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Volume:
    """The share of the unit box that points dominate, seen from 0, where 1 is best; exact.

    Args:
        objectives: the number of coordinates.
    """

    def __init__(self, objectives: int) -> None:
        self.value = 0.0
        self._front = np.empty((0, objectives))

    def add(self, point: Floats) -> float:
        """Take up `point`, `(objectives,)`, and return the volume; a point with NaN (a failure) adds nothing."""
        if not np.isnan(point).any() and not (self._front >= point).all(axis=1).any():
            self._front = np.vstack([self._front[~(point >= self._front).all(axis=1)], point])
            self.value = min(float(moocore.hypervolume(self._front, ref=0.0, maximise=True)), 1.0)
        return self.value
