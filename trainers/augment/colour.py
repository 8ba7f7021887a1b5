"""Changes of colour of whole batches, uint8 `(B, C, H, W) -> (B, C, H, W)`, bit-equal to Pillow's on each image.

A `factor` is float32 `(B,)` as in Pillow's `ImageEnhance`: 1 does not change the image, 0 removes the property, above 1
exaggerates it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (19595, 38470, 7471)  # of 2**16: red, green and blue in grey (ITU-R 601-2), as Pillow rounds them


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Closer to black (factor below 1) or further from it."""
    return _interpolate(torch.zeros((), device=images.device), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Closer to the mean grey of the image, or further from it."""
    grey = to_grey(images).flatten(1).sum(1).double() / (images.shape[2] * images.shape[3])
    return _interpolate((grey + 0.5).floor().float()[:, None, None, None], images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Closer to the image in grey, or further from it."""
    return _interpolate(to_grey(images).float(), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Closer to the image smoothed by a 3 x 3 kernel, or further from it; pixels at the border do not change."""
    smooth = images.float()
    height, width = images.shape[2:]
    if height > 2 and width > 2:
        weighted = F.avg_pool2d(smooth, 3, stride=1, divisor_override=1) + 4 * smooth[:, :, 1:-1, 1:-1]
        smooth = smooth.clone()
        smooth[:, :, 1:-1, 1:-1] = (weighted / 13 + 0.5).floor()
    return _interpolate(smooth, images, factor)


def posterize(images: Tensor, bits: int) -> Tensor:
    """Keep the highest `bits` of each pixel."""
    return images & (256 - 2 ** (8 - bits))


def solarize(images: Tensor, threshold: int) -> Tensor:
    """Invert the pixels of `threshold`, 0 to 255, or more."""
    inverted = (images >= threshold).to(torch.uint8).neg()  # 255 where inverted
    return images ^ inverted  # 255 - x has the inverted bits of x


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0..255."""
    pixels = images.flatten(2).double()
    low, high = pixels.amin(2, keepdim=True), pixels.amax(2, keepdim=True)
    scale = torch.full_like(low, 255) / (high - low).clamp(
        min=1
    )  # a Python number over a tensor would be a rounded inverse
    stretched = (pixels * scale - low * scale).clamp(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, images.flatten(2)).view(images.shape)


def equalize(images: Tensor) -> Tensor:
    """Make the histogram of each channel flat."""
    pixels = images.flatten(2).long()  # (B, C, H W)
    counts = torch.zeros(*pixels.shape[:2], 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, pixels, torch.ones_like(pixels))
    greatest = pixels.amax(2, keepdim=True)
    step = (pixels.shape[2] - counts.gather(2, greatest)) // 255
    before = counts.cumsum(2) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.gather(2, pixels).to(torch.uint8).view(images.shape)


def to_grey(images: Tensor) -> Tensor:
    """The grey value of each pixel, int32 `(B, 1, H, W)` in 0..255; grey images are not changed."""
    if images.shape[1] != 3:
        return images.int().sum(1, keepdim=True) // images.shape[1]
    red, green, blue = images.int().unbind(1)
    return ((red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 2**15) >> 16)[:, None]


def _interpolate(start: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """`start` at factor 0, `images` at 1, extrapolated above and clamped to 0..255."""
    mixed = start + factor[:, None, None, None] * (images.float() - start)
    return mixed.clamp_(0, 255).to(torch.uint8)
