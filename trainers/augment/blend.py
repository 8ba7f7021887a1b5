"""mixup and cutmix: two images are combined into one, and their labels into shares of classes.

mixup is a weighted sum of the pixels (Zhang et al., 2018, arXiv:1710.09412); cutmix puts a rectangle of one image into the
other (Yun et al., 2019, arXiv:1905.04899). The share of the first image is drawn from a beta distribution, once a batch. If
both are on, each batch is given to one of them with equal probability, as in timm. The partner of image i of a batch of B is
B - 1 - i, because batches are in random order anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]
"""Top, bottom, left and right of a rectangle, in pixels; bottom and right are exclusive."""


@dataclass(frozen=True)
class Pairing:
    """How the images of a batch are combined with their partners.

    Args:
        share: of an image's own label, 0 to 1; its partner has the rest.
        box: the pixels that come from the partner alone (cutmix); None: all pixels are weighted by the shares (mixup).
    """

    share: float
    box: Box | None


@dataclass(frozen=True)
class Blend:
    """Which of mixup and cutmix are on; false if none is.

    Args:
        mixup, cutmix: alpha, both parameters of the beta distribution; 0: off.
    """

    mixup: float
    cutmix: float

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def draw(self, image_size: tuple[int, int], random: Random) -> Pairing:
        """Draw the pairing of one batch of images of `(H, W)` pixels. mixup or cutmix must be on."""
        use_cutmix = self.cutmix > 0 and (self.mixup == 0 or random.random() < 0.5)
        alpha = self.cutmix if use_cutmix else self.mixup
        share = random.betavariate(alpha, alpha)
        if not use_cutmix:
            return Pairing(share, None)
        height, width = image_size
        top, bottom = _draw_interval(height, share, random)
        left, right = _draw_interval(width, share, random)
        # The share of the pixels that are really replaced: the rectangle may be partly outside, and its sides are whole pixels.
        return Pairing(1 - (bottom - top) * (right - left) / (height * width), (top, bottom, left, right))


def _draw_interval(length: int, share: float, random: Random) -> tuple[int, int]:
    """Begin and end, along one side, of a rectangle with `1 - share` of the pixels, centred at random."""
    side, centre = int(length * math.sqrt(1 - share)), random.randrange(length)
    return max(0, centre - side // 2), min(length, centre + (side + 1) // 2)


def blend_images(images: Tensor, pairing: Pairing) -> Tensor:
    """Combine images with their partners: `(B, C, H, W) -> (B, C, H, W)`, floats; the input is not changed."""
    partners = images.flip(0)
    if pairing.box is None:
        return images * pairing.share + partners.mul_(1 - pairing.share)
    top, bottom, left, right = pairing.box
    blended = images.clone()
    blended[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return blended


def blend_labels(labels: Tensor, classes: int, pairing: Pairing) -> Tensor:
    """The labels int64 `(B,)` as shares of each class, float32 `(B, classes)`."""
    own = F.one_hot(labels, classes).float()
    return own * pairing.share + own.flip(0) * (1 - pairing.share)
