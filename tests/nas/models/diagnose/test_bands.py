"""Thresholds by hand, and accuracies of a model that is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.models.diagnose.diagnoses.bands import NOISE_RMS, Bands, threshold
from nas.models.diagnose.subject import DiagnosedModel, ImageSample


def test_the_threshold_is_interpolated_over_the_logarithm() -> None:
    rms = (0.1, 0.2, 0.4)
    assert threshold(rms, (1.0, 0.9, 0.3), clean=1.0, chance=0.2) == pytest.approx(
        0.2 * 2**0.5
    )  # 0.6 is half of the way
    assert threshold(rms, (0.5, 0.9, 0.3), clean=1.0, chance=0.2) == 0.1
    assert threshold(rms, (1.0, 0.9, 0.7), clean=1.0, chance=0.2) is None


class BarDetector(nn.Module):
    """Tells vertical bars of a period of 2 pixels from none, by their amplitude: only noise of the highest octave hurts it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signs = torch.tensor([1.0, -1.0] * (x.shape[3] // 2))
        amplitude = (x * signs).mean(dim=(1, 2, 3))
        return torch.stack((amplitude, 0.025 - amplitude), dim=1)


def test_a_detector_of_fine_bars_is_hurt_by_the_highest_band_alone() -> None:
    pixels = torch.full((200, 1, 16, 16), 0.5)
    labels = torch.arange(200) % 2
    bars = 0.025 * torch.tensor([1.0, -1.0] * 8).expand(16, 16)
    pixels[labels == 0] += bars
    images = ImageSample(pixels, labels, ("bars", "none"))
    result = Bands().measure(
        DiagnosedModel("detector", BarDetector().eval(), (0.0,), (1.0,)), images, lambda passes: None
    )
    assert result.clean == 1
    assert result.labels == ["1-2", "2-4", "4-8"]
    assert result.accuracy[0] == result.accuracy[1] == (1.0,) * len(NOISE_RMS)
    # The noise of the mean amplitude has the variance rms^2 / (entries of the band): the bars are one of its entries.
    frequency = torch.hypot(*torch.meshgrid(torch.fft.fftfreq(16), torch.fft.fftfreq(16), indexing="ij"))
    entries = int(((frequency >= 0.25) & (frequency <= 0.5)).sum())
    for rms, accuracy in zip(NOISE_RMS, result.accuracy[2], strict=True):
        expected = (1 + math.erf(0.0125 / (rms / entries**0.5) / 2**0.5)) / 2
        assert accuracy == pytest.approx(expected, abs=0.1)
    assert result.accuracy[2][-1] < 0.8
