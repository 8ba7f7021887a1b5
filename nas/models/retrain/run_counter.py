"""Shows how far the runs of a command are, and how much time is left for all of them. Reads what their workers write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nas.models.retrain.display import RetrainDisplay
from nas.models.retrain.estimate import RunPace, time_left_s
from nas.models.retrain.plan import RetrainJob
from nas.models.retrain.progress import RunProgress, read_progress

LOOK_INTERVAL_S = 0.5
"""Seconds between two looks at how far the runs are."""


class Advance(Protocol):
    """Counts finished epochs (`nas.terminal.progress.Advance`)."""

    def __call__(self, count: int = 1, weight: float | None = None, left_s: float | None = None) -> None:
        """Add finished epochs and their weight."""


class RunCounter:
    """Counts the finished epochs of runs.

    Args:
        jobs: the runs.
        epochs: of each.
        advance: shows further epochs.
    """

    def __init__(self, jobs: Sequence[RetrainJob], epochs: int, seen: dict[str, RunProgress], advance: Advance) -> None:
        self._jobs = jobs
        self._epochs = epochs
        self._seen = seen
        self._advance = advance
        self._look_at_s = 0.0

    def look(self, workers: int) -> None:
        """Look how far the runs are, if it is time; `workers` are at work."""
        if time.monotonic() < self._look_at_s:
            return
        self._look_at_s = time.monotonic() + LOOK_INTERVAL_S
        count, weight = 0, 0.0
        for job in self._jobs:
            seen, now = self._seen[job.label], _progress(job, self._epochs)
            if now.epochs <= seen.epochs:
                continue
            count += int(now.epochs) - int(seen.epochs)
            weight += (now.epochs - seen.epochs) * job.work
            # The record of a run that has ended does not hold its pace, which stays the last one.
            self._seen[job.label] = now if now.own_epochs else RunProgress(now.epochs, seen.own_epochs, seen.own_s)
        self._advance(count, weight, self._left_s(workers))

    def _left_s(self, workers: int) -> float | None:
        paces = [
            RunPace((self._epochs - seen.epochs) * job.work, seen.own_epochs * job.work, seen.own_s)
            for job in self._jobs
            for seen in (self._seen[job.label],)
        ]
        return time_left_s(paces, workers)


@contextmanager
def shown_runs(jobs: Sequence[RetrainJob], epochs: int, display: RetrainDisplay) -> Iterator[RunCounter]:
    """Show the finished epochs of all `jobs`, each of which has `epochs`, while the block runs."""
    seen = {job.label: RunProgress(_progress(job, epochs).epochs) for job in jobs}  # earlier paces are those of others
    left = sum(job.work * (epochs - seen[job.label].epochs) for job in jobs)
    done = sum(int(progress.epochs) for progress in seen.values())
    with display.counter("training", epochs * len(jobs), done, left) as advance:
        yield RunCounter(jobs, epochs, seen, advance)


def _progress(job: RetrainJob, epochs: int) -> RunProgress:
    if job.result_file.exists():
        return RunProgress(float(epochs))
    found = read_progress(Path(job.folder))
    return RunProgress(min(found.epochs, epochs), found.own_epochs, found.own_s)
