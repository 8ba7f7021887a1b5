"""A few random changes of colour and geometry for each image, on uint8 pixels (RandAugment, arXiv:1909.13719).

Each image gets `count` operations, one after the other, drawn from the fourteen of RandAugment with equal chances, all at
one strength; those with a direction go either way with equal chances. Ranges, the strength (9 of 30) and two operations
are torchvision's, but shears and rotations keep the centre of the image where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.augment import colour, geometry

# What an operation does to uint8 `(B, C, H, W)`, each image in its own direction: float64 `(B,)`, 1 or -1.
Operation = Callable[[Tensor, Tensor], Tensor]


def operations(strength: float) -> dict[str, Operation]:
    """The fourteen by name, at a `strength` of 0 to 1."""
    bits, threshold = 8 - round(4 * strength), round(255 * (1 - strength))
    return {
        "identity": lambda images, direction: images,
        "shear_x": lambda images, direction: _moved(images, geometry.sheared_x, 0.3 * strength * direction),
        "shear_y": lambda images, direction: _moved(images, geometry.sheared_y, 0.3 * strength * direction),
        "translate_x": lambda images, direction: _shifted(images, 3, strength * direction),
        "translate_y": lambda images, direction: _shifted(images, 2, strength * direction),
        "rotate": lambda images, direction: _moved(images, geometry.rotated, 30 * strength * direction),
        "brightness": lambda images, direction: colour.brightness(images, _factor(strength, direction)),
        "saturation": lambda images, direction: colour.saturation(images, _factor(strength, direction)),
        "contrast": lambda images, direction: colour.contrast(images, _factor(strength, direction)),
        "sharpness": lambda images, direction: colour.sharpness(images, _factor(strength, direction)),
        "posterize": lambda images, direction: colour.posterize(images, bits),
        "solarize": lambda images, direction: colour.solarize(images, threshold),
        "autocontrast": lambda images, direction: colour.autocontrast(images),
        "equalize": lambda images, direction: colour.equalize(images),
    }


@dataclass(frozen=True)
class Strong:
    """What is done to a batch.

    Args:
        count: operations on each image.
        strength: of all of them, 0 to 1 of their ranges.
    """

    count: int = 2
    strength: float = 0.3

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """For `count` images: which operations, int64 `(operations, B)`, and directions, float64 likewise, 1 or -1."""
        shape = (self.count, count)
        chosen = torch.randint(len(operations(self.strength)), shape, generator=generator, device=generator.device)
        ways = torch.randint(2, shape, generator=generator, device=generator.device)
        return chosen, 2.0 * ways.double() - 1

    def apply(self, images: Tensor, chosen: Tensor, directions: Tensor) -> Tensor:
        """`(B, C, H, W) -> (B, C, H, W)`, uint8; the images given are not changed."""
        changed = images.clone()
        for which, direction in zip(chosen, directions, strict=True):
            for number, operation in enumerate(operations(self.strength).values()):
                places = (which == number).nonzero()[:, 0]
                if number and len(places):  # the first leaves them as they are
                    some = changed.index_select(0, places)
                    changed.index_copy_(0, places, operation(some, direction.index_select(0, places)))
        return changed

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change uint8 `(B, C, H, W)` images with new random numbers of `generator`, which is on the images' device."""
        return self.apply(images, *self.draw(len(images), generator))


def _factor(strength: float, direction: Tensor) -> Tensor:
    """Of an enhancement: 0.1 to 1.9."""
    return (1 + 0.9 * strength * direction).float()


def _moved(images: Tensor, maps: Callable[[Tensor, tuple[int, int]], Tensor], amount: Tensor) -> Tensor:
    return geometry.moved(images, maps(amount, (int(images.shape[2]), int(images.shape[3]))))


def _shifted(images: Tensor, axis: int, amount: Tensor) -> Tensor:
    """By up to 150 of 331 of the size, in whole pixels, along the columns (axis 3) or the rows (axis 2)."""
    pixels = (150 / 331 * images.shape[axis] * amount).trunc()
    none = torch.zeros_like(pixels)
    return geometry.moved(images, geometry.shifted(pixels, none) if axis == 3 else geometry.shifted(none, pixels))
