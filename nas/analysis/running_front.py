"""The Pareto front and the hypervolume of trials that come one after another.

Only trials that enter the front matter to both. They are few, so that a trial costs the same at the end of a large study as at
its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.analysis.front import Bounds, Floats, Volume, normalise
from nas.objectives import Objective


@dataclass
class FrontEntry:
    """A trial that entered the front.

    Args:
        trial: its number.
        values: its objectives, `(m,)`.
        removed_by: the number of the trial that removed it from the front; -1 while it is on the front.
    """

    trial: int
    values: Floats
    removed_by: int = -1


class RunningFront:
    """The front of trials that are added in the order in which they finished.

    Args:
        objectives: the columns of values.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self.entries: list[FrontEntry] = []
        self._signs = np.array([1.0 if objective.direction == "maximize" else -1.0 for objective in objectives])
        self._low = np.full(len(self.objectives), np.inf)
        self._high = np.full(len(self.objectives), -np.inf)
        self._hypervolumes: list[float] | None = []

    def add(self, trial: int, values: Floats) -> bool:
        """Add the complete trial `trial` with finite `values`, `(m,)`; returns True if it enters the front.

        Equal values do not dominate each other.
        """
        self._extend_bounds(values)
        better = values * self._signs
        current = [entry for entry in self.entries if entry.removed_by < 0]
        if current:
            front = np.array([entry.values for entry in current]) * self._signs
            if ((front >= better).all(axis=1) & (front > better).any(axis=1)).any():
                return False
            for index in np.flatnonzero((better >= front).all(axis=1) & (better > front).any(axis=1)):
                current[index].removed_by = trial
        self.entries.append(FrontEntry(trial, values))
        self._hypervolumes = None
        return True

    def _extend_bounds(self, values: Floats) -> None:
        if (values < self._low).any() or (values > self._high).any():
            self._low, self._high = np.minimum(self._low, values), np.maximum(self._high, values)
            self._hypervolumes = None

    @property
    def bounds(self) -> Bounds:
        """The worst and the best value of each objective over all trials that were added."""
        if not self.entries:
            return Bounds.of(np.empty((0, len(self.objectives))), self.objectives)
        return Bounds.of(np.array([self._low, self._high]), self.objectives)

    @property
    def hypervolumes(self) -> list[float]:
        """The hypervolume after each entry, in the box of all trials that were added."""
        if self._hypervolumes is None:
            bounds = self.bounds
            values = np.array([entry.values for entry in self.entries])
            volume = Volume(len(self.objectives))
            points = normalise(values, self.objectives, bounds)
            self._hypervolumes = [0.0] * len(points) if bounds.is_point else [volume.add(point) for point in points]
        return self._hypervolumes

    @property
    def trials(self) -> list[int]:
        """The numbers of the trials on the front."""
        return [entry.trial for entry in self.entries if entry.removed_by < 0]
