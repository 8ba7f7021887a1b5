"""Loss and accuracy of a module on a split, and how often that is worth its time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from trainers.augment import normalise
from trainers.data import Dataset, Split

Amp = Literal["auto", "off", "bf16"]

VALIDATION_SHARE = 0.03  # of the time of training steps; the last epoch is always validated


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
        pixels, labels = split.pick(slice(start, start + batch_size))
        images = normalise(pixels, data.mean, data.std)
        with autocast(images.device, amp):
            logits = module(images).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
        correct += (logits.argmax(1) == labels).sum()
    module.train(training)
    return float(loss) / len(split), int(correct) / len(split)


def validation_period(train: int, val: int) -> int:
    """Every how many epochs so many images are validated on: as often as it takes `VALIDATION_SHARE` of the time.

    An image takes a third of what it takes in a training step.
    """
    return math.ceil(val / (3 * train) / VALIDATION_SHARE)


@contextmanager
def autocast(device: torch.device, amp: Amp) -> Iterator[None]:
    """The precision that `amp` (see `TrainConfig`) means on `device`."""
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    with torch.autocast(device.type, torch.bfloat16, enabled=amp == "bf16" or (amp == "auto" and on_gpu)):
        yield
