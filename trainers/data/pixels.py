"""From one encoded image to its pixels.

An image is rotated as its EXIF orientation says, converted to 8 bits, and, where a size is asked for, resized so that its
shorter side fits and cropped about its centre. Of an animation the first frame is taken; transparent pixels keep the colour
that the file gives them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainers.data.types import Part
from trainers.errors import DataError

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True)
class EncodedImage:
    """An image that is not decoded yet.

    Args:
        name: its name in errors.
        part: the part that it belongs to.
        label: its class.
        open: opens it; called in any thread, raises anything if the image is broken.
    """

    name: str
    part: Part
    label: int
    open: Callable[[], Image.Image]


def decode(encoded: EncodedImage, size: int | None) -> NDArray[np.uint8]:
    """The pixels of `encoded`, uint8 `(C, H, W)`.

    Args:
        encoded: the image.
        size: H and W; None: the image's own.

    Returns:
        C is 1 if the image is grey, otherwise 3.

    Raises:
        DataError: the image cannot be decoded; names it and the reason.
    """
    try:
        with encoded.open() as image:
            channels = 1 if image.mode in GREY_MODES else 3
            if size is not None:
                # A JPEG is decoded at a fraction of its size where that is still twice what is needed.
                image.draft(None, (2 * size, 2 * size))
            ImageOps.exif_transpose(image, in_place=True)
            upright = _to_eight_bits(image, channels)
            pixels = np.asarray(upright if size is None else fit(upright, size))
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise anything, from SyntaxError to struct.error
        raise DataError(encoded.name, _decoding_rule(error, encoded.name)) from error
    return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)


def decode_file(file: Path, size: int | None) -> NDArray[np.uint8]:
    """The pixels of the image in `file`, as `decode` gives them.

    Raises:
        DataError: the file cannot be decoded; names it and the reason.
    """
    with pillow_warnings_ignored():
        return decode(EncodedImage(str(file), "train", 0, lambda: Image.open(file)), size)


def fit(image: Image.Image, size: int) -> Image.Image:
    """`image` resized so that its shorter side is `size`, then cropped about its centre to `size` x `size`."""
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)


def resize_all(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Square `images` `(N, C, H, H)` as `(N, C, size, size)`; unchanged if they have that size."""
    if images.shape[-2:] == (size, size):
        return images
    resized = np.empty((*images.shape[:2], size, size), np.uint8)
    for target, planes in zip(resized, images, strict=True):
        for plane, pixels in zip(target, planes, strict=True):
            plane[:] = np.asarray(fit(Image.fromarray(pixels), size))
    return resized


def pillow_warnings_ignored() -> warnings.catch_warnings[None]:
    """Within the block Pillow's warnings of large images and odd metadata are ignored: a user can do nothing about them."""
    return warnings.catch_warnings(action="ignore")


def _to_eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """`image` with one ("L") or three ("RGB") channels of 8 bits.

    Raises:
        ValueError: its pixels are floats, whose black and white are unknown.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floats of unknown range; must be 8 or 16 bits")
    if image.mode.startswith("I"):
        # Pillow clips 16 bits at 255 on the way to 8; the upper byte is what is meant.
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _decoding_rule(error: Exception, name: str) -> str:
    """What `error` says about the image called `name`, as the rule of a `DataError`."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror})"
    reason = str(error).replace(f" {name!r}", "") or type(error).__name__
    return f"is not an image that can be decoded ({reason})"
