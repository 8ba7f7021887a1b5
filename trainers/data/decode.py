"""From encoded images to pixels, in a pool of threads (Pillow decodes without the GIL).

An image is turned upright as its EXIF orientation says, brought to 8 bits, and, where a size is asked for, resized so
that its shorter side fits and cropped about its centre. An animation gives its first frame; what is transparent keeps
the colour that the file gives it. Grey images have one channel until one with colour comes among them; from there on all
have three. What is decoded goes to disk at once: a few images for each processor are in memory, however many there are.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainers.data.types import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE, Arrays, Part, ReadContext
from trainers.errors import DataError
from trainers.files import Scratch

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
TOLD = 256
"""Images from one call of the progress to the next."""
BATCH = 8
"""Images that a thread is given at a time: to hand over a single small one takes a fifth as long as to decode it."""


@dataclass(frozen=True)
class EncodedImage:
    """An image that is still to be decoded.

    Args:
        name: what an error calls it.
        part: the part that it belongs to.
        label: its class.
        open: opens it; called in any thread, raises anything if the image is broken.
    """

    name: str
    part: Part
    label: int
    open: Callable[[], Image.Image]


def read_file(file: Path, size: int | None) -> NDArray[np.uint8]:
    """Decode `file` into uint8 `(C, H, W)`, with H = W = `size` unless that is None, and C = 1 if it is grey, else 3.

    Raises:
        DataError: the file cannot be decoded; names it and the reason.
    """
    with _quiet():
        return _pixels(EncodedImage(str(file), "train", 0, lambda: Image.open(file)), size)


def decode_all(
    images: Iterable[EncodedImage], total: int, size: int | None, reading: ReadContext, *, skip: bool = False
) -> tuple[dict[Part, Arrays], tuple[str, ...]]:
    """Decode `images`, of which those of a part follow one another.

    Args:
        images: what to decode; taken one by one.
        total: how many there are, as far as is known: it serves the progress alone.
        size: pixels a side; none: their own, which has to be the same for all.
        reading: where to, and whom to tell.
        skip: leave broken images out.

    Returns:
        The images uint8 `(N, C, H, W)` and labels `(N,)` of each part, and a line on each image that was left out.

    Raises:
        DataError: an image cannot be decoded (unless `skip`), or no `size` is given and the images differ in size.
    """
    skipped: list[str] = []
    done = 0
    with closing(_Canvas(reading)) as canvas, _quiet(), ThreadPoolExecutor(max_workers=_cpus()) as pool:
        for done, (image, pixels) in enumerate(_ahead(pool, images, size), start=1):
            if not isinstance(pixels, DataError):
                canvas.append(image, pixels)
            elif skip:
                skipped.append(str(pixels))
            else:
                raise pixels
            if reading.progress is not None and done % TOLD == 0 and done != total:
                reading.progress(done, max(done, total))
        parts = canvas.parts()
    if reading.progress is not None:
        reading.progress(done, done)
    return parts, tuple(skipped)


def _ahead(
    pool: ThreadPoolExecutor, images: Iterable[EncodedImage], size: int | None
) -> Iterator[tuple[EncodedImage, NDArray[np.uint8] | DataError]]:
    """`images` in their order, each with its pixels or what is wrong with it; few are decoded before they are asked for."""
    source = iter(images)
    waiting: deque[Future[list[tuple[EncodedImage, NDArray[np.uint8] | DataError]]]] = deque()
    while batch := list(islice(source, BATCH)):
        waiting.append(pool.submit(_decoded, batch, size))
        if len(waiting) > 2 * _cpus():
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _decoded(
    batch: Sequence[EncodedImage], size: int | None
) -> list[tuple[EncodedImage, NDArray[np.uint8] | DataError]]:
    """Each image of `batch` with its pixels or what is wrong with it."""
    results: list[tuple[EncodedImage, NDArray[np.uint8] | DataError]] = []
    for image in batch:
        try:
            results.append((image, _pixels(image, size)))
        except DataError as error:
            results.append((image, error))
    return results


class _Canvas:
    """The pixels decoded so far, on disk, with their labels and parts."""

    def __init__(self, reading: ReadContext) -> None:
        self._reading = reading
        self._scratch = Scratch(reading.scratch)
        self._first: tuple[str, tuple[int, ...]] | None = None
        self._channels = 1
        self._labels: dict[Part, list[int]] = {}

    def append(self, image: EncodedImage, pixels: NDArray[np.uint8]) -> None:
        """Add an image.

        Raises:
            DataError: it differs in size from the first, or the first is too small or too large.
        """
        if self._first is None:
            self._first = image.name, pixels.shape[1:]
            self._channels = len(pixels)
            if not MIN_IMAGE_SIZE <= min(pixels.shape[1:]) <= max(pixels.shape[1:]) <= MAX_IMAGE_SIZE:
                own = _size(pixels.shape[1:])
                rule = f"has to be given, {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}, for the images' own size is {own}"
                raise DataError("image_size", f"{rule} ({image.name})")
        name, shape = self._first
        if pixels.shape[1:] != shape:
            sizes = f"{_size(shape)} ({name}) and {_size(pixels.shape[1:])} ({image.name})"
            raise DataError("image_size", f"has to be given, for the images differ in size: {sizes}")
        if len(pixels) > self._channels:
            self._add_colour()
        self._scratch.append(pixels if len(pixels) == self._channels else pixels.repeat(3, axis=0))
        self._labels.setdefault(image.part, []).append(image.label)

    def _add_colour(self) -> None:
        with closing(self._scratch) as grey:
            self._scratch, self._channels = Scratch(self._reading.scratch), 3
            for pixels in grey.array():
                self._scratch.append(pixels.repeat(3, axis=0))

    def close(self) -> None:
        """Take no more images; what `parts` gave lives on."""
        self._scratch.close()

    def parts(self) -> dict[Part, Arrays]:
        """Images and labels of each part that has any."""
        images = self._scratch.array()
        parts: dict[Part, Arrays] = {}
        start = 0
        for part, labels in self._labels.items():
            parts[part] = images[start : start + len(labels)], np.array(labels, np.int64)
            start += len(labels)
        return parts


def _pixels(encoded: EncodedImage, size: int | None) -> NDArray[np.uint8]:
    """The pixels of `encoded`, uint8 `(C, H, W)`."""
    try:
        with encoded.open() as image:
            channels = 1 if image.mode in GREY_MODES else 3
            if size is not None:
                # A JPEG is decoded at a fraction of its size where that is still twice what is needed.
                image.draft(None, (2 * size, 2 * size))
            ImageOps.exif_transpose(image, in_place=True)
            upright = _eight_bits(image, channels)
            pixels = np.asarray(upright if size is None else fit(upright, size))
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise anything, from SyntaxError to struct.error
        raise DataError(encoded.name, _what_is_wrong(error, encoded.name)) from error
    return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)


def _what_is_wrong(error: Exception, name: str) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror})"
    reason = str(error).replace(f" {name!r}", "") or type(error).__name__
    return f"is not an image that can be decoded ({reason})"


def _eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """`image` with one ("L") or three ("RGB") channels of 8 bits.

    Raises:
        ValueError: its pixels are floats, whose black and white are not known.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floats, of no known range; 8 or 16 bits are wanted")
    if image.mode.startswith("I"):
        # Pillow clips 16 bits at 255 on the way to 8; the upper byte is what is meant.
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


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


def _quiet() -> warnings.catch_warnings[None]:
    """Pillow warns of large images and odd metadata, in words that speak of its own calls."""
    return warnings.catch_warnings(action="ignore")


def _size(shape: tuple[int, ...]) -> str:
    """Height and width, as they are said."""
    return f"{shape[0]}x{shape[1]}"


def _cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
