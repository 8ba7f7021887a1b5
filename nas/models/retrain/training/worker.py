"""The worker of full trainings: trains a network, tests it once, and writes its weights and its record. Imports torch.

The record is written last, so that a run with a record is complete. A worker that is killed before leaves a checkpoint, from
which the next one goes on; one that is killed between the test and the record repeats the test, with the same result.

Under `torchrun` several workers train a network together (`nas.models.retrain.processes.with_torchrun`); the first one writes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.errors import UsageError, format_traceback, reason
from nas.evaluation.failures import Cause, cause_of
from nas.evaluation.measurer import Measurer
from nas.evaluation.stop_request import StopRequest
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings, RunEnd
from nas.models.retrain.plan.measuring import OBJECTIVE
from nas.models.retrain.subjects.timm_models import ImageShape
from nas.models.retrain.training.loading import weights_metadata
from nas.models.retrain.training.networks import create_module, load_teacher
from nas.models.retrain.training.progress import ProgressWriter, write_progress
from nas.models.retrain.training.run_files import RunFiles, SharedRunFiles
from nas.study.environment import versions
from nas.study.layout import CHECKPOINT, STACKS, WEIGHTS, remove_checkpoint
from nas.study.retrained import RESULT, RetrainedRun
from trainers.data.dataset import load
from trainers.device import device_label, device_name, use_device
from trainers.device_lock import DeviceLock
from trainers.errors import RecipeError, TrainingInterrupted
from trainers.files import atomic_write
from trainers.training.checkpoint import reserve_weights, save_weights
from trainers.training.compilation import check_compiler
from trainers.training.data_parallel import Processes
from trainers.training.evaluation import confusion
from trainers.training.recipe import RecipeTraining
from trainers.watchdog import watch

logger = logging.getLogger(__name__)


class RetrainWorker:
    """Trains one network after the other on one device; the data are loaded once.

    Args:
        settings: what all runs share.
        device: of the place of this worker; `settings.device` replaces it.
        files: the files of the runs; None: this worker sees the driver's folder.
    """

    def __init__(self, settings: RetrainSettings, device: str, files: RunFiles | None = None) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.device = settings.device or device
        self.files = files or SharedRunFiles(settings.data_file, settings.stop_file)
        # A worker that shares a GPU must not use the memory of the others.
        use_device(torch.device(self.device), settings.gpus)
        check_compiler(settings.recipe.compile, self.device)
        self.data = load(self.files.images, self.device, (settings.gpus or 1.0) / 2)
        self.shape = ImageShape(self.data.in_chans, self.data.image_size, self.data.num_classes)
        self.processes = Processes.current()
        self.lock = DeviceLock(self.device)
        self.device_label = device_label(torch.device(self.device))
        self.is_stop_requested: Callable[[], bool] = StopRequest(
            self.files.is_stop_requested, self.files.stop_interval_s
        )

    @cached_property
    def teacher(self) -> nn.Module | None:
        """The teacher of all runs."""
        teacher = self.settings.teacher
        if teacher is None or teacher.folder is None:
            return None if teacher is None else load_teacher(teacher, self.data)
        own = self.files.weights_folder(Path(teacher.folder))
        return load_teacher(replace(teacher, folder=str(own)), self.data)

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Run a job (`RetrainJob.to_dict`), or continue it; returns how it ended (`RunEnd.to_dict`)."""
        job = RetrainJob.from_dict(payload)
        try:
            self.train(job)
        except TrainingInterrupted as error:
            logger.info("%s: %s", job.label, error)
            end = RunEnd("interrupted")
        except (UsageError, RecipeError) as error:
            end = RunEnd("misused", str(error))
        except Exception as error:  # any failure is that of the run, or of the machine
            logger.info("%s failed", job.label, exc_info=True)
            is_machine = cause_of(error, self.device) is Cause.MACHINE
            end = RunEnd("machine" if is_machine else "failed", reason(error), format_traceback(error))
        else:
            end = RunEnd("finished")
        self._free_memory()
        return end.to_dict()

    def train(self, job: RetrainJob) -> None:
        """Train the network of `job`, or continue, and write its weights and its record.

        Raises:
            TrainingInterrupted: the driver asks to stop; the checkpoint is kept.
            UsageError, RecipeError: the recipe does not fit the network.
            Exception: the training failed.
        """
        if self.is_stop_requested():
            raise TrainingInterrupted("stopped before its first step")
        with (
            self.files.opened(Path(job.folder)) as folder,
            watch(folder / STACKS, self.settings.max_silence_s),
        ):
            self._train(job, folder)

    @property
    def _is_writer(self) -> bool:
        return self.processes.rank == 0

    def _train(self, job: RetrainJob, folder: Path) -> None:
        recipe = self.settings.recipe
        weights_folder = None if job.weights_folder is None else self.files.weights_folder(Path(job.weights_folder))
        start = replace(job, weights_folder=None if weights_folder is None else str(weights_folder))
        module = create_module(start, self.shape, recipe)
        with reserve_weights(folder / WEIGHTS, module, recipe.epochs) if self._is_writer else nullcontext():
            training = self._trained(job, module, folder)
            run = self._tested(job, training)
            if not self._is_writer:
                return
            metadata = weights_metadata(run, job.subject, self.shape)
            metadata |= {"training": training.identity, "recipe": json.dumps(run.recipe)}
            save_weights(folder / WEIGHTS, training.model, metadata)
        with atomic_write(folder / RESULT) as temporary:
            temporary.write_text(json.dumps(run.to_dict(), allow_nan=False), encoding="utf-8")
        self.files.keep_result()
        remove_checkpoint(folder)
        write_progress(folder, None)

    def _trained(self, job: RetrainJob, module: nn.Module, folder: Path) -> RecipeTraining:
        """The training of `module` after its last epoch."""
        progress = ProgressWriter(folder, self.files.on_progress)

        def is_stop_requested() -> bool:
            if self._is_writer:
                progress.on_step(training.finished_epochs)
            return self.is_stop_requested()

        # Workers on one CPU would wait for each other within a step while one of them waits for a measurement.
        has_lock = self._is_writer or self.device != "cpu"
        training = RecipeTraining(
            module,
            self.data,
            self.settings.recipe,
            seed=job.seed,
            checkpoint=folder / CHECKPOINT,
            teacher=self.teacher,
            device_lock=self.lock if has_lock else None,
            is_stop_requested=is_stop_requested,
        )
        try:
            for epoch in training.epochs():
                if self._is_writer and epoch is training.history[-1]:
                    progress.write(epoch.epoch)
        except TrainingInterrupted:
            if self._is_writer and training.finished_epochs:
                progress.write(training.finished_epochs)
                self.files.keep_checkpoint()
            raise
        return training

    def _tested(self, job: RetrainJob, training: RecipeTraining) -> RetrainedRun:
        """The record of the run; the test split is used here, and nowhere else."""
        recipe, subject = self.settings.recipe, job.subject
        test = confusion(training.model, self.data.test, self.data, recipe.eval_batch_size, recipe.amp)
        val_accuracy = training.result.val_accuracy
        if val_accuracy is None:
            raise ValueError("the last epoch must be validated")
        return RetrainedRun(
            name=subject.name,
            kind=subject.kind,
            trial=subject.trial,
            seed=job.seed,
            start=subject.start,
            architecture_id=None if subject.architecture is None else subject.architecture.id,
            macs=subject.macs,
            params=subject.params,
            recipe=recipe.model_dump(mode="json"),
            recipe_digest=self.settings.digest,
            fingerprint=self.data.fingerprint,
            epochs=tuple(epoch.to_dict() for epoch in training.history),
            val_accuracy=val_accuracy,
            test_accuracy=test.accuracy,
            test_confusion=test.to_dict(),
            wall_s=sum(epoch.wall_s for epoch in training.history),
            device=self.device_label,
            versions=versions(),
            teacher=None if self.settings.teacher is None else self.settings.teacher.name,
            images_per_s=self._images_per_s(job, training.model),
            processes=self.processes.count,
        )

    def _images_per_s(self, job: RetrainJob, module: nn.Module) -> float | None:
        """The throughput of what is no trial, which the search has measured; None on another device than the study's."""
        measuring = self.settings.measuring
        if measuring is None or job.subject.trial is not None or not self._is_writer:
            return None
        if not measuring.is_on(device_name(torch.device(self.device)), self.device_label):
            return None
        settings = measuring.settings_on(self.device)
        torch.set_num_threads(measuring.threads)
        try:
            measurer = Measurer(settings, self.device, self.lock)
            values = measurer.measure(module, (self.shape.in_chans, *self.shape.size)).values
        except (RuntimeError, OSError) as error:  # such as too little memory: the training is not lost for it
            logger.warning("%s: its throughput cannot be measured: %s", job.label, reason(error))
            return None
        finally:
            torch.set_num_threads(self.settings.threads)
        return values[OBJECTIVE]

    def _free_memory(self) -> None:
        """Free the memory of a GPU for the next run; if that fails, this process cannot use it, and another takes over."""
        if self.device == "cpu":
            return
        try:
            torch.cuda.empty_cache()
        except RuntimeError:
            os._exit(1)
