"""mixup and cutmix: two images and their two labels as one, so that labels are shares of classes.

mixup weighs the pixels of both (Zhang et al., 2018, arXiv:1710.09412); cutmix puts a rectangle of one into the other (Yun
et al., 2019, arXiv:1905.04899). The share of the first image is drawn from a beta distribution, once a batch; where both are
on, each batch is given to one of them with equal chances, as in timm. The partner of image i of a batch of B is B - 1 - i:
batches are in random order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pairing:
    """How the images of a batch are joined with their partners.

    Args:
        share: of an image's own label; its partner has the rest.
        box: top, bottom, left and right of the pixels that are the partner's alone; None: all are weighed by the shares.
    """

    share: float
    box: Box | None


@dataclass(frozen=True)
class Blend:
    """Which of the two is on.

    Args:
        mixup, cutmix: alpha of the beta distribution, both of its parameters; 0 for off.
    """

    mixup: float
    cutmix: float

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def draw(self, image_size: tuple[int, int], random: Random) -> Pairing:
        """The pairing of one batch of images of `(H, W)` pixels; one of the two must be on."""
        cuts = self.cutmix > 0 and (self.mixup == 0 or random.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = random.betavariate(alpha, alpha)
        if not cuts:
            return Pairing(share, None)
        height, width = image_size
        top, bottom = _cut(height, share, random)
        left, right = _cut(width, share, random)
        # The rectangle may lie outside in part, and its sides are whole pixels: what counts is what is seen.
        return Pairing(1 - (bottom - top) * (right - left) / (height * width), (top, bottom, left, right))


def _cut(length: int, share: float, random: Random) -> tuple[int, int]:
    """Begin and end, along one side, of a rectangle with `1 - share` of the pixels, centred anywhere."""
    side, centre = int(length * math.sqrt(1 - share)), random.randrange(length)
    return max(0, centre - side // 2), min(length, centre + (side + 1) // 2)


def joined(images: Tensor, pairing: Pairing) -> Tensor:
    """`(B, C, H, W) -> (B, C, H, W)`, floats; the images given are not changed."""
    partners = images.flip(0)
    if pairing.box is None:
        return images * pairing.share + partners.mul_(1 - pairing.share)
    top, bottom, left, right = pairing.box
    blended = images.clone()
    blended[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return blended


def shares(labels: Tensor, classes: int, pairing: Pairing) -> Tensor:
    """The labels int64 `(B,)` as shares of each class, float32 `(B, classes)`."""
    own = F.one_hot(labels, classes).float()
    return own * pairing.share + own.flip(0) * (1 - pairing.share)
