"""RandAugment: a few random changes of colour and geometry for each image, on uint8 pixels (Cubuk et al., arXiv:1909.13719).

Each image gets `count` operations, one after the other, drawn uniformly from the fourteen of RandAugment, all at one
strength; operations with a direction take either one with probability 1/2. Ranges, the number of operations (two) and the
strength (9 of 30) are torchvision's, but shears and rotations keep the centre of the image fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.augment import colour, geometry

Operation = Callable[[Tensor, Tensor], Tensor]
"""Changes uint8 images `(B, C, H, W)`, each in its own direction: float64 `(B,)`, 1 or -1."""


def operations(strength: float) -> dict[str, Operation]:
    """The fourteen operations by name, at a `strength` of 0 to 1."""
    bits, threshold = 8 - round(4 * strength), round(255 * (1 - strength))
    return {
        "identity": lambda images, direction: images,
        "shear_x": lambda images, direction: _warp(images, geometry.shear_x, 0.3 * strength * direction),
        "shear_y": lambda images, direction: _warp(images, geometry.shear_y, 0.3 * strength * direction),
        "translate_x": lambda images, direction: _translate(images, 3, strength * direction),
        "translate_y": lambda images, direction: _translate(images, 2, strength * direction),
        "rotate": lambda images, direction: _warp(images, geometry.rotate, 30 * strength * direction),
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
    """RandAugment of a batch.

    Args:
        count: number of operations on each image.
        strength: of all operations, as a share (0 to 1) of their ranges.
    """

    count: int = 2
    strength: float = 0.3

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw for `count` images: indices of operations, int64 `(operations, B)`; directions, float64 likewise, 1 or -1."""
        shape = (self.count, count)
        indices = torch.randint(len(operations(self.strength)), shape, generator=generator, device=generator.device)
        bits = torch.randint(2, shape, generator=generator, device=generator.device)
        return indices, 2.0 * bits.double() - 1

    def apply(self, images: Tensor, indices: Tensor, directions: Tensor) -> Tensor:
        """Apply what `draw` returned: `(B, C, H, W) -> (B, C, H, W)`, uint8; the input is not changed."""
        result = images.clone()
        for index_of_image, direction in zip(indices, directions, strict=True):
            for index, operation in enumerate(operations(self.strength).values()):
                rows = (index_of_image == index).nonzero()[:, 0]
                if index and len(rows):  # operation 0 is the identity
                    changed = operation(result.index_select(0, rows), direction.index_select(0, rows))
                    result.index_copy_(0, rows, changed)
        return result

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from `generator`, which is on the images' device, and apply: uint8 `(B, C, H, W) -> (B, C, H, W)`."""
        return self.apply(images, *self.draw(len(images), generator))


def _factor(strength: float, direction: Tensor) -> Tensor:
    """The factor of a change of colour: 0.1 to 1.9."""
    return (1 + 0.9 * strength * direction).float()


def _warp(images: Tensor, make_maps: Callable[[Tensor, tuple[int, int]], Tensor], amount: Tensor) -> Tensor:
    return geometry.warp(images, make_maps(amount, (int(images.shape[2]), int(images.shape[3]))))


def _translate(images: Tensor, axis: int, amount: Tensor) -> Tensor:
    """Move by up to 150/331 of the size, in whole pixels, along the columns (axis 3) or the rows (axis 2)."""
    pixels = (150 / 331 * images.shape[axis] * amount).trunc()
    zeros = torch.zeros_like(pixels)
    return geometry.warp(images, geometry.translate(pixels, zeros) if axis == 3 else geometry.translate(zeros, pixels))
