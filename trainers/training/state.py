"""What a checkpoint of a training holds, and whether one that was read fits the training: otherwise nothing is taken from it.

A checkpoint is written after an epoch, or between two steps of one when the training is interrupted. It is checked as a whole
before anything is loaded: a file may be intact and yet be that of another network, optimizer or version, or be made up.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainers.training.averaging import AveragedWeights
from trainers.training.epoch import Epoch
from trainers.training.optimizer_state import check_optimizer_state, load_optimizer_state
from trainers.training.tensor_checks import check_finite, check_tensor, check_tensors


@dataclass(frozen=True)
class PartialEpoch:
    """The steps of an unfinished epoch.

    Args:
        losses: the loss of each step so far, float `(steps,)`; at least one.
        train_s: seconds of these steps, without pauses.
        random: the states of torch's global generators, "cpu" and that of the GPU: uint8 tensors.
    """

    losses: Tensor
    train_s: float
    random: Mapping[str, Tensor]

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.losses)


@dataclass(frozen=True)
class TrainingState:
    """The parts of a training that change from step to step.

    Args:
        identity: of the training (`trainers.training.checkpoint.training_identity`).
        module: the module that is trained.
        optimizer: its optimizer.
        average: its averaged weights, if it has some.
        epochs: number of epochs of the training.
        steps_per_epoch: number of steps of each.
        milestones: epochs that are validated in any case.
        last_epoch: a checkpoint that was written after the end of this epoch does not fit; None: any fits.
    """

    identity: str
    module: nn.Module
    optimizer: Optimizer
    average: AveragedWeights | None
    epochs: int
    steps_per_epoch: int
    milestones: Collection[int] = ()
    last_epoch: int | None = None

    def to_dict(self, history: Sequence[Epoch], partial: PartialEpoch | None = None) -> dict[str, Any]:
        """Tensors and plain containers, after the epochs of `history` and the steps of `partial`."""
        state: dict[str, Any] = {
            "identity": self.identity,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [epoch.to_dict() for epoch in history],
        }
        if self.average is not None:
            state["average"] = self.average.module.state_dict()
        if partial is not None:
            # Earlier versions know no steps. By the identity they take the checkpoint for that of another training.
            state["identity"] = _within_epoch(self.identity)
            state["partial"] = {
                "losses": partial.losses,
                "train_s": partial.train_s,
                "random": dict(partial.random),
            }
        return state

    def load(self, state: Mapping[str, Any]) -> tuple[list[Epoch], PartialEpoch | None]:
        """Load what `to_dict` returned; returns the epochs, and the steps of an unfinished one.

        Raises:
            ValueError: it does not fit this training; nothing was loaded.
        """
        try:
            history, partial = self._check(state)
        except ValueError:
            raise
        except Exception as error:  # whatever content of another shape raises
            raise ValueError(f"its content cannot be read ({type(error).__name__}: {error})") from error
        self.module.load_state_dict(state["module"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        return history, partial

    def _check(self, state: Mapping[str, Any]) -> tuple[list[Epoch], PartialEpoch | None]:
        partial_plain = state.get("partial")
        identity = self.identity if partial_plain is None else _within_epoch(self.identity)
        if state.get("identity") != identity:
            raise ValueError("it is the checkpoint of another training")
        history = self._checked_history(state["history"])
        partial = None if partial_plain is None else self._checked_partial(partial_plain)
        if partial is None and not history:
            raise ValueError("history: must have an epoch")
        if partial is not None and len(history) >= self.epochs:
            raise ValueError(f"partial: must be absent after {self.epochs} epochs")
        if self.last_epoch is not None and len(history) + (partial is not None) > self.last_epoch:
            raise ValueError(
                f"history: must end with epoch {self.last_epoch} at the latest, found {len(history)} epochs"
            )
        check_tensors("module", state["module"], self.module.state_dict())
        finite = {name: state["module"][name] for name, _ in self.module.named_parameters()}
        if self.average is not None:
            check_tensors("average", state["average"], self.average.module.state_dict())
            finite |= {f"average.{name}": state["average"][name] for name, _ in self.average.module.named_parameters()}
        for name, value in finite.items():
            check_finite(name, value)
        steps = len(history) * self.steps_per_epoch + (0 if partial is None else partial.steps)
        check_optimizer_state(self.optimizer, state["optimizer"], steps)
        return history, partial

    def _checked_history(self, plain: Sequence[Mapping[str, Any]]) -> list[Epoch]:
        history = [Epoch.from_dict(epoch) for epoch in plain]
        if len(history) > self.epochs or [epoch.epoch for epoch in history] != list(range(1, len(history) + 1)):
            raise ValueError(f"history: must be the first of {self.epochs} epochs, found {len(history)}")
        for epoch in history:
            is_validated = epoch.val_loss is not None and epoch.val_accuracy is not None
            if not is_validated and (epoch.epoch in self.milestones or epoch.epoch == self.epochs):
                raise ValueError(f"history: epoch {epoch.epoch} must be validated")
        return history

    def _checked_partial(self, plain: Mapping[str, Any]) -> PartialEpoch:
        losses, random = plain["losses"], dict(plain["random"])
        check_finite("partial.losses", losses)
        if losses.dim() != 1 or not 0 < len(losses) <= self.steps_per_epoch:
            raise ValueError(f"partial.losses: must have 1 to {self.steps_per_epoch} values")
        if not isinstance(plain["train_s"], float) or not 0 <= plain["train_s"] < math.inf:
            raise ValueError("partial.train_s: must be seconds")
        device = next(self.module.parameters()).device
        for name, expected in random_states(device).items():
            check_tensor(f"partial.random[{name}]", random[name], expected)
        return PartialEpoch(losses.float(), plain["train_s"], random)


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's global generators that a training on `device` uses."""
    states = {"cpu": torch.get_rng_state()}
    return states if device.type != "cuda" else {**states, "cuda": torch.cuda.get_rng_state(device)}


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the generators to `states` (`random_states`)."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _within_epoch(identity: str) -> str:
    return f"{identity}/partial"
