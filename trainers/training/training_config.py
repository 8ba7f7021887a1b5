"""What the configurations of all trainings have in common."""

from __future__ import annotations

from typing import Protocol

from trainers.training.config import AmpMode


class TrainingConfig(Protocol):
    """The fields that all configurations of a training have."""

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        ...

    @property
    def ema(self) -> float | None:
        """Decay of the averaged weights; None: the weights are not averaged."""
        ...

    @property
    def validate_every(self) -> int | None:
        """Epochs from one validation to the next; None: so that it takes a small share of the time."""
        ...

    @property
    def eval_batch_size(self) -> int:
        """Images of a batch in validation."""
        ...

    @property
    def amp(self) -> AmpMode:
        """Mixed precision."""
        ...
