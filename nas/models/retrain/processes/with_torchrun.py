"""`torchrun -m nas retrain ...`: several processes train each network together, one network after the other.

The first process (rank 0) does what one process does without torchrun: it reads the study, checks, locks, shows the progress
and writes. It tells the others what to train; they read the images and the weights to begin with, and write nothing.

    first     plans -> Plan -> trains each run -> Ended (the records)   or Refused, if it ends before with an error of its own
    others    wait  -> Plan -> train each run  -> Ended

A stop (Ctrl-C, SIGTERM) that reaches any of them ends all after the same step. A process that fails makes the others fail:
those that train notice that it is gone, torchrun ends those that do not. The one that failed reports the error; if it was
killed, one of the others does.

`nas.models.retrain.training.worker` has the trainings, `torchrun_team` the messages of the first process, and
`trainers.training.data_parallel` what the processes exchange while they train.
"""

from __future__ import annotations

import faulthandler
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from nas.errors import MachineError, StudyError, UsageError, format_traceback, reason
from nas.formatting import count
from nas.models.device_option import check_device, check_device_name
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings, RunEnd
from nas.models.retrain.processes.torchrun_team import (
    Ended,
    OtherProcessError,
    Plan,
    Rank,
    Refused,
    Team,
    noted_signals,
)
from nas.models.retrain.request import Retraining
from nas.study.config import Resources
from search_space.errors import SpaceError

if TYPE_CHECKING:
    from nas.models.retrain.training.worker import RetrainWorker

EXIT_PATIENCE_S = 10.0
"""A process that has failed, and cannot end for a message that nobody answers, is ended after this time."""
INTERRUPTED = 130
"""The exit code of an interrupted command."""

logger = logging.getLogger(__name__)


class TrainJobs(Protocol):
    """Trains runs in all processes (`train_together`)."""

    def __call__(
        self,
        jobs: Sequence[RetrainJob],
        settings: RetrainSettings,
        on_end: Callable[[RetrainJob, RunEnd], None],
        on_progress: Callable[[], None],
    ) -> None:
        """Train `jobs`."""


def lead(team: Team, work: Callable[[TrainJobs], Retraining]) -> Retraining:
    """Do the `work` of the first process, which gets the function to train with; returns its result, also to the others.

    Raises:
        KeyboardInterrupt: a process was asked to stop.
        StudyError: a process has failed, `OtherProcessError` if it is another one.
        Exception: what `work` raises.
    """
    are_waiting = True  # the others, for a message

    def train(
        jobs: Sequence[RetrainJob],
        settings: RetrainSettings,
        on_end: Callable[[RetrainJob, RunEnd], None],
        on_progress: Callable[[], None],
    ) -> None:
        nonlocal are_waiting
        are_waiting = False
        with _failing(team):
            team.tell(Plan(tuple(jobs), settings))
        train_together(team, jobs, settings, on_end, on_progress)
        are_waiting = True

    try:
        retraining = work(train)
    except BaseException as error:
        if are_waiting:
            from trainers.errors import ProcessLostError

            with suppress(ProcessLostError):
                team.tell(Refused(_exit_code(error)))
        raise
    with _failing(team):
        team.tell(Ended(retraining))
    team.leave()
    return retraining


def follow(team: Team) -> Retraining:
    """Do the work of a process that is not the first one; returns the result of the first.

    Raises:
        KeyboardInterrupt: a process was asked to stop.
        StudyError: a process has failed, `OtherProcessError` if it is another one.
    """
    while True:
        with _failing(team):
            message = team.hear()
        if isinstance(message, Ended):
            team.leave()
            return message.retraining
        if isinstance(message, Refused):
            raise KeyboardInterrupt if message.exit_code == INTERRUPTED else OtherProcessError(message.exit_code)
        train_together(team, message.jobs, message.settings)


