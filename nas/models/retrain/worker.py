"""The worker of full trainings: trains a network, tests it once, and writes its weights and its record. Imports torch.

The record is written last, so that a run with a record is complete. A worker that is killed before leaves a checkpoint, from
which the next one goes on; one that is killed between the test and the record repeats the test, with the same result.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.errors import UsageError, format_traceback, reason
from nas.evaluation.failures import Cause, cause_of
from nas.evaluation.stop_request import StopRequest
from nas.models.retrain.loading import DIGEST, NAME, SEED
from nas.models.retrain.networks import create_module, module_metadata
from nas.models.retrain.outcomes import RunEnd
from nas.models.retrain.plan import RetrainJob, RetrainSettings
from nas.models.retrain.progress_file import write_progress
from nas.models.retrain.teacher_network import load_teacher
from nas.models.retrain.timm_models import ImageShape
from nas.study.environment import versions
from nas.study.layout import CHECKPOINT, STACKS, WEIGHTS, remove_checkpoint, remove_error, write_error
from nas.study.retrained import RESULT, RetrainedRun
from trainers.data.dataset import load
from trainers.device import device_label
from trainers.device_lock import DeviceLock
from trainers.errors import RecipeError, TrainingInterrupted
from trainers.files import atomic_write
from trainers.training.checkpoint import reserve_weights, save_weights
from trainers.training.compilation import check_compiler
from trainers.training.evaluation import confusion
from trainers.training.recipe import RecipeTraining
from trainers.watchdog import watch

logger = logging.getLogger(__name__)

STOP_INTERVAL_S = 0.25
"""Seconds between two looks at whether the driver asks its workers to stop."""


class RetrainWorker:
    """Trains one network after the other on one device; the data are loaded once.

    Args:
        settings: what all runs share.
        device: of the place of this worker; `settings.device` replaces it.
    """

    def __init__(self, settings: RetrainSettings, device: str) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.device = settings.device or device
        check_compiler(settings.recipe.compile, self.device)
        self.data = load(settings.data_file, self.device)
        self.shape = ImageShape(self.data.in_chans, self.data.image_size, self.data.num_classes)
        self.lock = DeviceLock(self.device)
        self.device_label = device_label(torch.device(self.device))
        self.is_stop_requested = StopRequest(settings.stop_file.exists, STOP_INTERVAL_S)

    @cached_property
    def teacher(self) -> nn.Module | None:
        """The teacher of all runs."""
        return None if self.settings.teacher is None else load_teacher(self.settings.teacher, self.data)

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Run a job (`RetrainJob.to_dict`), or continue it; returns how it ended (`RunEnd.to_dict`)."""
        job = RetrainJob.from_dict(payload)
        folder = Path(job.folder)
        try:
            with watch(folder / STACKS, self.settings.max_silence_s):
                self._train(job, folder)
        except TrainingInterrupted as error:
            logger.info("%s: %s", job.label, error)
            end = RunEnd("interrupted")
        except (UsageError, RecipeError) as error:
            end = RunEnd("misused", str(error))
        except Exception as error:  # any failure is that of the run, or of the machine
            end = self._failure(error, job, folder)
        else:
            end = RunEnd("finished")
        self._free_memory()
        return end.to_dict()

    def _train(self, job: RetrainJob, folder: Path) -> None:
        recipe = self.settings.recipe
        if self.is_stop_requested():
            raise TrainingInterrupted("stopped before its first step")
        module = create_module(job, self.shape, recipe)
        with reserve_weights(folder / WEIGHTS, module, recipe.epochs):
            training = RecipeTraining(
                module,
                self.data,
                recipe,
                seed=job.seed,
                checkpoint=folder / CHECKPOINT,
                teacher=self.teacher,
                device_lock=self.lock,
                is_stop_requested=self.is_stop_requested,
            )
            for epoch in training.epochs():
                write_progress(folder, epoch)
            run = self._tested(job, training)
            metadata = {NAME: run.name, DIGEST: run.recipe_digest, SEED: str(run.seed), "training": training.identity}
            metadata |= {"recipe": json.dumps(run.recipe), **module_metadata(job, self.shape)}
            save_weights(folder / WEIGHTS, training.model, metadata)
        with atomic_write(folder / RESULT) as temporary:
            temporary.write_text(json.dumps(run.to_dict(), allow_nan=False), encoding="utf-8")
        remove_checkpoint(folder)
        remove_error(folder)
        write_progress(folder, None)

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
        )

    def _failure(self, error: Exception, job: RetrainJob, folder: Path) -> RunEnd:
        """How a run ended that raised `error`; its traceback is kept in its folder."""
        logger.info("%s failed", job.label, exc_info=True)
        cause = cause_of(error, self.device)
        if cause is not Cause.MACHINE:
            write_error(folder, format_traceback(error))
        return RunEnd("machine" if cause is Cause.MACHINE else "failed", reason(error))

    def _free_memory(self) -> None:
        """Free the memory of a GPU for the next run; if that fails, this process cannot use it, and another takes over."""
        if self.device == "cpu":
            return
        try:
            torch.cuda.empty_cache()
        except RuntimeError:
            os._exit(1)
