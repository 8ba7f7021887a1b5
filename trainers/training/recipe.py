"""Full training by a recipe, top to bottom: a module and data in, the metrics of one `Epoch` after another out.

Batches are made as for a proxy (`trainers.training.batches`), and `trainers.training.resumable` has epochs, interruptions,
checkpoints and validation. Here is what a recipe adds to a step: any optimizer and schedule, parts of a batch one after the
other, a teacher, and images that grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.device_lock import DeviceLock
from trainers.errors import RecipeError
from trainers.training.compilation import compile_module
from trainers.training.evaluation import autocast
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
from trainers.training.teacher import check_teacher

MAX_UNSAVED_S = 300.0  # seconds of steps that a kill may cost, where an epoch takes longer


class RecipeTraining(ResumableTraining):
    """The full training of one module: iterate over `epochs()`.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; moved to the device of the data and trained in place. Its dropout and stochastic
            depth are its builder's (`network_options`), its initial weights the caller's.
        data: what to train and validate on.
        config: the recipe.
        seed: of everything random in the training.
        checkpoint: a file to resume from. It is written after those epochs where that takes next to no time, and within an
            epoch after `MAX_UNSAVED_S`. A checkpoint of another training is ignored.
        teacher: `(B, C, H, W) -> (B, classes)` for the images that `module` gets; moved to the device of the data, not trained.
        device_lock: the lock of the data's device: the training pauses while others measure.
        is_stop_requested: called between two steps; True: `epochs()` writes a checkpoint and raises `TrainingInterrupted`.

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
    ) -> None:
        if config.distillation is not None and teacher is None:
            raise RecipeError("distillation", "must be absent without a teacher")
        self.config = config
        self.optimizer = create_optimizer(module.to(data.device), config, data.device)
        self.teacher = None if teacher is None else check_teacher(teacher.to(data.device), data)
        if config.image_size_schedule is not None:
            check_image_sizes(module, data, config.image_size_schedule, config.epochs)
        super().__init__(
            module,
            data,
            config,
            self.optimizer,
            recipe_batches(data, config),
            recipe_identity(module, data, config, seed, self.teacher),
            seed=seed,
            checkpoint=checkpoint,
            milestones=(),
            device_lock=device_lock,
            is_stop_requested=is_stop_requested,
            resume_up_to=None,
            max_unsaved_s=MAX_UNSAVED_S,
        )
        self._schedule = create_schedule(config, self.steps_per_epoch)
        self._loss = RecipeLoss(
            class_weights(data) if config.class_weights == "balanced" else None,
            config.label_smoothing,
            None if teacher is None else config.distillation or Distillation(),
        )
        self._forward = compile_module(module, config.compile)

    def _lr_at(self, step: int) -> float:
        return self._schedule(step, self._history)

    def _epoch_batches(self, epoch: int, generator: torch.Generator, random: Random) -> Iterator[tuple[Tensor, Tensor]]:
        size = image_size_at(epoch, self.config.epochs, self.data.image_size, self.config.image_size_schedule)
        for images, targets in super()._epoch_batches(epoch, generator, random):
            yield resize(images, size), targets

    def _step(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step of the optimizer, on the sum of the gradients of the batch's parts."""
        set_lr(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        weight, count = self._loss.total_weight(targets), len(targets)
        losses = [
            self._add_gradients(part_images, part_targets, weight, count)
            for part_images, part_targets in zip(
                images.chunk(self.config.accumulate), targets.chunk(self.config.accumulate), strict=True
            )
        ]
        if self.config.grad_clip is not None:
            clip_gradients(self.optimizer, self.config.grad_clip)
        self.optimizer.step()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _add_gradients(self, images: Tensor, targets: Tensor, weight: Tensor | int, count: int) -> Tensor:
        """Add the gradients of a part of a batch that has `weight` and `count` images in all; returns its share of the loss."""
        with autocast(images.device, self.config.amp):
            with torch.no_grad():
                teacher_logits = None if self.teacher is None else self.teacher(images)
            loss = self._loss.part(self._forward(images), targets, teacher_logits, weight, count)
        torch.autograd.backward(loss)
        return loss.detach()
