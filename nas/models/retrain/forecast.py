"""What a command would train, and how long that would take; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.execution.base import open_executor
from nas.models.display import WorkDisplay
from nas.models.retrain.plan.jobs import RetrainJob
from nas.models.retrain.plan.workers import LOCAL, Workers
from nas.models.retrain.prepare import PreparedRetraining
from nas.models.retrain.processes.time_left import RunPace, time_left_s
from nas.models.retrain.training.progress import read_progress
from nas.study.retrained import RETRAINED, STOP


@dataclass(frozen=True)
class RunForecast:
    """A run that would be trained, or that has ended.

    Args:
        job: the run.
        finished_epochs: epochs that need not be trained.
        epochs: of the recipe.
        steps_per_epoch: steps of the optimizer; None: not known on another machine.
        epoch_s: seconds of an epoch; None: not known, or not needed.
    """

    job: RetrainJob
    finished_epochs: float
    epochs: int
    steps_per_epoch: int | None = None
    epoch_s: float | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds of the epochs that are left."""
        return None if self.epoch_s is None else self.epoch_s * (self.epochs - self.finished_epochs)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        subject = self.job.subject
        return {
            "name": subject.name,
            "seed": self.job.seed,
            "start": subject.start,
            "macs": subject.macs,
            "params": subject.params,
            "epochs": self.epochs,
            "finished_epochs": self.finished_epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "left_s": self.left_s,
            "folder": self.job.folder,
        }


@dataclass(frozen=True)
class Forecast:
    """The runs of a command.

    Args:
        runs: in the order in which they are trained.
        workers: that train them.
    """

    runs: tuple[RunForecast, ...]
    workers: Workers

    @property
    def left_s(self) -> float | None:
        """Seconds until all have ended; None if that is not known."""
        paces = [
            RunPace(run.epochs - run.finished_epochs, 1.0 if run.epoch_s else 0.0, run.epoch_s or 0.0)
            for run in self.runs
        ]
        return time_left_s(paces, self.workers.resources.workers or 1)


def forecast(prepared: PreparedRetraining, workers: Workers, display: WorkDisplay) -> Forecast:
    """List the runs of `prepared`; on this machine, a few steps of each network that is left are timed.

    Raises:
        StudyError: a network cannot be trained.
    """
    pending = {job.label for job in prepared.pending()}
    epochs = prepared.recipe.epochs
    timed = list({job.subject.name: job for job in prepared.jobs if job.label in pending}.values())
    times = _time(prepared, workers, timed, display) if timed and workers.executor == LOCAL else {}
    runs = []
    for job in prepared.jobs:
        if job.label not in pending:
            runs.append(RunForecast(job, float(epochs), epochs))
            continue
        steps, seconds = times.get(job.subject.name, (None, None))
        finished = min(read_progress(Path(job.folder)).epochs, float(epochs))
        runs.append(RunForecast(job, finished, epochs, steps, seconds))
    return Forecast(tuple(runs), workers)


def _time(
    prepared: PreparedRetraining, workers: Workers, jobs: Sequence[RetrainJob], display: WorkDisplay
) -> dict[str, tuple[int, float]]:
    """Name of a network -> its steps and seconds an epoch, alone on the device."""
    from nas.models.retrain.training.timing import time_epochs  # here, since it imports torch

    nowhere = prepared.root / RETRAINED / STOP
    settings = prepared.settings(workers, nowhere)
    with display.step("timing steps"), open_executor(LOCAL, workers.resources, nowhere.parent) as executor:
        times = executor.call(time_epochs, settings, jobs)
    return {job.subject.name: (time.steps, time.seconds) for job, time in zip(jobs, times, strict=True)}
