"""Loss and accuracy of a module on a split, and how often that is worth its time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from trainers.augment import Normalise
from trainers.data.dataset import Dataset, Split
from trainers.inference import evaluation_mode
from trainers.training.config import AmpMode

VALIDATION_SHARE = 0.03  # of the time of training steps; the last epoch is always validated


@torch.inference_mode()
def evaluate(
    module: nn.Module, split: Split, data: Dataset, batch_size: int = 512, amp: AmpMode = "auto"
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of `module` on `split`, whose device it is on, in evaluation mode.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; its mode is as before afterwards.
        split: one of `data`.
        data: whose mean and deviation the images are normalised with.
        batch_size: images at a time.
        amp: as in `TrainConfig`.
    """
    device = split.labels.device
    normalised = Normalise(data.mean, data.std, data.image_size[1], device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with evaluation_mode(module, device):
        for start in range(0, len(split), batch_size):
            pixels, labels = split.pick(slice(start, start + batch_size))
            with autocast(device, amp):
                logits = module(normalised(pixels)).float()
            loss += F.cross_entropy(logits, labels, reduction="sum").double()
            correct += (logits.argmax(1) == labels).sum()
    return float(loss) / len(split), int(correct) / len(split)


def validation_period(train: int, val: int) -> int:
    """Every how many epochs so many images are validated on: as often as it takes `VALIDATION_SHARE` of the time.

    An image takes a third of what it takes in a training step.
    """
    return math.ceil(val / (3 * train) / VALIDATION_SHARE)


def autocast(device: torch.device, amp: AmpMode) -> torch.autocast:
    """The precision that `amp` (see `TrainConfig`) means on `device`."""
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=amp == "bf16" or (amp == "auto" and on_gpu))
