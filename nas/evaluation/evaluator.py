"""Evaluates architectures: builds the network, measures and trains it, and computes the objectives. Runs in a worker.

A trial is measured, refused if a measurement violates a limit, and trained otherwise. If the study measures on another kind of
device (`nas.study.measuring_device`), it is trained alone, and a worker of that kind measures it. It is also trained alone if
the driver decides after the training whether it is measured (`nas.driver.front_measuring`). An exception never ends the
worker: it becomes the outcome `Failed` of its trial, or a `MachineFailure` (`nas.evaluation.failures` decides), with the
traceback.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from nas.errors import format_traceback, reason
from nas.evaluation.failures import Cause, cause_of, loses_device
from nas.evaluation.finished_training import CURVE_OBJECTIVES, finished_training, paused_at
from nas.evaluation.measurer import Measurer
from nas.evaluation.memory_limit import limited_memory, worker_limit
from nas.evaluation.networks import initial_network
from nas.evaluation.segment_clock import SegmentClock, worker_name
from nas.evaluation.settings import EvaluationSettings
from nas.evaluation.training_plan import TrainingPlan
from nas.evaluation.training_result import TrainingResult, train_until
from nas.evaluation.trial_files import SharedTrialFiles, TrialFiles
from nas.study.device_kind import is_of_kind
from nas.study.layout import CHECKPOINT, STACKS
from nas.study.outcomes.failure_kinds import kind_of
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import (
    Completed,
    Failed,
    Interrupted,
    MachineFailure,
    MeasuredOnly,
    Paused,
    Refused,
    WorkerOutcome,
    name_of,
)
from nas.study.outcomes.worker_tasks import EarlierSegments, MeasureTask, TrialTask
from search_space import Architecture
from search_space.modules.network import Network
from trainers.data.dataset import load
from trainers.device import device_label, device_name, use_device
from trainers.device_lock import DeviceLock
from trainers.errors import TrainingInterrupted
from trainers.training import checkpoint, compilation
from trainers.training.checkpoint import training_identity
from trainers.training.loop import ProxyTraining
from trainers.watchdog import watch

logger = logging.getLogger(__name__)


class Evaluator:
    """Evaluates one trial after the other on one device; the data are loaded once.

    Args:
        settings: the settings that all trials share.
        device: "cpu", "cuda" or "cuda:1".
        files: the files of trials; None: this worker sees `data_file` and the folders of its trials.
    """

    def __init__(self, settings: EvaluationSettings, device: str, files: TrialFiles | None = None) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.device = device
        # A worker that shares a GPU must not use the memory of the others.
        use_device(torch.device(device), settings.gpus)
        compilation.check_compiler(settings.train.compile, device)
        self.files = files or SharedTrialFiles(settings.data_file, settings.measuring.reference_file)
        self.data = load(self.files.images, device, settings.gpus / 2)
        self.lock = DeviceLock(device)
        self.measurer = Measurer(
            replace(settings.measuring, reference_file=self.files.reference_file), device, self.lock
        )
        self.memory_limit = worker_limit(settings.memory_bytes, device)
        self.name = worker_name(device)
        self.device_label = device_label(torch.device(device))
        kind = settings.measuring.device
        self.may_measure = kind is None or is_of_kind(self.device_label, kind)
        self._clock = SegmentClock(self.name, until=None)
        self._idle_since: float | None = None  # the end of the last trial
        self._device_is_lost = False
        self._unsaved: Completed | None = None  # a training that has ended, while its weights are not written

    def run(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate a task and return the record of its outcome (`nas.study.outcomes.record_json`).

        Args:
            task: `TrialTask.to_dict` or `MeasureTask.to_dict`.

        A process that has lost its device ends here; the executor gives the task to a new one.
        """
        if self._device_is_lost:
            os._exit(1)
        outcome = (
            self.measure(MeasureTask.from_dict(task))
            if MeasureTask.is_in(task)
            else self.evaluate(TrialTask.from_dict(task))
        )
        return to_record(outcome, self._clock.ended(name_of(outcome)))

    def evaluate(self, task: TrialTask) -> WorkerOutcome:
        """Evaluate a trial, or its next segment.

        An interrupted training continues from its checkpoint; a finished one is not repeated.
        """
        return self._attempt(task, self.files.opened(task), self._evaluate)

    def measure(self, task: MeasureTask) -> WorkerOutcome:
        """Measure a network that another worker has trained; without values if this device is of another kind."""
        trial = TrialTask(task.number, task.architecture, task.seed, folder="")
        return self._attempt(trial, TemporaryDirectory(prefix="mixfront-"), self._measure_untrained)

    def _attempt(
        self,
        task: TrialTask,
        opened: AbstractContextManager[str | Path],
        work: Callable[[TrialTask, Path, float], WorkerOutcome],
    ) -> WorkerOutcome:
        """The outcome of `work`, which gets the task, the folder that `opened` yields, and the time of the start."""
        start = time.perf_counter()
        self._clock = SegmentClock(self.name, task.until)
        self.files.announce(task.number, self._clock.started())
        idle_s = task.earlier.idle_s + (0.0 if self._idle_since is None else start - self._idle_since)
        outcome: WorkerOutcome
        self._unsaved = None
        try:
            with (
                opened as folder,
                watch(Path(folder) / STACKS, self.settings.max_silence_s),
                limited_memory(self.memory_limit),
            ):
                outcome = work(task, Path(folder), start)
        except TrainingInterrupted as error:
            logger.info("trial %d: %s", task.number, error)
            outcome = Interrupted()
        except BaseException as error:  # any failure, also `sys.exit`, is that of the trial, or of the machine
            outcome = self._failure(error, task, start)
        self._free_device_memory()
        self._idle_since = time.perf_counter()
        return replace(outcome, idle_s=idle_s)

    def _failure(self, error: BaseException, task: TrialTask, start: float) -> Failed | MachineFailure:
        """The outcome for the `error` that is being handled."""
        logger.info("trial %d failed", task.number, exc_info=True)
        cause = cause_of(error, self.device, self.memory_limit)
        self._device_is_lost = loses_device(error)
        wall_s = task.earlier.wall_s + time.perf_counter() - start
        failed = Failed(reason(error), format_traceback(error), task.seed, wall_s)
        if cause is Cause.ARCHITECTURE:
            return replace(failed, infeasible=kind_of(failed.reason))
        failure = MachineFailure(failed.reason, cause is Cause.MACHINE, failed.traceback, task.seed, wall_s)
        if self._unsaved is None:
            return failure
        return replace(failure, measured=self._unsaved.measured, trained=self._unsaved.trained)

    def _free_device_memory(self) -> None:
        """Free the memory of a GPU for other processes."""
        if self.device == "cpu" or self._device_is_lost:
            return
        try:
            torch.cuda.empty_cache()
        except RuntimeError:  # an error of the trial's kernels that CUDA reports late
            logger.info("the device is lost", exc_info=True)
            self._device_is_lost = True

    def _evaluate(self, task: TrialTask, folder: Path, start: float) -> Completed | Paused | Refused:
        """The outcome without `idle_s`; the trial works in `folder`."""
        architecture = Architecture.from_json(task.architecture)
        network = initial_network(architecture, task.seed)
        plan = TrainingPlan.of(task, network, self.settings.train, self.files)
        finished = self._finished_before(network, task, plan, folder)
        if finished is not None:
            logger.info("trial %d: its training was finished before", task.number)
            return finished
        if self.files.is_stop_requested():
            raise TrainingInterrupted("stopped before its first step")
        measured, violation = self._measure(architecture, network, task)
        if violation is not None:
            return Refused(violation, task.seed, measured)
        with ExitStack() as stack:
            if task.until is None or task.until >= plan.config.epochs:
                stack.enter_context(checkpoint.reserve_weights(folder / plan.file, network, plan.config.epochs))
            return self._train(network, task, plan, folder, measured, start)

    def _train(
        self, network: Network, task: TrialTask, plan: TrainingPlan, folder: Path, measured: Measured, start: float
    ) -> Completed | Paused:
        """Train the network to the end, or to its next rung."""
        milestones = (
            () if task.until is None else {rung for rung in self.settings.rungs if rung <= task.until} | {task.until}
        )
        training = ProxyTraining(
            network,
            self.data,
            plan.config,
            seed=task.seed,
            origin=plan.origin,
            checkpoint=folder / CHECKPOINT,
            milestones=milestones,
            resume_up_to=None if CURVE_OBJECTIVES.issuperset(self.settings.objectives) else task.until,
            device_lock=self.lock,
            is_stop_requested=self.files.is_stop_requested,
        )
        try:
            epochs_s = train_until(training, task.until, self._clock, self.files.on_epoch)
        except TrainingInterrupted:
            if (folder / CHECKPOINT).is_file():
                self.files.keep_checkpoint()
            raise
        trained_at = time.perf_counter()
        overhead_s = trained_at - start - epochs_s
        result = TrainingResult(training.model, self.data, training.history[: task.until], plan.config)
        trained = result.trained(self.settings.objectives, task.earlier.overhead_s + overhead_s)
        if task.until is not None and task.until < plan.config.epochs:
            self.files.keep_checkpoint()
            return Paused(task.seed, measured, trained, epoch=task.until)
        outcome = self._ended(task, plan, measured, trained)
        self._unsaved = outcome if isinstance(outcome, Completed) else None
        metadata = {
            "architecture": network.architecture.to_json(),
            "training": training.identity,
            "record": json.dumps(to_record(outcome)),
        }
        checkpoint.save_weights(folder / plan.file, training.model, metadata)
        self.files.keep_weights(plan.file)
        return replace(outcome, trained=trained.with_overhead(time.perf_counter() - trained_at))

    @staticmethod
    def _ended(task: TrialTask, plan: TrainingPlan, measured: Measured, trained: Trained) -> Completed | Paused:
        """The outcome of a training that has all its epochs; one that has inherited weights pauses."""
        if plan.inherited is None:
            return Completed(task.seed, measured, trained)
        return Paused(task.seed, measured, trained, epoch=plan.config.epochs, inherited=plan.inherited)

    def _measure(self, architecture: Architecture, network: Network, task: TrialTask) -> tuple[Measured, str | None]:
        """Measure the network, unless an earlier segment did, a worker of another kind has to, or the task says not to; returns
        the limit that it violates, too.
        """
        earlier = task.earlier.measured
        if all(name in earlier for name in self.settings.measuring.objectives):
            return Measured(), self.measurer.violated_limit(earlier)
        if not (self.may_measure and task.measures):
            return Measured(), None
        with self._clock.measuring():
            measured = self.measurer.measure(network, (architecture.in_chans, *architecture.image_size))
        return measured, self.measurer.violated_limit(measured.values)

    def _measure_untrained(self, task: TrialTask, folder: Path, start: float) -> MeasuredOnly:
        """The measurement alone."""
        architecture = Architecture.from_json(task.architecture)
        measured, violation = self._measure(architecture, initial_network(architecture, task.seed), task)
        return MeasuredOnly(measured, violation, wall_s=time.perf_counter() - start)

    def _finished_before(
        self, network: Network, task: TrialTask, plan: TrainingPlan, folder: Path
    ) -> Completed | Paused | None:
        """The outcome of the task, if the training was finished before (`nas.evaluation.finished_training`)."""
        finished = finished_training(
            folder / plan.file,
            network.architecture,
            lambda: training_identity(network, self.data, plan.config, task.seed, plan.origin),
        )
        if finished is None:
            return None
        outcome: Completed | Paused | None = finished
        if isinstance(finished, Completed) and task.until is not None and task.until < plan.config.epochs:
            outcome = paused_at(finished, task.until, self.settings.objectives)
        if outcome is None or self._is_measured(finished.measured, task.earlier):
            return outcome
        return replace(outcome, measured=self._measure(network.architecture, network, task)[0])

    def _is_measured(self, measured: Measured, earlier: EarlierSegments) -> bool:
        """True if a training that was finished before has every value, `measured` on a device of the right kind.

        An earlier segment that measured may be one of a later database, and a worker on another kind of device may have trained.
        """
        kind, device = self.settings.measuring.device, measured.device
        is_own = self.may_measure and device == device_name(torch.device(self.device))
        is_of_right_kind = is_own or (device is not None and kind is not None and is_of_kind(device, kind))
        measured_names = {*earlier.measured, *measured.values}
        return is_of_right_kind and measured_names.issuperset(self.settings.measuring.objectives)
