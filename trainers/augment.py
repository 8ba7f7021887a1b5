"""Augmentation of whole batches on the device, on uint8 pixels, before they become floats.

An image `(C, H, W)` is padded with p black pixels on each side, cropped to its size at a random place, mirrored left to
right half of the time, and a random square in it is made black. The square is centred anywhere in the image, so a part
of it may lie outside (DeVries and Taylor, 2017, arXiv:1708.04552). All random numbers of a batch are drawn first, from
the generator given, as one value; what is done with them is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.config import Policy


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, int64 `(B,)` each.

    Args:
        top, left: where the crop begins in the padded image, 0..2p.
        mirror: 1 to mirror, 0 not to.
        row, column: the centre of the black square.
    """

    top: Tensor
    left: Tensor
    mirror: Tensor
    row: Tensor
    column: Tensor


@dataclass(frozen=True)
class Augment:
    """What is done to a batch.

    Args:
        flip: True to mirror half of the images.
        shift: p, the most pixels that an image is moved in each direction; 0 for none.
        cutout: the side of the black square; 0 for none.
    """

    flip: bool
    shift: int
    cutout: int

    @staticmethod
    def of(policy: Policy, image_size: tuple[int, int]) -> Augment:
        """The augmentation that `policy` means for images of `(H, W)` pixels.

        "none": nothing. "shift": by up to an eighth of the size, which is the one pixel of an 8x8 digit. "standard",
        for photographs: the same (4 pixels of 32, as usual on CIFAR), mirrored, with a quarter of the side cut out.
        """
        eighth = max(1, min(image_size) // 8)
        if policy == "none":
            return Augment(flip=False, shift=0, cutout=0)
        if policy == "shift":
            return Augment(flip=False, shift=eighth, cutout=0)
        return Augment(flip=True, shift=eighth, cutout=2 * eighth)

    def draw(self, count: int, image_size: tuple[int, int], generator: torch.Generator) -> Draws:
        """The random numbers for `count` images of `(H, W)` pixels, on the generator's device."""

        def integers(high: int) -> Tensor:
            return torch.randint(high, (count,), generator=generator, device=generator.device)

        places = 2 * self.shift + 1
        mirror = integers(2) if self.flip else torch.zeros(count, dtype=torch.int64, device=generator.device)
        return Draws(integers(places), integers(places), mirror, integers(image_size[0]), integers(image_size[1]))

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """`(B, C, H, W) -> (B, C, H, W)`, any type; the images given are not changed."""
        if self.shift or self.flip:
            images = self._crop(images, draws)
        if self.cutout:
            images = self._cut(images, draws)
        return images

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment `(B, C, H, W)` images with new random numbers of `generator`, which is on the images' device."""
        if self == Augment(flip=False, shift=0, cutout=0):
            return images
        height, width = images.shape[-2:]
        return self.apply(images, self.draw(len(images), (int(height), int(width)), generator))

    def _crop(self, images: Tensor, draws: Draws) -> Tensor:
        batch, channels, height, width = images.shape
        p = self.shift
        padded = F.pad(images, (p, p, p, p))  # (B, C, H + 2p, W + 2p)
        rows = draws.top[:, None] + torch.arange(height, device=images.device)  # (B, H)
        columns = torch.arange(width, device=images.device).expand(batch, width)  # (B, W)
        mirrored = draws.mirror[:, None] == 1
        columns = draws.left[:, None] + torch.where(mirrored, width - 1 - columns, columns)
        pixels = rows[:, :, None] * (width + 2 * p) + columns[:, None, :]  # (B, H, W), into a padded plane row by row
        index = pixels.view(batch, 1, height * width).expand(-1, channels, -1)
        return padded.flatten(2).gather(2, index).view(batch, channels, height, width)

    def _cut(self, images: Tensor, draws: Draws) -> Tensor:
        height, width = images.shape[-2:]
        # An even side has no middle pixel: the square begins side // 2 above and left of its centre.
        top = (draws.row - self.cutout // 2)[:, None]
        left = (draws.column - self.cutout // 2)[:, None]
        y = torch.arange(height, device=images.device)
        x = torch.arange(width, device=images.device)
        rows = (y >= top) & (y < top + self.cutout)  # (B, H)
        columns = (x >= left) & (x < left + self.cutout)  # (B, W)
        kept = ~(rows[:, :, None] & columns[:, None, :])  # (B, H, W)
        return images * kept[:, None]  # a product with bools keeps the type, and is 20 times faster than a masked fill


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 `(B, C, H, W)` as float32, `(pixel / 255 - mean) / std` in each channel."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=images.device)
    return images.float().mul_(scale[:, None, None]).add_(offset[:, None, None])
