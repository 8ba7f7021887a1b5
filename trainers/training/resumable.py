"""What all trainings share: epochs that can be interrupted, saved and resumed, and end with the same bits.

Everything random in an epoch (order, augmentation, dropout) comes from generators that are seeded with the training's seed and
the epoch's number, and the learning rate is a function of the step and of the finished epochs. So after an epoch the module's
state, the optimizer's and the metrics are all there is to save, and a resumed training ends, on a CPU with the same number of
threads, with exactly the bits of an uninterrupted one. Within an epoch the losses of its steps and the state of torch's global
generators are saved, too; when it is continued, the batches of these steps are drawn again, and dropped.
"""

from __future__ import annotations

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainers.data.dataset import Dataset
from trainers.device_lock import DeviceLock
from trainers.disk import NO_ROOM_ERRNOS
from trainers.errors import TrainingError, TrainingInterrupted
from trainers.training import checkpoint as checkpoints
from trainers.training.averaging import AveragedWeights
from trainers.training.batches import Batches
from trainers.training.epoch import Epoch
from trainers.training.evaluation import evaluate, validation_period
from trainers.training.loss import check_finite
from trainers.training.randomness import epoch_seed, seeded
from trainers.training.state import PartialEpoch, TrainingState, random_states, set_random_states
from trainers.training.training_config import TrainingConfig
from trainers.watchdog import report_progress

MAX_UNREAD_LOSSES = 16  # reading a loss waits for the GPU

log = logging.getLogger(__name__)


