"""Accuracy of a module on disturbed images: common corruptions, or noise of one band of spatial frequencies.

It is an objective of searches (`nas/objectives/robustness.py`), so it must be cheap and equal whenever it is repeated. Each of at
most `MAX_IMAGES` images, each class in proportion, is disturbed once; the disturbances take turns. An image in evaluation takes a
third of its time in a training step, so this is 2 % of an epoch of 40,000 images. All seeds are fixed: every module sees the
same images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor, nn

from trainers.data.dataset import Dataset, Split
from trainers.data.stratified import stratified_rows
from trainers.measuring.corruptions import corrupt, seeded_generator
from trainers.measuring.frequency import Band, band_noise
from trainers.training.config import AmpMode
from trainers.training.evaluation import evaluate

Disturbance: TypeAlias = Callable[[Tensor, int], Tensor]
"""`(images float32 (B, C, H, W) of 0..1, number of the batch) -> disturbed images`."""

MAX_IMAGES = 2_000
COPY_BATCH = 256  # images that are disturbed at a time

ROBUSTNESS_CORRUPTIONS = ("gaussian_noise", "defocus_blur", "motion_blur", "contrast", "fog", "pixelate")
"""Of each kind one or two. Without JPEG, whose result depends on the version of a library."""
ROBUSTNESS_SEVERITY = 3

BAND_NOISE_RMS = 0.1
"""Of pixels taken as 0..1: half of the usual contrast of photographs."""


def corruption_accuracy(module: nn.Module, split: Split, data: Dataset, amp: AmpMode = "auto") -> float:
    """Accuracy of `module` on corrupted images of `split`, from 0 to 1; the arguments are those of `evaluate`."""
    disturbances = [_corruption(name) for name in ROBUSTNESS_CORRUPTIONS]
    return disturbed_accuracy(module, split, data, disturbances, amp)


def band_accuracy(module: nn.Module, split: Split, data: Dataset, band: Band, amp: AmpMode = "auto") -> float:
    """Accuracy of `module` on images of `split` with noise of `band`, from 0 to 1; the others are the arguments of `evaluate`."""
    return disturbed_accuracy(module, split, data, [_noise_of(band)], amp)


def disturbed_accuracy(
    module: nn.Module, split: Split, data: Dataset, disturbances: Sequence[Disturbance], amp: AmpMode = "auto"
) -> float:
    """Accuracy of `module` on at most `MAX_IMAGES` images of `split`, disturbed by each of `disturbances` in turn."""
    rows = stratified_rows(split.labels, MAX_IMAGES).to(split.images.device)
    correct = 0
    for index, disturb in enumerate(disturbances):
        own_rows = rows[index :: len(disturbances)]  # of every class: the rows are sorted by class
        for number, batch_rows in enumerate(own_rows.split(COPY_BATCH) if len(own_rows) else ()):
            images, labels = split.pick(batch_rows)
            disturbed = disturb(images.float() / 255, number) * 255
            _, accuracy = evaluate(module, Split(disturbed, labels), data, COPY_BATCH, amp)
            correct += round(accuracy * len(labels))
    return correct / len(rows)


def _corruption(name: str) -> Disturbance:
    return lambda images, number: corrupt(images, name, ROBUSTNESS_SEVERITY, seed=number)


def _noise_of(band: Band) -> Disturbance:
    def disturb(images: Tensor, number: int) -> Tensor:
        size = (int(images.shape[2]), int(images.shape[3]))
        generator = seeded_generator("band noise", band.low, number)
        return images + band_noise(len(images), size, band, BAND_NOISE_RMS, generator).to(images.device)

    return disturb
