"""Proxy training, top to bottom: a module and data in, one `Epoch` of metrics after another out.

The whole data set stays uint8, on the device if it fits there; batches are made there (`trainers.training.batches`). Everything
random in an epoch (order, augmentation, dropout) comes from generators seeded with the training's seed and the epoch's
number, and the learning rate is a function of the step: so after an epoch, the module's state, the optimizer's moments
and the metrics are all there is to save, and a resumed training ends, on a CPU with as many threads, with the very same
bits as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.device_lock import DeviceLock
from trainers.errors import TrainingError
from trainers.training import checkpoint as checkpoints
from trainers.training.averaging import Average
from trainers.training.batches import Batches
from trainers.training.compilation import compile_module
from trainers.training.config import TrainConfig
from trainers.training.evaluation import autocast, evaluate, validation_period
from trainers.training.optimizer import adamw
from trainers.training.schedule import lr_at

UNREAD = 16  # losses at most: to read one waits for a GPU
CHECKPOINT_SHARE = 0.005  # of the time since the last checkpoint
FIRST_SAVE_S = 0.02  # that writing a checkpoint takes, before it is known


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch.

    Args:
        epoch: its number, from 1.
        train_loss: mean loss of its steps, with label smoothing.
        val_loss: mean cross-entropy on the validation split, without; None: the epoch was not validated.
        val_accuracy: share of validation images whose class is predicted, likewise.
        lr: the learning rate of its last step.
        train_s: seconds of its steps.
        wall_s: seconds of its steps and its validation.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    train_s: float
    wall_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class ProxyTraining:
    """The training of one module: iterate over `epochs()`.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; moved to the device of the data and trained in place.
        data: what to train and validate on.
        config: how.
        seed: of everything random in the training; the initial weights are the caller's.
        checkpoint: a file to go on from, written after epochs as long as that takes next to no time (`CHECKPOINT_SHARE`); one
            of another training is passed over.
        milestones: epochs that are validated and saved in any case.
        device_lock: the lock of the data's device: the training stands still for measurements of others.
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
    ) -> None:
        if len(data.train) < 2:
            raise TrainingError(0, 0, f"needs 2 training images at least, found {len(data.train)}")
        self.module = module.to(data.device)
        self._compiled = compile_module(self.module, config.compile)
        self.data = data
        self.config = config
        self.seed = seed
        self.checkpoint = checkpoint
        self.milestones = frozenset(milestones)
        self.device_lock = device_lock
        self.optimizer = adamw(module, config, data.device)
        self.average = None if config.ema is None else Average(self.module, config.ema)
        self.batches = Batches.of(data, config)
        self.class_weights = class_weights(data) if config.class_weights == "balanced" else None
        self.steps_per_epoch = len(self.batches)
        self._history: list[Epoch] = []
        self._saved_at, self._saving_s = time.perf_counter(), FIRST_SAVE_S
        self.identity = checkpoints.training_identity(module, data, config, seed)

    @property
    def model(self) -> nn.Module:
        """The result of the training so far: what is validated, and what to save.

        It is the module itself or, with `ema`, another that holds the averaged weights; training goes on in `module`.
        """
        return self.module if self.average is None else self.average.module

    @property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs finished so far, those of a checkpoint among them once `epochs()` has begun."""
        return tuple(self._history)

    @property
    def result(self) -> Epoch:
        """The last epoch finished.

        Raises:
            TrainingError: none is.
        """
        if not self._history:
            raise TrainingError(0, 0, "no epoch is finished")
        return self._history[-1]

    def epochs(self) -> Iterator[Epoch]:
        """Train; yields each epoch when it is finished and saved, those that a checkpoint holds first.

        Raises:
            TrainingError: a loss is not finite.
        """
        if not self._history:
            self._restore()
        yield from self.history
        while len(self._history) < self.config.epochs:
            self._history.append(self._epoch(len(self._history) + 1))
            if self.checkpoint is not None and self._is_due():
                self._save(self.checkpoint)
            yield self._history[-1]

    def _epoch(self, epoch: int) -> Epoch:
        with nullcontext(_go_on) if self.device_lock is None else self.device_lock.shared() as step_aside:
            return self._timed_epoch(epoch, step_aside)

    def _timed_epoch(self, epoch: int, step_aside: Callable[[], None]) -> Epoch:
        """Train and validate."""
        now = time.perf_counter if self.device_lock is None else self.device_lock.clock
        start = now()
        with _seeded(_epoch_seed(self.seed, epoch), self.data.device) as generator:
            train_loss = self._train(epoch, generator, step_aside)
        train_s = now() - start
        val_loss, val_accuracy = self._validate(epoch)
        return Epoch(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            lr=lr_at(epoch * self.steps_per_epoch - 1, self.steps_per_epoch, self.config),
            train_s=train_s,
            wall_s=now() - start,
        )

    def _validate(self, epoch: int) -> tuple[float | None, float | None]:
        """Loss and accuracy on the validation split, if the epoch is validated."""
        period = self.config.validate_every or validation_period(len(self.data.train), len(self.data.val))
        if (self.config.epochs - epoch) % period and epoch not in self.milestones:
            return None, None
        loss, accuracy = evaluate(self.model, self.data.val, self.data, self.config.eval_batch_size, self.config.amp)
        if not math.isfinite(loss):
            raise TrainingError(epoch, self.steps_per_epoch, f"the validation loss is not finite, found {loss}")
        return loss, accuracy

    def _train(self, epoch: int, generator: torch.Generator, step_aside: Callable[[], None]) -> float:
        """The steps of one epoch, `step_aside` called before each; their mean loss."""
        self.module.train()
        losses: list[Tensor] = []
        random = Random(_epoch_seed(self.seed, epoch))
        for step, (images, targets) in enumerate(self.batches.epoch(generator, random)):
            step_aside()
            total = (epoch - 1) * self.steps_per_epoch + step
            losses.append(self._step(images, targets, lr_at(total, self.steps_per_epoch, self.config)))
            if self.average is not None:
                self.average.update(total)
            if (step + 1) % UNREAD == 0:
                _check(losses[-UNREAD:], epoch, step + 1)
        if unread := len(losses) % UNREAD:
            _check(losses[-unread:], epoch, len(losses))
        return float(torch.stack(losses).double().mean())

    def _step(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step of the optimizer; the loss, not yet read."""
        self.optimizer.set_lr(lr)
        with autocast(images.device, self.config.amp):
            logits = self._compiled(images)
            loss = F.cross_entropy(
                logits.float(), targets, self.class_weights, label_smoothing=self.config.label_smoothing
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.config.grad_clip is not None:
            self.optimizer.clip(self.config.grad_clip)
        self.optimizer.step()
        return loss.detach()

    def _is_due(self) -> bool:
        """True if a checkpoint is wanted after the last epoch."""
        since_s = time.perf_counter() - self._saved_at
        return len(self._history) in self.milestones or since_s >= self._saving_s / CHECKPOINT_SHARE

    def _save(self, file: Path) -> None:
        begun = time.perf_counter()
        state = {
            "identity": self.identity,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [epoch.to_dict() for epoch in self._history],
        }
        if self.average is not None:
            state["average"] = self.average.module.state_dict()
        checkpoints.save(file, state)
        self._saved_at = time.perf_counter()
        self._saving_s = self._saved_at - begun

    def _restore(self) -> None:
        """Take over what the checkpoint holds, if it is one of this very training."""
        state = None if self.checkpoint is None else checkpoints.load(self.checkpoint)
        if state is None or state.get("identity") != self.identity:
            return
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self._history = [Epoch(**epoch) for epoch in state["history"]]


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
    """Train to the end and return all epochs; `report` is called with each. See `ProxyTraining`."""
    training = ProxyTraining(module, data, config, seed=seed, checkpoint=checkpoint, milestones=milestones)
    for epoch in training.epochs():
        if report is not None:
            report(epoch)
    return training.history


def class_weights(data: Dataset) -> Tensor:
    """What an image of each class counts in the loss, `(classes,)`: all classes alike, and 1 in the mean over the images."""
    counts = torch.tensor(data.class_counts, dtype=torch.float32, device=data.device)
    return counts.sum() / (len(counts) * counts)


def _go_on() -> None:
    """Nobody measures beside a training without slots."""


def _check(losses: list[Tensor], epoch: int, last: int) -> None:
    """Raise `TrainingError` at the first loss that is not finite; the last one is of the step `last`."""
    for step, value in enumerate(torch.stack(losses).tolist(), last - len(losses) + 1):
        if not math.isfinite(value):
            raise TrainingError(epoch, step, f"the loss is not finite, found {value}")


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """A generator on `device`; within the block torch's global ones are seeded too (dropout), and put back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield torch.Generator(device).manual_seed(seed)


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed of 63 bits for one epoch; neighbouring seeds and epochs have nothing in common."""
    return int.from_bytes(hashlib.sha256(f"{seed} {epoch}".encode()).digest()[:8], "big") >> 1
