"""The metrics of one epoch of training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch. The names are those of the metrics in checkpoints.

    Args:
        epoch: its number, from 1.
        train_loss: mean loss of its steps, with label smoothing.
        val_loss: mean cross-entropy on the validation split, without label smoothing; None: the epoch was not validated.
        val_accuracy: share of validation images whose class is predicted, 0 to 1; None: the epoch was not validated.
        lr: the learning rate of its last step.
        train_s: seconds of its steps, without pauses.
        wall_s: seconds of its steps and its validation, without pauses.
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
