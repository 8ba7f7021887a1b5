"""Light and weather."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.measuring.corruptions.base import register
from trainers.measuring.frequency import radial_frequency

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
FOG = (0.5, 1.0, 1.5, 2.0, 3.0)
FOG_DECAY = 1.5  # of its amplitudes with frequency: clouds, no grain


@register("brightness", "light")
def brightness(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Too much light: a constant is added."""
    return images + BRIGHTNESS[severity - 1]


@register("contrast", "light")
def contrast(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Each channel of an image comes closer to its mean."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    return mean + (images - mean) * CONTRAST[severity - 1]


@register("fog", "light")
def fog(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A random cloud of 0..1 is added to all channels, and the result is scaled back to the greatest value of the image."""
    size = (int(images.shape[2]), int(images.shape[3]))
    frequency = radial_frequency(size).float()
    frequency[0, 0] = 1.0
    white = torch.randn(len(images), 1, *size, generator=generator)
    cloud = torch.fft.irfft2(torch.fft.rfft2(white) / frequency**FOG_DECAY, s=size)
    low, high = cloud.amin(dim=(2, 3), keepdim=True), cloud.amax(dim=(2, 3), keepdim=True)
    cloud = ((cloud - low) / (high - low)).to(images.device)
    strength, brightest = FOG[severity - 1], images.amax(dim=(1, 2, 3), keepdim=True)
    return (images + strength * cloud) * brightest / (brightest + strength)
