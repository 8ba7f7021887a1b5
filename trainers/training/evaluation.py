"""Loss, accuracy and confusion matrix of a module on a split, and how often to validate."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augment import Normalise
from trainers.data.dataset import Dataset, Split
from trainers.inference import evaluation_mode
from trainers.training.config import AmpMode
from trainers.training.confusion import Confusion
from trainers.watchdog import report_progress

MAX_VALIDATION_SHARE = 0.03  # of the time of training steps; the last epoch is always validated


@torch.inference_mode()
def evaluate(
    module: nn.Module, split: Split, data: Dataset, batch_size: int = 512, amp: AmpMode = "auto"
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of `module` on `split`, in evaluation mode.

    Args:
        module: `(B, C, H, W) -> (B, classes)`; its mode and device are as before afterwards.
        split: one of the splits of `data`.
        data: gives the mean and the standard deviation that images are normalised with.
        batch_size: number of images at a time.
        amp: mixed precision, as in `TrainConfig`.

    Returns:
        The loss, and the accuracy from 0 to 1.
    """
    device = split.labels.device
    normalise = Normalise(data.mean, data.std, data.image_size[1], device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with evaluation_mode(module, device):
        for start in range(0, len(split), batch_size):
            report_progress()
            pixels, labels = split.pick(slice(start, start + batch_size))
            with autocast(device, amp):
                logits = module(normalise(pixels)).float()
            loss += F.cross_entropy(logits, labels, reduction="sum").double()
            correct += (logits.argmax(1) == labels).sum()
    return float(loss) / len(split), int(correct) / len(split)


@torch.inference_mode()
def confusion(
    module: nn.Module, split: Split, data: Dataset, batch_size: int = 512, amp: AmpMode = "auto"
) -> Confusion:
    """The confusion matrix of `module` on `split`; its accuracy is that of `evaluate`, which has the same arguments."""
    device = split.labels.device
    normalise = Normalise(data.mean, data.std, data.image_size[1], device)
    predicted: list[Tensor] = []
    with evaluation_mode(module, device):
        for start in range(0, len(split), batch_size):
            report_progress()
            pixels, _ = split.pick(slice(start, start + batch_size))
            with autocast(device, amp):
                predicted.append(module(normalise(pixels)).float().argmax(1))
    return Confusion.of(split.labels.cpu().numpy(), torch.cat(predicted).cpu().numpy(), data.num_classes)


def validation_period(train_count: int, val_count: int) -> int:
    """Number of epochs from one validation to the next, so that validation takes at most `MAX_VALIDATION_SHARE` of the time.

    Args:
        train_count: number of training images.
        val_count: number of validation images.
    """
    # An image in validation takes a third of its time in a training step.
    return math.ceil(val_count / (3 * train_count) / MAX_VALIDATION_SHARE)


def autocast(device: torch.device, amp: AmpMode) -> torch.autocast:
    """The mixed precision that `amp` (see `TrainConfig`) means on `device`."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=amp == "bf16" or (amp == "auto" and has_bf16))
