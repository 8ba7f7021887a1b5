"""A contact sheet: a few training images of each class as the networks get them, so that wrong labels and crops are seen."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.formatting import count
from trainers.data.prepared import describe
from trainers.data.samples import ClassSample, sample_classes

IMAGES_PER_CLASS: Final = 10
MAX_CLASSES: Final = 24
"""A row of ten photographs takes 10 to 20 KB."""

_THUMBNAIL_PX: Final = 48
_GAP_PX: Final = 3
_JPEG_QUALITY: Final = 88


def contact_sheet(file: Path) -> str:
    """The HTML of the contact sheet of the prepared images in `file`.

    Raises:
        DataError: `file` does not exist, or is not a file of prepared images.
    """
    rows = "\n".join(_figure(sample) for sample in sample_classes(file, IMAGES_PER_CLASS, MAX_CLASSES))
    num_classes = describe(file).num_classes
    shown = "" if num_classes <= MAX_CLASSES else f" The first {MAX_CLASSES} of {num_classes:,} classes are shown."
    about = "Training images as the networks get them, before augmentation, with their number in the training split."
    return f'<p class="about">{about}{shown}</p>\n<div class="contact-sheet">\n{rows}\n</div>'


def _figure(sample: ClassSample) -> str:
    name = html.escape(sample.name)
    images = count(len(sample.images), "training image")
    source = base64.b64encode(_jpeg(_strip(sample.images))).decode("ascii")
    picture = (
        f'<img alt="{images} of class {name}" src="data:image/jpeg;base64,{source}">' if len(sample.images) else ""
    )
    return f"<figure><figcaption>{name} <span>{sample.count:,}</span></figcaption>{picture}</figure>"


def _strip(images: Iterable[NDArray[np.uint8]]) -> Image.Image:
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
