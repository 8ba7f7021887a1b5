"""Augmentation of whole batches on the device, and the conversion of pixels to floats.

    policy.py      the operations of a named policy; all of them on uint8
    placement.py   random crop, mirroring and cutout
    strong.py      RandAugment: a few random changes of colour and geometry for each image
    normalise.py   uint8 pixels to floats, in the memory layout that networks are fast in
    erasing.py     random erasing
    timm_policy.py timm's policies by name, image by image
    blend.py       mixup and cutmix: two images and their labels combined

All random numbers come from generators that the caller passes in; the same generator state gives the same bits.
"""

from __future__ import annotations

from trainers.augment.blend import Blend, blend_images, blend_labels
from trainers.augment.erasing import Erasing
from trainers.augment.normalise import Normalise, normalise
from trainers.augment.placement import Draws, Placement
from trainers.augment.policy import Augment
from trainers.augment.timm_policy import TimmPolicy

__all__ = [
    "Augment",
    "Blend",
    "Draws",
    "Erasing",
    "Normalise",
    "Placement",
    "TimmPolicy",
    "blend_images",
    "blend_labels",
    "normalise",
]
