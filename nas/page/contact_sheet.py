"""A contact sheet: a few training images of each class as the networks get them, so that wrong labels and crops are seen."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.data.description import describe
from trainers.data.samples import ClassSample, sample_classes

IMAGES_PER_CLASS: Final = 10
MAX_CLASSES: Final = 24
"""A row of ten photographs takes 10 to 20 KB."""

_ABOUT: Final = (
    "Training images as the networks get them, before augmentation, with their number in the training split."
)
_THUMBNAIL_PX: Final = 48
_GAP_PX: Final = 3
_JPEG_QUALITY: Final = 88


@dataclass(frozen=True)
class ClassStrip:
    """Some images of a class side by side.

    Args:
        name: of the class.
        count: number of its images in the training split.
        shown: number of images in the picture.
        picture: a `data:` URL; empty without images.
    """

    name: str
    count: int
    shown: int
    picture: str


@dataclass(frozen=True)
class ContactSheet:
    """Images of the first `MAX_CLASSES` classes.

    Args:
        about: what is shown, in sentences.
        strips: a row for each class.
    """

    about: str
    strips: tuple[ClassStrip, ...]

    @classmethod
    def of(cls, file: Path) -> ContactSheet:
        """The contact sheet of the prepared images in `file`.

        Raises:
            DataError: `file` does not exist, or is not a file of prepared images.
        """
        strips = tuple(_strip(sample) for sample in sample_classes(file, IMAGES_PER_CLASS, MAX_CLASSES))
        num_classes = describe(file).num_classes
        left_out = (
            "" if num_classes <= MAX_CLASSES else f" The first {MAX_CLASSES} of {num_classes:,} classes are shown."
        )
        return cls(_ABOUT + left_out, strips)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def _strip(sample: ClassSample) -> ClassStrip:
    shown = len(sample.images)
    source = base64.b64encode(_jpeg(_picture(sample.images))).decode("ascii") if shown else ""
    return ClassStrip(sample.name, sample.count, shown, f"data:image/jpeg;base64,{source}" if shown else "")


def _picture(images: Iterable[NDArray[np.uint8]]) -> Image.Image:
    """The images `(C, H, W)` side by side, each as high as a thumbnail."""
    thumbnails = [_thumbnail(image) for image in images]
    width = sum(thumbnail.width + _GAP_PX for thumbnail in thumbnails) - _GAP_PX
    strip = Image.new("RGB", (max(1, width), _THUMBNAIL_PX), "white")
    left = 0
    for thumbnail in thumbnails:
        strip.paste(thumbnail, (left, 0))
        left += thumbnail.width + _GAP_PX
    return strip


def _thumbnail(image: NDArray[np.uint8]) -> Image.Image:
    """An image `(C, H, W)` of 1 or 3 channels as RGB; pixels of small images stay sharp."""
    channels, height, width = image.shape
    pixels = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)) if channels == 3 else image[0])
    size = (max(1, round(_THUMBNAIL_PX * width / height)), _THUMBNAIL_PX)
    resampling = Image.Resampling.NEAREST if height <= _THUMBNAIL_PX // 2 else Image.Resampling.BICUBIC
    return pixels.convert("RGB").resize(size, resampling)


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)  # colours of small drawings stay sharp
    return stream.getvalue()
