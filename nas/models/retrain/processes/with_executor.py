"""Runs on the workers of an executor: each is a task of its own, continues from its last checkpoint, and ends with a record."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import MachineError, UsageError
from nas.evaluation.settings import StudyPlace
from nas.execution.base import Loss, Task, open_executor
from nas.execution.interrupts import Interrupts
from nas.execution.queue import TaskQueue
from nas.models.display import WorkDisplay
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings, RunEnd
from nas.models.retrain.plan.workers import LOCAL, Workers
from nas.models.retrain.processes.run_counter import shown_runs
from nas.models.retrain.training.factory import RetrainWorkerFactory
from nas.study.layout import RAY, remove_checkpoint, remove_error, write_error
from nas.study.retrained import RETRAINED

MARKS = f"{RETRAINED}/workers"
"""The folder with the file by which a worker finds out whether it sees the driver's folder, while a command runs."""


def train_jobs(
    jobs: Sequence[RetrainJob], settings: RetrainSettings, workers: Workers, root: Path, display: WorkDisplay
) -> dict[str, str]:
    """Run `jobs`; returns the name of each run that failed -> the reason. Call from the main thread.

    Args:
        jobs: the runs.
        settings: of all workers.
        workers: the executor, and how many there are.
        root: the folder whose `retrained/` has the runs, locked.
        display: shows the progress.

    Raises:
        UsageError: the recipe does not fit a network.
        MachineError: the disk or a device of the machine failed.
        KeyboardInterrupt: the user asked to stop; the checkpoints are written.
    """
    interrupts = Interrupts()
    ends = RunEnds(display)
    settings.stop_file.unlink(missing_ok=True)
    with interrupts.handle_signals(), shown_runs(jobs, settings.recipe.epochs, display) as counter:

        def on_tick() -> None:
            interrupts.check()
            if interrupts.is_stopping:
                queue.tasks.clear()
            counter.look(queue.workers)

        by_label = {job.label: job for job in jobs}

        def on_result(task: Task, result: Mapping[str, Any]) -> None:
            ends.add(by_label[task.name], RunEnd.from_dict(result))

        def on_loss(task: Task, loss: Loss) -> None:
            ends.add(by_label[task.name], RunEnd("failed", loss.reason))

        tasks = [Task(job.label, job.to_dict()) for job in jobs]
        queue = _RunQueue(tasks, on_result, on_tick, on_loss, display)
        try:
            with (
                open_executor(workers.executor, workers.resources, settings.stop_file.parent / RAY) as executor,
                _marked(root, settings, workers) as placed,
                interrupts.gently(settings.stop_file.touch),
            ):
                placed = replace(placed, gpus=executor.allocation.gpus)
                queue.on_workers(executor.allocation.workers)
                executor.run(RetrainWorkerFactory(placed), queue, None if placed.place is None else root)
        finally:
            settings.stop_file.unlink(missing_ok=True)
            remove_empty_folders(jobs)
    return ends.failures


class RunEnds:
    """Takes how runs ended.

    Args:
        display: shows those that failed.

    Attributes:
        failures: the name of each run that failed -> the reason.
    """

    def __init__(self, display: WorkDisplay) -> None:
        self._display = display
        self.failures: dict[str, str] = {}

    def add(self, job: RetrainJob, end: RunEnd) -> None:
        """Take how `job` ended; the traceback of a failure is kept in its folder.

        Raises:
            UsageError: the recipe does not fit the network.
            MachineError: the disk or a device of the machine failed.
        """
        folder = Path(job.folder)
        if end.outcome == "misused":
            raise UsageError(f"{job.label}: {end.reason}")
        if end.outcome == "machine":
            raise MachineError(f"{job.label}: {end.reason}; the same command continues")
        if end.outcome == "failed":
            if end.traceback:
                write_error(folder, end.traceback)
            self.failures[job.label] = end.reason
            self._display.warn(f"{job.label} failed: {end.reason}")
        if end.outcome == "finished":
            remove_checkpoint(folder)  # also that of a worker that was thought to have died
            remove_error(folder)


class _RunQueue(TaskQueue):
    """A queue that knows the number of workers, and tells the user what the executor waits for."""

    def __init__(
        self,
        tasks: Iterable[Task],
        on_result: Callable[[Task, Mapping[str, Any]], None],
        on_tick: Callable[[], None],
        on_loss: Callable[[Task, Loss], None],
        display: WorkDisplay,
    ) -> None:
        super().__init__(tasks, on_result, on_tick, on_loss)
        self.workers = 1
        self._display = display

    def on_message(self, text: str) -> None:
        self._display.warn(text)

    def on_workers(self, count: int) -> None:
        self.workers = max(1, count)


@contextmanager
def _marked(root: Path, settings: RetrainSettings, workers: Workers) -> Iterator[RetrainSettings]:
    """The settings with the place of the files, for workers that may be on other machines.

    While the block runs there is a file of a random name by which such a worker finds out whether it sees the folder.
    """
    if workers.executor == LOCAL:
        yield settings
        return
    place = StudyPlace.new(root, settings.fingerprint, None, MARKS)
    marks = root / MARKS
    shutil.rmtree(marks, ignore_errors=True)  # those of killed commands
    marks.mkdir(parents=True)
    try:
        (marks / place.nonce).touch()
        yield replace(settings, place=place)
    finally:
        shutil.rmtree(marks, ignore_errors=True)


def remove_empty_folders(jobs: Sequence[RetrainJob]) -> None:
    """Remove the folders of runs that left nothing."""
    for job in jobs:
        folder = Path(job.folder)
        with suppress(OSError):  # it does not exist, or is not empty
            for place in (folder, folder.parent, folder.parent.parent):
                place.rmdir()
