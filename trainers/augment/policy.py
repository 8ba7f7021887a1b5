"""Which operations a named policy means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.augment.placement import Placement
from trainers.augment.strong import Strong
from trainers.data.types import AugmentPolicy


@dataclass(frozen=True)
class Augment:
    """What is done to a batch.

    Args:
        placement: crop, mirror, cut out.
        strong: changes of colour and geometry before that; None: none.
    """

    placement: Placement
    strong: Strong | None = None

    @staticmethod
    def of(policy: AugmentPolicy, image_size: tuple[int, int]) -> Augment:
        """The augmentation that `policy` means for images of `(H, W)` pixels.

        "none": nothing. "flip": mirrored. "shift": by up to an eighth of the size, which is the one pixel of an 8x8 digit.
        "standard", for photographs: the same (4 pixels of 32, as usual on CIFAR), mirrored, with a quarter of the side cut out.
        "strong", for long trainings on photographs: two random operations on each image before that.
        """
        eighth = max(1, min(image_size) // 8)
        if policy == "none":
            return Augment(Placement(flip=False, shift=0, cutout=0))
        if policy == "flip":
            return Augment(Placement(flip=True, shift=0, cutout=0))
        if policy == "shift":
            return Augment(Placement(flip=False, shift=eighth, cutout=0))
        usual = Placement(flip=True, shift=eighth, cutout=2 * eighth)
        return Augment(usual, Strong() if policy == "strong" else None)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment uint8 `(B, C, H, W)` images with new random numbers of `generator`, which is on the images' device."""
        if self.strong is not None:
            images = self.strong(images, generator)
        return self.placement(images, generator)
