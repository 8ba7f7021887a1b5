"""From image files to pixels: one file, or a list of files in a pool of threads (Pillow decodes without the GIL).

An image is turned upright as its EXIF orientation says, brought to 8 bits, and, where a size is asked for, resized so
that its shorter side fits and cropped about its centre. An animation gives its first frame.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.sources.base import Progress

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
WAVE = 256
"""Images handed to the pool at a time: progress is told, and a broken file ends the work, after each wave."""


class ColourFoundError(Exception):
    """An image has colour where all were taken for grey."""


def read_image(file: Path, channels: int, size: int | None) -> NDArray[np.uint8]:
    """Decode `file` into uint8 `(channels, H, W)`, with H = W = `size` unless that is None.

    Raises:
        DataError: the file cannot be decoded; names it and the reason.
        ColourFoundError: one channel is asked for and the image has colour.
    """
    try:
        with Image.open(file) as image:
            if channels == 1 and image.mode not in GREY_MODES:
                raise ColourFoundError(file)
            if size is not None:
                # A JPEG is decoded at a fraction of its size where that is still twice what is needed.
                image.draft(None, (2 * size, 2 * size))
            upright = _eight_bits(ImageOps.exif_transpose(image), channels)
            pixels = np.asarray(upright if size is None else fit(upright, size))
    except (ColourFoundError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise anything, from SyntaxError to struct.error
        reason = str(error).replace(f" {str(file)!r}", "") or type(error).__name__
        raise DataError(str(file), f"is not an image that can be decoded ({reason})") from error
    return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)


def is_grey(file: Path) -> bool:
    """Whether the header of `file` says that its image has no colour.

    Raises:
        DataError: the file is not an image.
    """
    try:
        with Image.open(file) as image:
            return image.mode in GREY_MODES
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(str(file), "is not an image that can be decoded (its header is not known)") from error


def _eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """`image` with one ("L") or three ("RGB") channels of 8 bits."""
    if image.mode.startswith("I"):
        # Pillow clips 16 bits at 255 on the way to 8; the upper byte is what is meant.
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if channels == 1 else "RGB")


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


def read_all(files: Sequence[Path], size: int | None, progress: Progress | None) -> NDArray[np.uint8]:
    """Decode `files` into uint8 `(N, C, H, W)`, with C = 1 if all of them are grey, else 3.

    Raises:
        DataError: a file cannot be decoded, or no `size` is given and the images differ in size.
    """
    with warnings.catch_warnings():
        # Pillow warns of large images and odd metadata, in words that speak of its own calls.
        warnings.simplefilter("ignore")
        if all(is_grey(file) for file in files[:16]):
            try:
                return _read_waves(files, 1, size, progress)
            except ColourFoundError:
                pass  # the first ones were not like the others
        return _read_waves(files, 3, size, progress)


def _read_waves(files: Sequence[Path], channels: int, size: int | None, progress: Progress | None) -> NDArray[np.uint8]:
    first = read_image(files[0], channels, size)
    images = np.empty((len(files), *first.shape), np.uint8)

    def read_into(index: int) -> None:
        pixels = read_image(files[index], channels, size)
        if pixels.shape != first.shape:
            sizes = f"{_size(first)} ({files[0]}) and {_size(pixels)} ({files[index]})"
            raise DataError("image_size", f"has to be given, for the images differ in size: {sizes}")
        images[index] = pixels

    with ThreadPoolExecutor(max_workers=_cpus()) as pool:
        for start in range(0, len(files), WAVE):
            wave = range(start, min(start + WAVE, len(files)))
            list(pool.map(read_into, wave))  # the list is what lets an error out
            if progress is not None:
                progress(wave.stop, len(files))
    return images


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[-2]}x{pixels.shape[-1]}"


def _cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
