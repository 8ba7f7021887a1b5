"""What happens to the trials of a search, as values that observers get: progress bars now, a dashboard or a log later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nas.objectives import Objective
from nas.study.records import TrialOutcome


@dataclass(frozen=True)
class SearchStarted:
    """A search begins, or goes on.

    Args:
        objectives: in the order of values.
        target: trials to be trained in all.
        workers: trials at a time.
        values: of the trials that are complete already.
        counts: outcome -> number of trials that have ended already.
        pauses: whether trials may pause at rungs.
        paused: numbers of the trials that pause since an earlier run.
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
    """A worker is given trial `number`, or its next segment."""

    number: int


@dataclass(frozen=True)
class TrialEnded:
    """Trial `number` has ended, or pauses, and the storage has it.

    Args:
        number: in the study.
        outcome: how it ended.
        values: of the objectives, if it is complete.
    """

    number: int
    outcome: TrialOutcome
    values: tuple[float, ...] = ()


Event = SearchStarted | TrialStarted | TrialEnded


class Observer(Protocol):
    """Gets every event of a search, in the process and the thread of the driver. It must be quick, and must not raise."""

    def notify(self, event: Event) -> None:
        """`event` has happened."""