def train_together(
    team: Team,
    jobs: Sequence[RetrainJob],
    settings: RetrainSettings,
    on_end: Callable[[RetrainJob, RunEnd], None] = lambda job, end: None,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Train `jobs`, one after the other, in all processes of `team`. Call from the main thread.

    Args:
        team: the processes; all call this.
        jobs: the runs.
        settings: of all processes.
        on_end: called when a run has ended.
        on_progress: called every few seconds.

    Raises:
        KeyboardInterrupt: a process was asked to stop; the checkpoint is written.
        StudyError: a process has failed, `OtherProcessError` if it is another one.
    """
    with noted_signals() as is_signalled, _failing(team):
        worker = _create_worker(team.rank, settings, on_progress)
        worker.is_stop_requested = is_signalled
        for job in jobs:
            if team.any_of(is_signalled()):
                raise KeyboardInterrupt
            on_end(job, _train(worker, job))
        team.any_of(False)  # all have ended the last run


def plan_together(resources: Resources, device: str | None, rank: Rank) -> tuple[str, int]:
    """The kind of device of all processes, "cpu" or "cuda", and the CPU threads of each.

    Args:
        resources: those of the study.
        device: "cpu" or "cuda"; None: GPUs if there is one for each process of this machine.
        rank: of this process.

    Raises:
        UsageError: there are fewer GPUs.
    """
    if check_device_name(device) is not None:
        raise UsageError(
            f"--device: must be cpu or cuda under torchrun, whose processes have a GPU each, found {device!r}"
        )
    gpus = check_device(device)
    if not gpus:
        return "cpu", max(1, len(os.sched_getaffinity(0)) // rank.local_count)
    if gpus < rank.local_count:
        rule = f"must be cpu for {rank.local_count} processes on a machine with {count(gpus, 'GPU')}"
        raise UsageError(f"--device: {rule}, found {device or 'cuda'!r}")
    return "cuda", resources.cpus_per_trial


def _create_worker(rank: Rank, settings: RetrainSettings, on_progress: Callable[[], None]) -> RetrainWorker:
    from nas.evaluation.work_folder import create_work_folder
    from nas.models.retrain.training.run_files import SharedRunFiles, UnkeptRunFiles
    from nas.models.retrain.training.worker import RetrainWorker

    device = settings.device or "cpu"
    if device == "cuda":
        device = f"cuda:{rank.local_rank}"
    files = (
        SharedRunFiles(settings.data_file, settings.stop_file, on_progress)
        if rank.is_first
        else UnkeptRunFiles(settings.data_file, create_work_folder())
    )
    return RetrainWorker(replace(settings, device=device), device, files)


def _train(worker: RetrainWorker, job: RetrainJob) -> RunEnd:
    """Train the network of `job`; returns how it ended, the same in all processes."""
    from trainers.errors import TrainingError, TrainingInterrupted

    try:
        worker.train(job)
    except TrainingInterrupted:
        raise KeyboardInterrupt from None
    except TrainingError as error:  # raised by all of them: the losses are those of whole batches
        return RunEnd("failed", reason(error), format_traceback(error))
    return RunEnd("finished")


@contextmanager
def _failing(team: Team) -> Iterator[None]:
    """An exception of the block ends all processes: one of them raises it, the others raise `OtherProcessError`.

    With GPUs a process that cannot end within `EXIT_PATIENCE_S`, for messages that nobody answers, is ended.
    """
    from trainers.errors import ProcessLostError, RecipeError

    try:
        yield
    except Exception as error:
        logger.info("process %d of torchrun fails", team.rank.rank, exc_info=True)
        _end_later()
        if not team.is_first_to_fail():
            raise OtherProcessError from error
        if isinstance(error, ProcessLostError):
            rule = "one of the processes of torchrun has ended, or does not answer"
            raise MachineError(f"{rule}; the same command continues") from error
        if isinstance(error, UsageError | RecipeError):
            raise UsageError(str(error)) from error
        where = f"process {team.rank.rank} of torchrun"
        raise StudyError(f"{where} failed: {reason(error)}; the same command continues") from error


def _end_later() -> None:
    import torch

    if torch.cuda.is_available():
        nowhere = os.open(os.devnull, os.O_WRONLY)
        faulthandler.dump_traceback_later(EXIT_PATIENCE_S, exit=True, file=nowhere)  # needs no interpreter lock


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, StudyError):
        return error.exit_code
    return 2 if isinstance(error, SpaceError) else 1
