"""Proxy training, top to bottom: a module and data in, one `Epoch` of metrics after another out.

The whole data set stays on the device as uint8; a batch is `index_select`, augmented, normalised there. Everything
random in an epoch (order, augmentation, dropout) comes from generators seeded with the training's seed and the epoch's
number, and the learning rate is a function of the step: so after an epoch, the module's state, the optimizer's moments
and the metrics are all there is to save, and a resumed training ends, on a CPU with as many threads, with the very same
bits as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers import checkpoint as checkpoints
from trainers.augment import Augment, normalise
from trainers.config import TrainConfig
from trainers.data import Dataset, Split
from trainers.errors import TrainingError
from trainers.optimizer import adamw
from trainers.schedule import lr_at

Amp = Literal["auto", "off", "bf16"]


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch.

    Args:
        epoch: its number, from 1.
        train_loss: mean loss of its steps, with label smoothing.
        val_loss: mean cross-entropy on the validation split, without.
        val_accuracy: share of validation images whose class is predicted.
        lr: the learning rate of its last step.
        train_s: seconds of its steps.
        wall_s: seconds of its steps and its validation.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
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
        checkpoint: a file to write after each epoch and to go on from; one of another training is passed over.
    """

    def __init__(
        self, module: nn.Module, data: Dataset, config: TrainConfig, *, seed: int, checkpoint: Path | None = None
    ) -> None:
        if len(data.train) < 2:
            raise TrainingError(0, 0, f"needs 2 training images at least, found {len(data.train)}")
        self.module = module.to(data.device)
        self.data = data
        self.config = config
        self.seed = seed
        self.checkpoint = checkpoint
        self.optimizer = adamw(module, config, data.device)
        self.augment = Augment.of(config.augment or data.default_augment, data.image_size)
        self.batch_size = min(config.batch_size, len(data.train))
        self.steps_per_epoch = len(data.train) // self.batch_size  # an incomplete last batch is left out
        self._history: list[Epoch] = []
        self._identity = _identity(module, data, config, seed)

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
            self._save()
            yield self._history[-1]

    def _epoch(self, epoch: int) -> Epoch:
        start = time.perf_counter()
        with _seeded(_epoch_seed(self.seed, epoch), self.data.device) as generator:
            train_loss = self._train(epoch, generator)
        train_s = time.perf_counter() - start
        val_loss, val_accuracy = evaluate(
            self.module, self.data.val, self.data, self.config.eval_batch_size, self.config.amp
        )
        if not math.isfinite(val_loss):
            raise TrainingError(epoch, self.steps_per_epoch, f"the validation loss is not finite, found {val_loss}")
        return Epoch(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            lr=lr_at(epoch * self.steps_per_epoch - 1, self.steps_per_epoch, self.config),
            train_s=train_s,
            wall_s=time.perf_counter() - start,
        )

    def _train(self, epoch: int, generator: torch.Generator) -> float:
        """The steps of one epoch; their mean loss."""
        self.module.train()
        train = self.data.train
        order = torch.randperm(len(train), generator=generator, device=generator.device)
        losses = []
        for step in range(self.steps_per_epoch):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            images = self.augment(train.images.index_select(0, batch), generator)
            labels = train.labels.index_select(0, batch)
            lr = lr_at((epoch - 1) * self.steps_per_epoch + step, self.steps_per_epoch, self.config)
            losses.append(self._step(normalise(images, self.data.mean, self.data.std), labels, lr))
            # Reading a loss waits for a GPU, so one is read at a time, when the steps after it are queued.
            if step >= 16:
                _check(losses[step - 16], epoch, step - 15)
        for step in range(max(0, self.steps_per_epoch - 16), self.steps_per_epoch):
            _check(losses[step], epoch, step + 1)
        return float(torch.stack(losses).double().mean())

    def _step(self, images: Tensor, labels: Tensor, lr: float) -> Tensor:
        """One step of the optimizer; the loss, not yet read."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with _autocast(images.device, self.config.amp):
            logits = self.module(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.config.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.config.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.config.grad_clip)
        self.optimizer.step()
        return loss.detach()

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "identity": self._identity,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [epoch.to_dict() for epoch in self._history],
        }
        checkpoints.save(self.checkpoint, state)

    def _restore(self) -> None:
        """Take over what the checkpoint holds, if it is one of this very training."""
        state = None if self.checkpoint is None else checkpoints.load(self.checkpoint)
        if state is None or state.get("identity") != self._identity:
            return
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._history = [Epoch(**epoch) for epoch in state["history"]]


def train(
    module: nn.Module,
    data: Dataset,
    config: TrainConfig,
    *,
    seed: int,
    report: Callable[[Epoch], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Epoch, ...]:
    """Train to the end and return all epochs; `report` is called with each. See `ProxyTraining`."""
    training = ProxyTraining(module, data, config, seed=seed, checkpoint=checkpoint)
    for epoch in training.epochs():
        if report is not None:
            report(epoch)
    return training.history


@torch.inference_mode()
def evaluate(
    module: nn.Module, split: Split, data: Dataset, batch_size: int = 512, amp: Amp = "auto"
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of `module` on `split`, whose device it is on, in evaluation mode.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; its training mode is as before afterwards.
        split: one of `data`.
        data: whose mean and deviation the images are normalised with.
        batch_size: images at a time.
        amp: as in `TrainConfig`.
    """
    training = module.training
    module.eval()
    loss = torch.zeros((), dtype=torch.float64, device=split.labels.device)
    correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    for start in range(0, len(split), batch_size):
        images = normalise(split.images[start : start + batch_size], data.mean, data.std)
        labels = split.labels[start : start + batch_size]
        with _autocast(images.device, amp):
            logits = module(images).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
        correct += (logits.argmax(1) == labels).sum()
    module.train(training)
    return float(loss) / len(split), int(correct) / len(split)


def _check(loss: Tensor, epoch: int, step: int) -> None:
    value = float(loss)
    if not math.isfinite(value):
        raise TrainingError(epoch, step, f"the loss is not finite, found {value}")


@contextmanager
def _autocast(device: torch.device, amp: Amp) -> Iterator[None]:
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    with torch.autocast(device.type, torch.bfloat16, enabled=amp == "bf16" or (amp == "auto" and on_gpu)):
        yield


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


def _identity(module: nn.Module, data: Dataset, config: TrainConfig, seed: int) -> str:
    """What a checkpoint must agree with: architecture, data, configuration and seed."""
    shapes = [(name, list(value.shape)) for name, value in module.state_dict().items()]
    content = json.dumps([shapes, data.fingerprint, config.model_dump(mode="json"), seed])
    return hashlib.sha256(content.encode()).hexdigest()
