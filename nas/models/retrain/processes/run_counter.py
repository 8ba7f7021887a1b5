"""Shows how far the runs of a command are, and how much time is left for all of them. Reads what their workers write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nas.models.display import WorkDisplay
from nas.models.retrain.plan.jobs import RetrainJob
from nas.models.retrain.processes.time_left import RunPace, time_left_s
from nas.models.retrain.training.progress import RunProgress, read_progress

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
        progress: label of a run -> how far it is; updated.
        advance: shows further epochs.
    """

    def __init__(
        self, jobs: Sequence[RetrainJob], epochs: int, progress: dict[str, RunProgress], advance: Advance
    ) -> None:
        self._jobs = jobs
        self._epochs = epochs
        self._progress = progress
        self._advance = advance
        self._look_at_s = 0.0

    def look(self, workers: int) -> None:
        """Look how far the runs are, if it is time; `workers` are at work."""
        if time.monotonic() < self._look_at_s:
            return
        self._look_at_s = time.monotonic() + LOOK_INTERVAL_S
        count, weight = 0, 0.0
        for job in self._jobs:
            before, now = self._progress[job.label], _progress_of(job, self._epochs)
            if now.epochs <= before.epochs:
                continue
            count += int(now.epochs) - int(before.epochs)
            weight += (now.epochs - before.epochs) * job.work
            # The record of a run that has ended does not hold its pace, which stays the last one.
            self._progress[job.label] = now if now.own_epochs else replace(before, epochs=now.epochs)
        self._advance(count, weight, self._left_s(workers))

    def _left_s(self, workers: int) -> float | None:
        return time_left_s([self._pace(job) for job in self._jobs], workers)

    def _pace(self, job: RetrainJob) -> RunPace:
        progress = self._progress[job.label]
        left_epochs = self._epochs - progress.epochs
        return RunPace(left_epochs * job.work, progress.own_epochs * job.work, progress.own_s)


@contextmanager
def shown_runs(jobs: Sequence[RetrainJob], epochs: int, display: WorkDisplay) -> Iterator[RunCounter]:
    """Show the finished epochs of all `jobs`, each of which has `epochs`, while the block runs."""
    # Without the paces of earlier processes, which may have had another device.
    progress = {job.label: RunProgress(_progress_of(job, epochs).epochs) for job in jobs}
    left_work = sum(job.work * (epochs - progress[job.label].epochs) for job in jobs)
    done = sum(int(run.epochs) for run in progress.values())
    with display.counter("training", epochs * len(jobs), done, left_work) as advance:
        yield RunCounter(jobs, epochs, progress, advance)


def _progress_of(job: RetrainJob, epochs: int) -> RunProgress:
    if job.result_file.exists():
        return RunProgress(float(epochs))
    progress = read_progress(Path(job.folder))
    return replace(progress, epochs=min(progress.epochs, epochs))
