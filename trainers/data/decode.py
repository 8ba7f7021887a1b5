"""Many encoded images decoded in a pool of threads (Pillow decodes without the GIL).

Grey images have one channel as long as all images are grey; from the first image with colour on, all images have three.
Decoded images go to disk at once: memory holds a few images for each processor, whatever their number.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from trainers.data.pixels import EncodedImage, decode, pillow_warnings_ignored
from trainers.data.types import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE, LabeledImages, Part, ReadContext
from trainers.errors import DataError
from trainers.files import Scratch

IMAGES_PER_PROGRESS_CALL = 256
IMAGES_PER_TASK = 8
"""Images that a thread is given at a time: a task for a single small image costs a fifth of the time of its decoding."""

Result = tuple[EncodedImage, NDArray[np.uint8] | DataError]
"""An image with its pixels, or with what is wrong with it."""


def decode_all(
    images: Iterable[EncodedImage], total: int, size: int | None, context: ReadContext, *, skip: bool = False
) -> tuple[dict[Part, LabeledImages], tuple[str, ...]]:
    """Decode `images`; those of one part must follow one another.

    Args:
        images: what to decode; taken one by one.
        total: number of images, as far as it is known; used for the progress alone.
        size: pixels a side; None: the images' own size, which must be the same for all.
        context: where decoded images are kept, and the progress.
        skip: leave broken images out.

    Returns:
        The images of each part with their labels and names, and one line for each image that was left out.

    Raises:
        DataError: an image cannot be decoded (unless `skip`), or no `size` is given and the images differ in size.
    """
    skipped: list[str] = []
    done = 0
    with (
        closing(_DecodedImages(context)) as decoded,
        pillow_warnings_ignored(),
        ThreadPoolExecutor(max_workers=_processor_count()) as pool,
    ):
        for done, (image, result) in enumerate(_decode_in_order(pool, images, size), start=1):
            if not isinstance(result, DataError):
                decoded.append(image, result)
            elif skip:
                skipped.append(str(result))
            else:
                raise result
            if context.progress is not None and done % IMAGES_PER_PROGRESS_CALL == 0 and done != total:
                context.progress(done, max(done, total))
        parts = decoded.parts()
    if context.progress is not None:
        context.progress(done, done)
    return parts, tuple(skipped)


def _decode_in_order(pool: ThreadPoolExecutor, images: Iterable[EncodedImage], size: int | None) -> Iterator[Result]:
    """The results of `images`, in their order; only a few images are decoded ahead of the caller."""
    remaining = iter(images)
    tasks: deque[Future[list[Result]]] = deque()
    while batch := list(islice(remaining, IMAGES_PER_TASK)):
        tasks.append(pool.submit(_decode_batch, batch, size))
        if len(tasks) > 2 * _processor_count():
            yield from tasks.popleft().result()
    while tasks:
        yield from tasks.popleft().result()


def _decode_batch(batch: Sequence[EncodedImage], size: int | None) -> list[Result]:
    results: list[Result] = []
    for image in batch:
        try:
            results.append((image, decode(image, size)))
        except DataError as error:
            results.append((image, error))
    return results


class _DecodedImages:
    """The pixels decoded so far, on disk, with their labels and parts."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._scratch = Scratch(context.scratch)
        self._first: tuple[str, tuple[int, ...]] | None = None
        self._channels = 1
        self._labels: dict[Part, list[int]] = {}
        self._names: dict[Part, list[str]] = {}

    def append(self, image: EncodedImage, pixels: NDArray[np.uint8]) -> None:
        """Add an image.

        Raises:
            DataError: it differs in size from the first, or the first is too small or too large.
        """
        if self._first is None:
            self._first = image.name, pixels.shape[1:]
            self._channels = len(pixels)
            if not MIN_IMAGE_SIZE <= min(pixels.shape[1:]) <= max(pixels.shape[1:]) <= MAX_IMAGE_SIZE:
                own = _format_size(pixels.shape[1:])
                rule = f"has to be given, {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}, for the images' own size is {own}"
                raise DataError("image_size", f"{rule} ({image.name})")
        name, shape = self._first
        if pixels.shape[1:] != shape:
            sizes = f"{_format_size(shape)} ({name}) and {_format_size(pixels.shape[1:])} ({image.name})"
            raise DataError("image_size", f"has to be given, for the images differ in size: {sizes}")
        if len(pixels) > self._channels:
            self._add_colour()
        self._scratch.append(pixels if len(pixels) == self._channels else pixels.repeat(3, axis=0))
        self._labels.setdefault(image.part, []).append(image.label)
        self._names.setdefault(image.part, []).append(image.name)

    def _add_colour(self) -> None:
        """Give all images so far three channels."""
        with closing(self._scratch) as grey:
            self._scratch, self._channels = Scratch(self._context.scratch), 3
            for pixels in grey.array():
                self._scratch.append(pixels.repeat(3, axis=0))

    def close(self) -> None:
        """Take no more images; the arrays of `parts` stay valid."""
        self._scratch.close()

    def parts(self) -> dict[Part, LabeledImages]:
        """The images of each part that has any."""
        images = self._scratch.array()
        parts: dict[Part, LabeledImages] = {}
        start = 0
        for part, labels in self._labels.items():
            part_images = images[start : start + len(labels)]
            parts[part] = LabeledImages(part_images, np.array(labels, np.int64), self._names[part])
            start += len(labels)
        return parts


def _format_size(shape: tuple[int, ...]) -> str:
    """Height and width as text, such as "8x8"."""
    return f"{shape[0]}x{shape[1]}"


def _processor_count() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
