"""Class weights for the cross-entropy, and a check that losses are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.errors import TrainingError


def class_weights(data: Dataset) -> Tensor:
    """The weight of an image of each class, `(classes,)`: all classes count the same, and the mean over the images is 1."""
    counts = torch.tensor(data.class_counts, dtype=torch.float32, device=data.device)
    return counts.sum() / (len(counts) * counts)


def check_finite(losses: Sequence[Tensor], epoch: int, last_step: int) -> None:
    """Check the losses of consecutive steps, the last of which is `last_step`, from 1.

    Raises:
        TrainingError: a loss is not finite; names the first such step.
    """
    for step, value in enumerate(torch.stack(list(losses)).tolist(), last_step - len(losses) + 1):
        if not math.isfinite(value):
            raise TrainingError(epoch, step, f"the loss is not finite, found {value}")
