"""Runs on processes of this machine: each is a task of its own, continues from its last checkpoint, and ends with a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nas.errors import MachineError, UsageError
from nas.execution.base import Loss, Task, open_executor
from nas.execution.interrupts import Interrupts
from nas.execution.queue import TaskQueue
from nas.models.retrain.display import RetrainDisplay
from nas.models.retrain.factory import RetrainWorkerFactory
from nas.models.retrain.outcomes import RunEnd
from nas.models.retrain.plan import RetrainJob, RetrainSettings
from nas.models.retrain.progress_file import read_epochs
from nas.study.config import Resources
from nas.study.layout import RAY

LOOK_INTERVAL_S = 0.5
"""Seconds between two looks at how far the runs are."""


def train_jobs(
    jobs: Sequence[RetrainJob], settings: RetrainSettings, resources: Resources, display: RetrainDisplay
) -> dict[str, str]:
    """Run `jobs`; returns the name of each run that failed -> the reason. Call from the main thread.

    Raises:
        UsageError: the recipe does not fit a network.
        MachineError: the disk or a device of the machine failed.
        KeyboardInterrupt: the user asked to stop; the checkpoints are written.
    """
    interrupts = Interrupts()
    failures: dict[str, str] = {}
    settings.stop_file.unlink(missing_ok=True)
    with interrupts.handle_signals(), _shown(jobs, settings.recipe.epochs, display) as look:

        def on_tick() -> None:
            interrupts.check()
            if interrupts.is_stopping:
                queue.tasks.clear()
            look()

        def on_result(task: Task, result: Mapping[str, Any]) -> None:
            end = RunEnd.from_dict(result)
            if end.outcome == "misused":
                raise UsageError(f"{task.name}: {end.reason}")
            if end.outcome == "machine":
                raise MachineError(f"{task.name}: {end.reason}; the same command continues")
            if end.outcome == "failed":
                fail(task, end.reason)

        def fail(task: Task, reason: str) -> None:
            failures[task.name] = reason
            display.warn(f"{task.name} failed: {reason}")

        def on_loss(task: Task, loss: Loss) -> None:
            fail(task, loss.reason)

        queue = TaskQueue([Task(job.label, job.to_dict()) for job in jobs], on_result, on_tick, on_loss)
        try:
            with (
                open_executor("local", resources, settings.stop_file.parent / RAY) as executor,
                interrupts.gently(settings.stop_file.touch),
            ):
                executor.run(RetrainWorkerFactory(settings), queue)
        finally:
            settings.stop_file.unlink(missing_ok=True)
            _remove_empty_folders(jobs)
    return failures


def _remove_empty_folders(jobs: Sequence[RetrainJob]) -> None:
    """Remove the folders of runs that left nothing."""
    for job in jobs:
        folder = Path(job.folder)
        with suppress(OSError):  # it does not exist, or is not empty
            for place in (folder, folder.parent, folder.parent.parent):
                place.rmdir()


@contextmanager
def _shown(jobs: Sequence[RetrainJob], epochs: int, display: RetrainDisplay) -> Iterator[Callable[[], None]]:
    """Show the finished epochs of all `jobs`; yields the function that looks how many there are."""
    seen = {job.label: min(read_epochs(Path(job.folder)), epochs) for job in jobs}
    left = sum(job.work * (epochs - seen[job.label]) for job in jobs)
    looked_s = time.monotonic()
    with display.counter("training", epochs * len(jobs), sum(seen.values()), left) as advance:

        def look() -> None:
            nonlocal looked_s
            if time.monotonic() - looked_s < LOOK_INTERVAL_S:
                return
            looked_s = time.monotonic()
            for job in jobs:
                ended = epochs if job.result_file.exists() else min(read_epochs(Path(job.folder)), epochs)
                if ended > seen[job.label]:
                    count = ended - seen[job.label]
                    advance(count, count * job.work)
                    seen[job.label] = ended

        yield look