class ResumableTraining(ABC):
    """The training of one module: iterate over `epochs()`.

    A subclass says which batches an epoch has (`_epoch_batches`), what a step is (`_step`) and its learning rate (`_lr_at`).

    Args:
        module: `(B, C, H, W) -> (B, classes)`, on the device of the data; trained in place.
        data: what to train and validate on.
        config: how to train.
        optimizer: of the parameters of `module`.
        batches: of an epoch.
        identity: a digest of all that a training and its checkpoint have in common.
        seed: of everything random in the training; the initial weights are the caller's.
        checkpoint: a file to resume from. It is written after those epochs where that takes next to no time
            (`CheckpointSchedule`). A checkpoint of another training is ignored. Without room on the disk the training goes
            on, and the last checkpoint stays.
        milestones: epochs that are validated and saved in any case.
        device_lock: the lock of the data's device: the training pauses while others measure.
        is_stop_requested: called between two steps; True: `epochs()` writes a checkpoint and raises `TrainingInterrupted`.
        resume_up_to: a checkpoint that was written after the end of this epoch is ignored; None: any is used.
        max_unsaved_s: seconds after which a checkpoint is written within an epoch; None: only when the training is interrupted.

    Raises:
        TrainingError: there are fewer than 2 training images.
    """

    def __init__(
        self,
        module: nn.Module,
        data: Dataset,
        config: TrainingConfig,
        optimizer: Optimizer,
        batches: Batches,
        identity: str,
        *,
        seed: int,
        checkpoint: Path | None,
        milestones: Collection[int],
        device_lock: DeviceLock | None,
        is_stop_requested: Callable[[], bool],
        resume_up_to: int | None,
        max_unsaved_s: float | None = None,
    ) -> None:
        if len(data.train) < 2:
            raise TrainingError(0, 0, f"number of training images must be at least 2, found {len(data.train)}")
        self.module = module
        self.data = data
        self.seed = seed
        self.checkpoint = checkpoint
        self.milestones = frozenset(milestones)
        self.device_lock = device_lock
        self.is_stop_requested = is_stop_requested
        self.batches = batches
        self.identity = identity
        self.steps_per_epoch = len(batches)
        self.average = None if config.ema is None else AveragedWeights(module, config.ema)
        self._shared_config = config
        self._max_unsaved_s = max_unsaved_s
        self._checkpoint_schedule = checkpoints.CheckpointSchedule(self.milestones)
        self._state = TrainingState(
            identity,
            module,
            optimizer,
            self.average,
            config.epochs,
            self.steps_per_epoch,
            self.milestones,
            resume_up_to,
        )
        self._history: list[Epoch] = []
        self._partial: PartialEpoch | None = None  # of the epoch that a checkpoint has within
        self._finished_steps = 0  # of the running epoch
        self._earlier_s: dict[int, float] = {}  # epoch -> seconds of it that earlier processes spent

    @property
    def model(self) -> nn.Module:
        """The result of the training so far: what is validated, and what to save.

        It is the module itself or, with `ema`, another one that holds the averaged weights; training goes on in `module`.
        """
        return self.module if self.average is None else self.average.module

    @property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs finished so far, including those of a checkpoint once `epochs()` has started."""
        return tuple(self._history)

    @property
    def result(self) -> Epoch:
        """The last finished epoch.

        Raises:
            TrainingError: no epoch is finished.
        """
        if not self._history:
            raise TrainingError(0, 0, "no epoch is finished")
        return self._history[-1]

    @property
    def finished_epochs(self) -> float:
        """The epochs finished so far, with the share of the running one whose steps are done."""
        return len(self._history) + self._finished_steps / self.steps_per_epoch

    def own_seconds(self, epoch: Epoch) -> Epoch:
        """The metrics of `epoch` with the seconds of this process alone; others have trained what a checkpoint held."""
        earlier_s = self._earlier_s.get(epoch.epoch, 0.0)
        return replace(epoch, train_s=max(0.0, epoch.train_s - earlier_s), wall_s=max(0.0, epoch.wall_s - earlier_s))

    def epochs(self) -> Iterator[Epoch]:
        """Train; yields each epoch when it is finished and saved, those of a checkpoint first.

        Raises:
            TrainingError: a loss is not finite.
            TrainingInterrupted: `is_stop_requested`; the checkpoint is written.
        """
        if not self._history:
            self._restore()
        yield from self.history
        while len(self._history) < self._shared_config.epochs:
            epoch = len(self._history) + 1
            with (
                nullcontext(_no_pause) if self.device_lock is None else self.device_lock.shared() as pause_if_requested
            ):
                self._history.append(self._run_epoch(epoch, pause_if_requested))
            if self.checkpoint is not None and self._checkpoint_schedule.is_due(epoch):
                self._save(self.checkpoint, is_required=epoch in self.milestones)
            yield self._history[-1]

    def _run_epoch(self, epoch: int, pause_if_requested: Callable[[], None]) -> Epoch:
        """Train and validate; pauses do not count in the seconds."""
        clock = time.perf_counter if self.device_lock is None else self.device_lock.clock
        start = clock()
        partial, self._partial = self._partial, None
        before_s = 0.0 if partial is None else partial.train_s
        self._finished_steps = 0 if partial is None else partial.steps
        with seeded(epoch_seed(self.seed, epoch), self.data.device) as generator:
            train_loss = self._train_steps(
                epoch, generator, pause_if_requested, lambda: before_s + clock() - start, partial
            )
        train_s = before_s + clock() - start
        val_loss, val_accuracy = self._validate(epoch)
        self._finished_steps = 0  # they are part of the epoch that is appended next
        return Epoch(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            lr=self._lr_at(epoch * self.steps_per_epoch - 1),
            train_s=train_s,
            wall_s=before_s + clock() - start,
        )

    def _train_steps(
        self,
        epoch: int,
        generator: torch.Generator,
        pause_if_requested: Callable[[], None],
        train_clock: Callable[[], float],
        partial: PartialEpoch | None,
    ) -> float:
        """The steps of one epoch, or those that `partial` lacks; returns the mean loss of all."""
        self.module.train()
        losses: list[Tensor] = [] if partial is None else list(partial.losses.to(self.data.device))
        random = Random(epoch_seed(self.seed, epoch))
        batches = enumerate(self._epoch_batches(epoch, generator, random))
        if partial is not None:
            next(islice(batches, partial.steps, partial.steps), None)
            set_random_states(partial.random, self.data.device)
        for step, (images, targets) in batches:
            if self.is_stop_requested():
                self._interrupt(losses, epoch, train_clock())
            pause_if_requested()
            report_progress()
            global_step = (epoch - 1) * self.steps_per_epoch + step
            losses.append(self._step(images, targets, self._lr_at(global_step)))
            self._finished_steps = step + 1
            if self.average is not None:
                self.average.update(global_step)
            if (step + 1) % MAX_UNREAD_LOSSES == 0:
                check_finite(losses[-MAX_UNREAD_LOSSES:], epoch, step + 1)
            if self._max_unsaved_s is not None and self._checkpoint_schedule.unsaved_s() > self._max_unsaved_s:
                self._save_within(losses, epoch, train_clock())
        if unread := len(losses) % MAX_UNREAD_LOSSES:
            check_finite(losses[-unread:], epoch, len(losses))
        return float(torch.stack(losses).double().mean())

    def _epoch_batches(self, epoch: int, generator: torch.Generator, random: Random) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `epoch`, all of whose random numbers come from `generator` and `random`: see `Batches.epoch`."""
        return self.batches.epoch(generator, random)

    @abstractmethod
    def _lr_at(self, step: int) -> float:
        """The learning rate of `step`, counted from 0 over the whole training; it may depend on `history`."""

    @abstractmethod
    def _step(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step of the optimizer; its loss stays on the device, so that the CPU does not wait for it."""

    def _validate(self, epoch: int) -> tuple[float | None, float | None]:
        """Loss and accuracy on the validation split; None for both if this epoch is not validated."""
        period = self._shared_config.validate_every or validation_period(len(self.data.train), len(self.data.val))
        if (self._shared_config.epochs - epoch) % period and epoch not in self.milestones:
            return None, None
        report_progress()
        config = self._shared_config
        loss, accuracy = evaluate(self.model, self.data.val, self.data, config.eval_batch_size, config.amp)
        if not math.isfinite(loss):
            raise TrainingError(epoch, self.steps_per_epoch, f"the validation loss is not finite, found {loss}")
        return loss, accuracy

    def _interrupt(self, losses: list[Tensor], epoch: int, train_s: float) -> NoReturn:
        """Save the state between two steps of `epoch`, after those of `losses`, and stop."""
        if losses:
            self._save_within(losses, epoch, train_s)
        elif self.checkpoint is not None and self._history:
            self._save(self.checkpoint, is_required=False)
        raise TrainingInterrupted(f"stopped after {len(losses)} of {self.steps_per_epoch} steps of epoch {epoch}")

    def _save_within(self, losses: list[Tensor], epoch: int, train_s: float) -> None:
        """Write a checkpoint between two steps of `epoch`, after those of `losses`."""
        if self.checkpoint is not None:
            check_finite(losses, epoch, len(losses))
            partial = PartialEpoch(torch.stack(losses).cpu(), train_s, random_states(self.data.device))
            self._save(self.checkpoint, is_required=False, partial=partial)

    def _save(self, file: Path, is_required: bool, partial: PartialEpoch | None = None) -> None:
        """Write a checkpoint. A disk without room for one that is not `is_required` does not end the training."""
        with self._checkpoint_schedule.saving():
            try:
                checkpoints.save(file, self._state.to_dict(self._history, partial))
            except OSError as error:
                if is_required or error.errno not in NO_ROOM_ERRNOS:
                    raise
                log.info("no room for the checkpoint %s; the training goes on without it", file)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        """What the checkpoint holds; None without one."""
        return None if self.checkpoint is None else checkpoints.load(self.checkpoint)

    def _restore(self) -> None:
        """Resume from the checkpoint, if it fits this training."""
        state = self._read_checkpoint()
        if state is None:
            return
        try:
            self._history, self._partial = self._state.load(state)
        except ValueError as error:
            log.info("ignored %s: %s", self.checkpoint, error)
            return
        self._earlier_s = {epoch.epoch: epoch.wall_s for epoch in self._history}
        if self._partial is not None:
            self._earlier_s[len(self._history) + 1] = self._partial.train_s
        epochs = self._shared_config.epochs
        log.info("resumed from %s after epoch %d of %d", self.checkpoint, len(self._history), epochs)


def _no_pause() -> None:
    """What a training without a device lock calls between two steps."""
