"""How an image of any shape becomes a square of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

RESAMPLINGS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
"""Pillow's filters, in lower case."""


@dataclass(frozen=True)
class Resizing:
    """How an image of any shape becomes a square of pixels.

    Args:
        resampling: one of `RESAMPLINGS`.
        squashes: whether an oblong image is pressed into the square; otherwise the square about its centre is cut out.

    Raises:
        ValueError: there is no such filter.
    """

    resampling: str = "bicubic"
    squashes: bool = False

    def __post_init__(self) -> None:
        if self.resampling not in RESAMPLINGS:
            raise ValueError(f"must be one of {', '.join(RESAMPLINGS)}, found {self.resampling!r:.60}")

    def fit(self, image: Image.Image, size: int) -> Image.Image:
        """`image` with `size` pixels a side."""
        from PIL import Image, ImageOps  # here, since records of studies import this module and read no image

        if image.size == (size, size):
            return image
        method = Image.Resampling[self.resampling.upper()]
        if self.squashes:
            return image.resize((size, size), method)
        return ImageOps.fit(image, (size, size), method=method)


STUDY_RESIZING = Resizing()
"""How a search reads images."""
