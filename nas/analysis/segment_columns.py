"""The segments of all trials: which worker trained which trial when (the attribute `segments`, `nas.study.database.storage`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.analysis.growing import RaggedColumn

SECONDS = ("measure_s", "train_s", "validate_s")
"""The parts of a segment that are known; the rest of it is overhead."""
RUNNING = "running"
"""The outcome of a segment that has not ended."""

_UNKNOWN_WORKER = "unknown"


@dataclass(frozen=True)
class SegmentTable:
    """Segments one after another, `(n,)` each.

    Args:
        trial: the number of the trial.
        worker: an index into `SegmentColumns.workers`.
        outcome: an index into `SegmentColumns.outcomes`.
        start: seconds since 1970.
        end: seconds since 1970; NaN: it runs, or was lost.
        seconds: `(n, 3)`: `SECONDS`.
    """

    trial: NDArray[np.int_]
    worker: NDArray[np.int_]
    outcome: NDArray[np.int_]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    seconds: NDArray[np.float64]


class SegmentColumns:
    """The segments of the trials of a study, which grow while it is searched; empty for studies that record none."""

    def __init__(self) -> None:
        self.workers: list[str] = []
        """Their names, "HOST/DEVICE/PID", in the order of their first appearance."""
        self.outcomes: list[str] = []
        """The different outcomes, in the order of their first appearance."""
        self.rows = RaggedColumn("f8", 4 + len(SECONDS))
        """Worker, outcome, start, end and `SECONDS` of each segment."""

    def assign(self, trials: NDArray[np.int64], segments: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Set the segments of several trials, as their attributes have them."""
        self.rows.assign(trials, [[self._row(segment) for segment in of_trial] for of_trial in segments])

    def table(self, trials: ArrayLike) -> SegmentTable:
        """The segments of `trials`, those of one trial in order."""
        chosen = np.asarray(trials, np.int64)
        rows, numbers = self.rows.gather(chosen), np.repeat(chosen, self.rows.lengths(chosen))
        codes = rows[:, :2].astype(np.int64)
        return SegmentTable(numbers, codes[:, 0], codes[:, 1], rows[:, 2], rows[:, 3], rows[:, 4:])

    def _row(self, segment: Mapping[str, Any]) -> list[float]:
        worker = _code(self.workers, str(segment.get("worker") or _UNKNOWN_WORKER))
        outcome = _code(self.outcomes, str(segment.get("outcome") or RUNNING))
        end = segment.get("end")
        times = [float(segment["start"]), np.nan if end is None else float(end)]
        return [worker, outcome, *times, *(float(segment.get(name) or 0.0) for name in SECONDS)]


def _code(texts: list[str], text: str) -> int:
    """The index of `text` in `texts`, to which it is added if it is new; both lists are short."""
    if text not in texts:
        texts.append(text)
    return texts.index(text)
