"""Proxy training: a module and data in, the metrics of one `Epoch` after another out.

Here is what is special to it: the optimizer, a step, and the learning rate. `trainers.training.resumable`, of which it is a
subclass, has what full trainings share: the loop over epochs and steps, interruptions, checkpoints and validation.
The whole data set stays uint8, on the device if it fits there; batches are made there (`trainers.training.batches`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.device_lock import DeviceLock
from trainers.training import checkpoint as checkpoints
from trainers.training.batches import Batches
from trainers.training.compilation import compile_module
from trainers.training.config import TrainConfig
from trainers.training.epoch import Epoch
from trainers.training.evaluation import autocast
from trainers.training.loss import class_weights
from trainers.training.optimizer import adamw, set_lr
from trainers.training.resumable import ResumableTraining
from trainers.training.schedule import lr_at


class ProxyTraining(ResumableTraining):
    """The training of one module: iterate over `epochs()`.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; moved to the device of the data and trained in place.
        data: what to train and validate on.
        config: how to train.
        seed: of everything random in the training; the initial weights are the caller's.
        checkpoint: a file to resume from. It is written after those epochs where that takes next to no time
            (`CheckpointSchedule`). A checkpoint of another training is ignored. Without room on the disk the training goes
            on, and the last checkpoint stays.
        milestones: epochs that are validated and saved in any case.
        device_lock: the lock of the data's device: the training pauses while others measure.
        is_stop_requested: called between two steps; True: `epochs()` writes a checkpoint and raises `TrainingInterrupted`.
        resume_up_to: a checkpoint that was written after the end of this epoch is ignored; None: any is used.
        origin: what identifies initial weights that `seed` did not draw (`training_identity`).

    Raises:
        TrainingError: there are fewer than 2 training images.
    """

    def __init__(
        self,
        module: nn.Module,
        data: Dataset,
        config: TrainConfig,
        *,
        seed: int,
        checkpoint: Path | None = None,
        milestones: Collection[int] = (),
        device_lock: DeviceLock | None = None,
        is_stop_requested: Callable[[], bool] = lambda: False,
        resume_up_to: int | None = None,
        origin: str = "",
    ) -> None:
        self.config = config
        self.optimizer = adamw(module.to(data.device), config, data.device)
        super().__init__(
            module,
            data,
            config,
            self.optimizer,
            Batches.of(data, config),
            checkpoints.training_identity(module, data, config, seed, origin),
            seed=seed,
            checkpoint=checkpoint,
            milestones=milestones,
            device_lock=device_lock,
            is_stop_requested=is_stop_requested,
            resume_up_to=resume_up_to,
        )
        self.class_weights = class_weights(data) if config.class_weights == "balanced" else None
        self._forward = compile_module(module, config.compile)

    def _lr_at(self, step: int) -> float:
        return lr_at(step, self.steps_per_epoch, self.config)

    def _step(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step of the optimizer. The loss stays on the device, so that the CPU does not wait for it."""
        set_lr(self.optimizer, lr)
        with autocast(images.device, self.config.amp):
            logits = self._forward(images)
            loss = F.cross_entropy(
                logits.float(), targets, self.class_weights, label_smoothing=self.config.label_smoothing
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.config.grad_clip is not None:
            self.optimizer.clip(self.config.grad_clip)
        self.optimizer.step()
        return loss.detach()


def train(
    module: nn.Module,
    data: Dataset,
    config: TrainConfig,
    *,
    seed: int,
    report: Callable[[Epoch], None] | None = None,
    checkpoint: Path | None = None,
    milestones: Collection[int] = (),
) -> tuple[Epoch, ...]:
    """Train to the end and return all epochs.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; trained in place.
        data: what to train and validate on.
        config: how to train.
        seed: of everything random in the training.
        report: called with each epoch when it is finished.
        checkpoint: a file to resume from, as for `ProxyTraining`.
        milestones: epochs that are validated and saved in any case.

    Raises:
        TrainingError: a loss is not finite.
    """
    training = ProxyTraining(module, data, config, seed=seed, checkpoint=checkpoint, milestones=milestones)
    for epoch in training.epochs():
        if report is not None:
            report(epoch)
    return training.history
