"""How versions 0.1 and 0.2 decoded an image: for the studies that they began, and for nothing else.

A study keeps the pixels that it started with. So its images are decoded again by the rules of its version: transparent pixels
keep the colour that the file gives them, of 16 bits the upper byte is taken, and images of floats, or with metadata that
Pillow cannot read, are broken.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from trainers.data.image_file import open_image
from trainers.data.pixels import DecodedImage, EncodedImage, decoding_errors, has_more_frames
from trainers.data.resizing import STUDY_RESIZING

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})


def decode_as_before(encoded: EncodedImage, size: int | None) -> DecodedImage:
    """Decode `encoded`.

    Args:
        encoded: the image.
        size: H and W; None: the image's own.

    Raises:
        DiskError: the disk or the machine fails.
        DataError: the image cannot be decoded; names it and the reason.
    """
    with decoding_errors(encoded.name):
        content = encoded.fetch()
        with content if isinstance(content, Image.Image) else open_image(content) as image:
            mode, channels = image.mode, 1 if image.mode in GREY_MODES else 3
            width, height = image.size
            if size is not None:
                image.draft(None, (2 * size, 2 * size))
            stored_size = image.size
            ImageOps.exif_transpose(image, in_place=True)
            if image.size != stored_size and image.size == stored_size[::-1]:
                width, height = height, width
            transparent = _has_transparent_pixels(image)
            upright = _to_eight_bits(image, channels)
            array = np.asarray(upright if size is None else STUDY_RESIZING.fit(upright, size))
            pixels = array[None] if channels == 1 else np.moveaxis(array, -1, 0)
            more = has_more_frames(image)
            return DecodedImage(pixels, None, width, height, mode, image.format, transparent, more)


def _to_eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """`image` with one ("L") or three ("RGB") channels of 8 bits.

    Raises:
        ValueError: its pixels are floats, whose black and white are unknown.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floats of unknown range; must be 8 or 16 bits")
    if image.mode.startswith("I"):
        # Pillow clips 16 bits at 255 on the way to 8.
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _has_transparent_pixels(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    if image.mode not in ("LA", "RGBA"):
        image = image.convert("RGBA")
    return bool(np.asarray(image.getchannel("A")).min() < 255)
