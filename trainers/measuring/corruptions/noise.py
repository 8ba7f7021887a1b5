"""Noise of the sensor and of the transmission."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.measuring.corruptions.base import noise_scale, register

GAUSSIAN_STD = (0.08, 0.12, 0.18, 0.26, 0.38)
SHOT_PHOTONS = (60.0, 25.0, 12.0, 5.0, 3.0)  # of a white pixel
IMPULSE_SHARE = (0.03, 0.06, 0.09, 0.17, 0.27)  # of pixels that become black or white


@register("gaussian_noise", "noise")
def gaussian_noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Normal noise in each channel of each pixel, as in low light."""
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return images + GAUSSIAN_STD[severity - 1] * noise_scale(images) * noise


@register("shot_noise", "noise")
def shot_noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Poisson noise: light comes in photons."""
    photons = SHOT_PHOTONS[severity - 1] / noise_scale(images) ** 2
    return (torch.poisson(images.cpu() * photons, generator=generator) / photons).to(images.device)


@register("impulse_noise", "noise")
def impulse_noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Salt and pepper: values of 0 or 1, as errors of bits make them."""
    share = IMPULSE_SHARE[severity - 1] * noise_scale(images)
    draws = torch.rand(images.shape, generator=generator).to(images.device)
    return images.masked_fill(draws < share / 2, 0.0).masked_fill(draws > 1 - share / 2, 1.0)
