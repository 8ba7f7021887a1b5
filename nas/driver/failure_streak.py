"""Ends a search whose trials all fail in the same way: the study or the machines are at fault, not the architectures."""

from __future__ import annotations

from collections import Counter

from nas.errors import MachineError
from nas.study.events import Event, TrialRecorded
from nas.study.outcomes.failure_kinds import find_kind, kind_of, without_file
from nas.study.outcomes.records import Failed, TrainedSegment

MAX_FAILURES = 10
"""Failures of one kind, without a trial that was trained between them, that end a search."""


class FailureStreak:
    """Counts the failures of each kind since the last trial that was trained; an observer of the search."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last: tuple[int, str] | None = None  # the trial and its reason that were one too many

    def notify(self, event: Event) -> None:
        """Take in the outcome of a trial."""
        if not isinstance(event, TrialRecorded):
            return
        if isinstance(event.outcome, TrainedSegment):
            self._counts.clear()
            self._last = None
        elif isinstance(event.outcome, Failed):
            kind = kind_of(event.outcome.reason)
            self._counts[kind] += 1
            if self._counts[kind] >= MAX_FAILURES:
                self._last = event.number, event.outcome.reason

    def check(self) -> None:
        """Raise `MachineError` if too many trials have failed in the same way."""
        if self._last is None:
            return
        number, reason = self._last
        kind = find_kind(without_file(reason))
        advice = "" if kind is None or not kind.advice else f"; {kind.advice}"
        count = self._counts[kind_of(reason)]
        text = f"{count} trials failed in the same way, and none was trained between them; the last, trial {number}: {reason}"
        raise MachineError(f"{text}{advice}; --retry-failed repeats them")
