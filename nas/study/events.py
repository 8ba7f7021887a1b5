"""The events of a search, which observers receive: a progress bar, a dashboard or a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nas.objectives import Objective
from nas.study.outcomes.records import TrialOutcome


@dataclass(frozen=True)
class SearchStarted:
    """A search starts or continues.

    Args:
        objectives: the objectives, in the order of values.
        target: number of trials to train.
        workers: number of trials at a time.
        values: the values of trials that are already complete.
        counts: outcome -> number of trials that have already ended.
        pauses: True if trials may pause at rungs.
        paused: numbers of the trials that paused in an earlier run.
    """

    objectives: tuple[Objective, ...]
    target: int
    workers: int
    values: Sequence[tuple[float, ...]]
    counts: dict[str, int]
    pauses: bool
    paused: Sequence[int] = ()


@dataclass(frozen=True)
class TrialStarted:
    """Trial `number`, or its next segment, is given to a worker."""

    number: int


@dataclass(frozen=True)
class TrialRecorded:
    """Trial `number` has ended or pauses, and its outcome is in the storage.

    Args:
        number: the number of the trial.
        outcome: the outcome of the trial.
        values: the values of the objectives, if the trial is complete.
    """

    number: int
    outcome: TrialOutcome
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrialLost:
    """Trial `number` was adopted by another driver; what a worker of this one returns for it is not recorded."""

    number: int


Event = SearchStarted | TrialStarted | TrialRecorded | TrialLost


class Observer(Protocol):
    """Receives every event of a search, in the process and thread of the driver. It must be fast and must not raise."""

    def notify(self, event: Event) -> None:
        """Handle `event`."""
