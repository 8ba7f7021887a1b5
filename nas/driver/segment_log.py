"""Writes which worker trains a trial, and for how long, to the user attribute `segments` of the trial."""

from __future__ import annotations

from typing import Any

from nas.driver.state import SearchState
from nas.study.segments import SEGMENTS, Segment, WorkerFiles, segments_of


class SegmentLog:
    """The segments of the open trials of a search.

    Args:
        state: the state of the search.
        workers: the files in which workers announce what they start; None: there are none, as with simulated workers.
    """

    def __init__(self, state: SearchState, workers: WorkerFiles | None = None) -> None:
        self.state = state
        self.workers = workers

    def read_workers(self) -> None:
        """Write the segments that workers have announced since the last call."""
        if self.workers is None:
            return
        for number, segment in self.workers.read():
            if number in self.state.running and number in self.state.open:
                segments = self._stored(number)
                if not any(segment.is_same(stored) for stored in segments):
                    segments = [*map(_close, segments), segment]
                    self.state.open[number].set_user_attr(SEGMENTS, _plain(segments))

    def ended(self, number: int, segment: Segment | None) -> dict[str, Any]:
        """The user attributes to write when the last segment of the open trial `number` has ended; empty: nothing has changed.

        Args:
            number: the trial.
            segment: the segment; None: its worker died.
        """
        if segment is None:
            self.read_workers()
        before = self._stored(number)
        if segment is None:
            after = [_close(stored) for stored in before]
        else:
            after = [*(_close(stored) for stored in before if not stored.is_same(segment)), segment]
        return {} if after == before else {SEGMENTS: _plain(after)}

    def _stored(self, number: int) -> list[Segment]:
        """The segments of an open trial."""
        return segments_of(self.state.open[number].user_attrs)


def _plain(segments: list[Segment]) -> list[dict[str, Any]]:
    return [segment.to_dict() for segment in segments]


def _close(segment: Segment) -> Segment:
    """The segment once another one follows or its worker is known to have died: without an end it was lost."""
    return segment.lost() if segment.end is None else segment
