"""Random erasing: a rectangle of an image becomes noise (Zhong et al., 2020, arXiv:1708.04896; timm's mode "pixel")."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from trainers.augment.blend import Box

MIN_AREA, MAX_AREA = 0.02, 1 / 3  # of the rectangle, as a share of the image; all four as in timm
MIN_ASPECT = 0.3  # height over width, and its inverse
MAX_ATTEMPTS = 10  # at a rectangle that fits into the image


@dataclass(frozen=True)
class Erasing:
    """Random erasing of normalised images.

    Args:
        probability: that an image loses a rectangle, 0 to 1.
    """

    probability: float

    def draw(self, image_size: tuple[int, int], random: Random) -> Box | None:
        """Draw the rectangle of an image of `(H, W)` pixels; None: it keeps all."""
        if random.random() >= self.probability:
            return None
        height, width = image_size
        for _ in range(MAX_ATTEMPTS):
            area = random.uniform(MIN_AREA, MAX_AREA) * height * width
            aspect = math.exp(random.uniform(math.log(MIN_ASPECT), -math.log(MIN_ASPECT)))
            rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < rows < height and 0 < columns < width:
                top, left = random.randint(0, height - rows), random.randint(0, width - columns)
                return top, top + rows, left, left + columns
        return None

    def __call__(self, images: Tensor, random: Random, generator: torch.Generator) -> Tensor:
        """Erase in place: floats `(B, C, H, W)`. `random` draws the rectangles, `generator` the normal noise in them."""
        height, width = int(images.shape[2]), int(images.shape[3])
        for image in images:
            box = self.draw((height, width), random)
            if box is not None:
                top, bottom, left, right = box
                image[:, top:bottom, left:right].normal_(generator=generator)
        return images
