"""Full training by a recipe, top to bottom: a module and data in, the metrics of one `Epoch` after another out.

Batches are made as for a proxy (`trainers.training.batches`), and `trainers.training.resumable` has epochs, interruptions,
checkpoints and validation. Here is what a recipe adds to a step: any optimizer and schedule, parts of a batch one after the
other or in several processes (`trainers.training.data_parallel`), a teacher, and images that grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.device_lock import DeviceLock
from trainers.errors import RecipeError
from trainers.training.compilation import compile_module
from trainers.training.data_parallel import Processes
from trainers.training.evaluation import autocast
from trainers.training.feature_maps import Outputs, check_feature_maps, with_feature_map, without_feature_map
from trainers.training.image_sizes import check_image_sizes, image_size_at, resize
from trainers.training.loss import class_weights
from trainers.training.optimizer import set_lr
from trainers.training.recipe_batches import recipe_batches
from trainers.training.recipe_config import Distillation, RecipeConfig
from trainers.training.recipe_identity import recipe_identity
from trainers.training.recipe_loss import RecipeLoss
from trainers.training.recipe_optimizer import clip_gradients, create_optimizer
from trainers.training.recipe_schedule import create_schedule
from trainers.training.resumable import ResumableTraining
from trainers.training.state import PartialEpoch
from trainers.training.teacher import check_teacher

MAX_UNSAVED_S = 300.0  # an epoch may take hours


class RecipeTraining(ResumableTraining):
    """The full training of one module: iterate over `epochs()`.

    Under `torch.distributed` each process trains on its part of every batch. The first one gives all its initial weights, and
    writes the checkpoint and reads it for all. The result and the metrics are the same in all of them.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; moved to the device of the data and trained in place. Its dropout and stochastic
            depth are its builder's (`network_options`), its initial weights the caller's.
        data: what to train and validate on.
        config: the recipe.
        seed: of everything random in the training.
        checkpoint: a file to resume from. It is written after those epochs where that takes next to no time, and within an
            epoch after `max_unsaved_s`. A checkpoint of another training is ignored.
        teacher: `(B, C, H, W) -> (B, classes)` for the images that `module` gets; moved to the device of the data, not trained.
        device_lock: the lock of the data's device: the training pauses while others measure.
        is_stop_requested: called between two steps; True: `epochs()` writes a checkpoint and raises `TrainingInterrupted`.
        max_unsaved_s: seconds of steps that are lost at most when the process is killed.

    Raises:
        RecipeError: the recipe does not fit the module, the data, the teacher or the installed timm.
        TrainingError: there are fewer than 2 training images.
    """

    def __init__(
        self,
        module: nn.Module,
        data: Dataset,
        config: RecipeConfig,
        *,
        seed: int,
        checkpoint: Path | None = None,
        teacher: nn.Module | None = None,
        device_lock: DeviceLock | None = None,
        is_stop_requested: Callable[[], bool] = lambda: False,
        max_unsaved_s: float = MAX_UNSAVED_S,
    ) -> None:
        if config.distillation is not None and teacher is None:
            raise RecipeError("distillation", "must be absent without a teacher")
        self.config = config
        self._processes = Processes.current()
        module = self._processes.synchronise(module.to(data.device))
        self.optimizer = create_optimizer(module, config, data.device)
        self.teacher = None if teacher is None else check_teacher(teacher.to(data.device), data)
        self._check_networks(module, data)
        super().__init__(
            module,
            data,
            config.model_copy(update={"validate_every": 1}) if config.schedule == "plateau" else config,
            self.optimizer,
            recipe_batches(data, config, self._processes.count),
            recipe_identity(module, data, config, seed, self.teacher),
            seed=seed,
            checkpoint=checkpoint,
            milestones=(),
            device_lock=device_lock,
            is_stop_requested=self._processes.agree(is_stop_requested),
            resume_up_to=None,
            max_unsaved_s=max_unsaved_s,
        )
        self._statistics = self._processes.statistics(module)
        self._schedule = create_schedule(config, self.steps_per_epoch)
        distillation = None if self.teacher is None else config.distillation or Distillation()
        weights = class_weights(data) if config.class_weights == "balanced" else None
        self._loss = RecipeLoss(weights, config.label_smoothing, distillation)
        if self._uses_features:
            self._forward = with_feature_map(module)
        else:
            self._forward = without_feature_map(compile_module(module, config.compile))

    @property
    def _uses_features(self) -> bool:
        return self.config.distillation is not None and self.config.distillation.feature_weight > 0

    def _check_networks(self, module: nn.Module, data: Dataset) -> None:
        """Check that the recipe can be followed with this network and teacher."""
        networks = {"network": module} if self.teacher is None else {"network": module, "teacher": self.teacher}
        for name, network in networks.items():
            if self._uses_features:
                check_feature_maps(network, "teacher" if name == "teacher" else "distillation", data)
            if self.config.image_size_schedule is not None:
                images = (data.in_chans, *data.image_size)
                check_image_sizes(
                    network, name, images, self.config.image_size_schedule, self.config.epochs, data.device
                )

    def _lr_at(self, step: int) -> float:
        return self._schedule(step, self._history)

    def _epoch_batches(self, epoch: int, generator: torch.Generator, random: Random) -> Iterator[tuple[Tensor, Tensor]]:
        size = image_size_at(epoch, self.config.epochs, self.data.image_size, self.config.image_size_schedule)
        for step, (images, targets) in enumerate(super()._epoch_batches(epoch, generator, random)):
            self._processes.seed_dropout(self.seed, epoch, step)
            yield resize(images, size), targets

    def _step(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step of the optimizer, on the sum of the gradients of the batch's parts."""
        set_lr(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        weight, count = self._loss.total_weight(targets), len(targets)
        images, targets = self._processes.own_part(images), self._processes.own_part(targets)
        parts_count = self.config.accumulate  # `chunk` would leave fewer parts, or a last one of a single image
        parts = zip(images.tensor_split(parts_count), targets.tensor_split(parts_count), strict=True)
        losses = [self._add_gradients(*part, weight, count) for part in parts]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        gradients = (p.grad for p in self.module.parameters() if p.grad is not None)
        self._processes.sum(chain([loss], gradients, self._statistics))
        for value in self._statistics:
            value.div_(self._processes.count)
        if self.config.grad_clip is not None:
            clip_gradients(self.optimizer, self.config.grad_clip)
        self.optimizer.step()
        return loss

    def _add_gradients(self, images: Tensor, targets: Tensor, weight: Tensor | int, count: int) -> Tensor:
        """Add the gradients of a part of a batch that has `weight` and `count` images in all; returns its share of the loss."""
        with autocast(images.device, self.config.amp):
            teachers = None if self.teacher is None else self._ask_teacher(self.teacher, images)
            loss = self._loss.part(self._forward(images), targets, teachers, weight, count)
        torch.autograd.backward(loss)
        return loss.detach()

    @torch.no_grad()
    def _ask_teacher(self, teacher: nn.Module, images: Tensor) -> Outputs:
        return with_feature_map(teacher)(images) if self._uses_features else Outputs(teacher(images))

    def _validate(self, epoch: int) -> tuple[float | None, float | None]:
        return self._processes.of_first(super()._validate(epoch))

    def _save(self, file: Path, is_required: bool, partial: PartialEpoch | None = None) -> None:
        if self._processes.rank == 0:
            super()._save(file, is_required, partial)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        return self._processes.of_first(super()._read_checkpoint() if self._processes.rank == 0 else None)
