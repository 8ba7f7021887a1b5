"""Blur: by a lens out of focus, and by a camera that moves."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.measuring.corruptions.base import length_scale, register
from trainers.measuring.corruptions.sampling import sample_at

DEFOCUS_RADIUS = (3.0, 4.0, 6.0, 8.0, 10.0)
MOTION_LENGTH = (10.0, 15.0, 22.0, 30.0, 40.0)
ZOOM_FACTOR = (1.11, 1.16, 1.21, 1.26, 1.31)
ZOOM_STEPS = 9
SUBPIXELS = 11  # a side: with an odd number one lies in the middle of the pixel
MIN_DEFOCUS_RADIUS = 0.5  # pixels: what a pixel of the sensor averages, so that a small image is blurred, too


@register("defocus_blur", "blur")
def defocus_blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Each point becomes a disk."""
    radius = MIN_DEFOCUS_RADIUS + DEFOCUS_RADIUS[severity - 1] * length_scale(images)
    kernel = disk(radius).to(images.device)
    reach, channels = kernel.shape[0] // 2, images.shape[1]
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(padded, kernel.expand(channels, 1, *kernel.shape), groups=channels)


def disk(radius: float) -> Tensor:
    """The share of each pixel that a disk of `radius` pixels covers, with sum 1: `(2R+1, 2R+1)`, R = ceil(radius - 1/2)."""
    reach = max(0, math.ceil(radius - 0.5))
    side = (2 * reach + 1) * SUBPIXELS
    places = (torch.arange(side) + 0.5) / SUBPIXELS - (reach + 0.5)
    inside = (places[:, None].square() + places[None, :].square() <= radius**2).float()
    shares = F.avg_pool2d(inside[None, None], SUBPIXELS)[0, 0]
    return shares / shares.sum()


@register("motion_blur", "blur")
def motion_blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Each point becomes a line, whose direction is drawn for each image.

    The spectrum is multiplied by that of the line, `sinc(length * (frequency along the line))`.
    """
    length = 1 + MOTION_LENGTH[severity - 1] * length_scale(images)
    angles = math.pi * torch.rand(len(images), 1, 1, 1, generator=generator)
    margin = math.ceil(length)
    height, width = images.shape[2:]
    padded = F.pad(images, (margin,) * 4, mode="replicate")
    size = padded.shape[2:]
    down, right = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None, :]
    line = torch.sinc(length * (down * angles.sin() + right * angles.cos())).to(images.device)
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * line, s=size)
    return blurred[:, :, margin : margin + height, margin : margin + width]


@register("zoom_blur", "blur")
def zoom_blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """The camera moves towards the object: the mean of the image and of enlarged ones."""
    height, width = images.shape[2:]
    rows = torch.arange(height) - (height - 1) / 2
    columns = torch.arange(width) - (width - 1) / 2
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)[None]  # (1, H, W, 2) from the middle
    total = torch.zeros_like(images)
    for factor in torch.linspace(1, ZOOM_FACTOR[severity - 1], ZOOM_STEPS).tolist():
        total += sample_at(images, places * (1 / factor - 1))
    return total / ZOOM_STEPS
