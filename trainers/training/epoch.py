"""The metrics of one epoch of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

OPTIONAL = ("val_loss", "val_accuracy")
"""The metrics that are None in an epoch that was not validated."""


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

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Epoch:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a metric is missing, unknown, no number or not finite.
        """
        if plain.keys() != cls.__dataclass_fields__.keys():
            raise ValueError(f"epoch: must have the metrics {', '.join(cls.__dataclass_fields__)}")
        for name, value in plain.items():
            is_number = isinstance(value, int if name == "epoch" else int | float) and not isinstance(value, bool)
            if not (is_number and math.isfinite(value)) and not (value is None and name in OPTIONAL):
                raise ValueError(f"epoch: {name} must be a finite number, found {value!r:.50}")
        return cls(**plain)
