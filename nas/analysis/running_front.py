"""The Pareto front and the hypervolume of trials that come one after another.

Only trials that enter the front matter to both. They are few, so that a trial costs the same at the end of a large study as at
its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.analysis.front import Bounds, Floats, Mask, Volume, normalise
from nas.objectives import Objective

TRIALS_PER_FILTER = 256
"""Trials that are compared with the front at once, before those that may enter it are added one by one."""


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
        self._is_log = np.array([objective.log for objective in objectives])
        self._front = np.empty((0, len(self.objectives)))
        """Values of the trials on the front, the higher the better."""
        self._members: list[int] = []
        """Indices into `entries` of the rows of `_front`."""
        self.extremes = np.array([[np.inf], [-np.inf]]).repeat(len(self.objectives), axis=1)
        """`(2, m)`: the lowest and the highest value of each objective over all trials that have a hypervolume."""
        self._hypervolumes: list[float] = []
        self._volume = Volume(len(self.objectives))

    @classmethod
    def restore(cls, objectives: Sequence[Objective], entries: Sequence[FrontEntry], extremes: Floats) -> RunningFront:
        """The front that had these `entries` and `extremes`."""
        front = cls(objectives)
        front.entries = list(entries)
        front.extremes = np.array(extremes, np.float64)
        front._members = [index for index, entry in enumerate(entries) if entry.removed_by < 0]
        if front._members:
            front._front = np.array([entries[index].values for index in front._members]) * front._signs
        return front

    def add(self, trial: int, values: Floats) -> bool:
        """Add the complete trial `trial` with finite `values`, `(m,)`; returns True if it enters the front.

        Equal values do not dominate each other.
        """
        self._extend_extremes(values[None])
        return self._enter(trial, values)

    def extend(self, trials: Sequence[int], values: Floats) -> None:
        """Add several complete `trials` with finite `values`, `(n, m)`, in their order."""
        for start in range(0, len(trials), TRIALS_PER_FILTER):
            chosen = slice(start, start + TRIALS_PER_FILTER)
            self._extend_extremes(values[chosen])
            dominated = self._dominated(values[chosen] * self._signs)  # by the front, and so by all later ones
            for offset in np.flatnonzero(~dominated).tolist():
                self._enter(trials[start + offset], values[start + offset])

    def dominates(self, values: Floats) -> bool:
        """True if a trial on the front dominates finite `values`, `(m,)`."""
        return bool(self._dominated((values * self._signs)[None])[0])

    def _enter(self, trial: int, values: Floats) -> bool:
        better = values * self._signs
        if self._dominated(better[None])[0]:
            return False
        removed = (better >= self._front).all(axis=1) & (better > self._front).any(axis=1)
        if removed.any():
            for row in np.flatnonzero(removed).tolist():
                self.entries[self._members[row]].removed_by = trial
            self._members = [index for index, gone in zip(self._members, removed, strict=True) if not gone]
            self._front = self._front[~removed]
        self._members.append(len(self.entries))
        self._front = np.vstack([self._front, better])
        self.entries.append(FrontEntry(trial, values))
        return True

    def _dominated(self, better: Floats) -> Mask:
        """Which rows of `better`, `(n, m)`, a trial on the front dominates."""
        at_least = (self._front >= better[:, None]).all(axis=2)
        above = (self._front > better[:, None]).any(axis=2)
        dominating: Mask = np.logical_and(at_least, above)
        return np.asarray(dominating.any(axis=1))

    def _extend_extremes(self, values: Floats) -> None:
        has_logarithms = np.where(self._is_log, values > 0, True).all(axis=1)
        counted = values[has_logarithms]
        if not len(counted):
            return
        low, high = counted.min(axis=0), counted.max(axis=0)
        extremes = np.array([np.minimum(self.extremes[0], low), np.maximum(self.extremes[1], high)])
        if not np.array_equal(extremes, self.extremes):
            self.extremes = extremes
            self._hypervolumes, self._volume = [], Volume(len(self.objectives))

    @property
    def bounds(self) -> Bounds:
        """The worst and the best value of each objective over all trials that were added."""
        return Bounds.of(self.extremes if np.isfinite(self.extremes).all() else [], self.objectives)

    @property
    def hypervolumes(self) -> list[float]:
        """The hypervolume after each entry, in the box of all trials that were added.

        A trial without a logarithm where its objective wants one adds nothing, and neither do those that it dominates.
        """
        new = self.entries[len(self._hypervolumes) :]
        if new:
            bounds = self.bounds
            points = normalise(np.array([entry.values for entry in new]), self.objectives, bounds)
            self._hypervolumes += [0.0 if bounds.is_point else self._volume.add(point) for point in points]
        return self._hypervolumes

    @property
    def trials(self) -> list[int]:
        """The numbers of the trials on the front."""
        return [self.entries[index].trial for index in sorted(self._members)]
