"""Augmentation of whole batches on the device: what a policy does to the pixels, and how they become floats.

    policy.py      which operations a named policy means; all of them on uint8
    placement.py   where an image lies in its frame: crop, mirror, cut out
    strong.py      a few random changes of colour and geometry for each image
    normalise.py   uint8 pixels to floats, in the layout that networks are fast in
    blend.py       mixup and cutmix: two images and two labels as one

All random numbers come from generators given; the same generator gives the same bits.
"""

from __future__ import annotations

from trainers.augment.blend import Blend, joined, shares
from trainers.augment.normalise import Normalise, normalise
from trainers.augment.placement import Draws, Placement
from trainers.augment.policy import Augment

__all__ = ["Augment", "Blend", "Draws", "Normalise", "Placement", "joined", "normalise", "shares"]
