"""The operations of a named augmentation policy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.augment.placement import Placement
from trainers.augment.strong import Strong
from trainers.data.types import AugmentPolicy


@dataclass(frozen=True)
class Augment:
    """The augmentation of a batch.

    Args:
        placement: random crop, mirroring and cutout.
        strong: changes of colour and geometry before that; None: none.
    """

    placement: Placement
    strong: Strong | None = None

    @staticmethod
    def of(policy: AugmentPolicy, image_size: tuple[int, int]) -> Augment:
        """The augmentation of `policy` for images of `(H, W)` pixels.

        "none": no change. "flip": mirrored at random. "shift": moved by up to an eighth of the size, which is one pixel of an
        8x8 digit. "standard", for photographs: moved likewise (4 pixels of 32, as usual on CIFAR), mirrored, and a square of a
        quarter of the side cut out. "strong", for long trainings on photographs: two random operations on each image before
        that.
        """
        eighth = max(1, min(image_size) // 8)
        if policy == "none":
            return Augment(Placement(flip=False, shift=0, cutout=0))
        if policy == "flip":
            return Augment(Placement(flip=True, shift=0, cutout=0))
        if policy == "shift":
            return Augment(Placement(flip=False, shift=eighth, cutout=0))
        standard = Placement(flip=True, shift=eighth, cutout=2 * eighth)
        return Augment(standard, Strong() if policy == "strong" else None)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment uint8 `(B, C, H, W)` images with new random numbers of `generator`, which is on the images' device."""
        if self.strong is not None:
            images = self.strong(images, generator)
        return self.placement(images, generator)
