"""Robustness: the accuracy of a naive loop over disturbed images, the same whenever it is measured."""

from __future__ import annotations

import torch
from torch import nn

from trainers.data.dataset import Dataset, Split
from trainers.data.stratified import stratified_rows
from trainers.measuring.corruptions import corrupt, seeded_generator
from trainers.measuring.frequency import band_noise, octave_bands
from trainers.training.robustness import (
    ROBUSTNESS_CORRUPTIONS,
    ROBUSTNESS_SEVERITY,
    band_accuracy,
    corruption_accuracy,
    disturbed_accuracy,
)


class NearestMean(nn.Module):
    """Classifies by the nearest mean image of a class: a trained model in no time."""

    def __init__(self, data: Dataset) -> None:
        super().__init__()
        pixels = (data.train.images.float() / 255 - data.mean[0]) / data.std[0]
        means = [pixels[data.train.labels == label].mean(dim=0).flatten() for label in range(data.num_classes)]
        self.means = nn.Parameter(torch.stack(means))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(x.flatten(1), self.means)


def test_each_image_is_corrupted_once_in_turn(digits: Dataset) -> None:
    module = NearestMean(digits)
    rows = stratified_rows(digits.val.labels, 2_000)
    correct = 0
    for index, name in enumerate(ROBUSTNESS_CORRUPTIONS):
        own = rows[index :: len(ROBUSTNESS_CORRUPTIONS)]
        images = corrupt(digits.val.images[own].float() / 255, name, ROBUSTNESS_SEVERITY, seed=0)
        logits = module((images - digits.mean[0]) / digits.std[0])
        correct += int((logits.argmax(1) == digits.val.labels[own]).sum())
    assert len(rows) == len(digits.val)
    value = corruption_accuracy(module, digits.val, digits)
    assert value == correct / len(rows)
    assert value == corruption_accuracy(module, digits.val, digits)
    clean = disturbed_accuracy(module, digits.val, digits, [lambda images, number: images])
    assert 0.2 < value < clean


def test_noise_of_a_band_is_added_to_all_images(digits: Dataset) -> None:
    module = NearestMean(digits)
    rows = stratified_rows(digits.val.labels, 2_000)
    for band in octave_bands((8, 8)):
        correct = 0
        for number, own in enumerate(rows.split(256)):
            noise = band_noise(len(own), (8, 8), band, 0.1, seeded_generator("band noise", band.low, number))
            images = digits.val.images[own].float() / 255 + noise
            logits = module((images - digits.mean[0]) / digits.std[0])
            correct += int((logits.argmax(1) == digits.val.labels[own]).sum())
        assert band_accuracy(module, digits.val, digits, band) == correct / len(rows)


def test_more_disturbances_than_images(few_digits: Dataset) -> None:
    split = Split(few_digits.val.images[:3], few_digits.val.labels[:3])
    module = NearestMean(few_digits)
    assert 0 <= corruption_accuracy(module, split, few_digits) <= 1
