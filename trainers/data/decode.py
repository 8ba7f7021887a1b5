"""Many encoded images decoded in a pool of threads (Pillow decodes without the GIL).

Grey images have one channel as long as all images are grey; from the first image with colour on, all images have three.
Decoded images go to disk at once: memory holds a few images for each processor, whatever their number. Images of more than 8
bits go there as floats; when the least and the greatest value of all of them, of whatever part, are known, these become 0 and
255, but for outliers (`trainers.data.deep_colour`); floats have a range of their own, for their scale is another. Images of 8
bits beside them stay as they are.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from trainers.data.deep_colour import DeepImages, range_without_outliers
from trainers.data.earlier_decoding import decode_as_before
from trainers.data.image_file import readable_formats
from trainers.data.pixels import DecodedImage, EncodedImage, decode, pillow_warnings_ignored, scale
from trainers.data.summary import SummaryCounter
from trainers.data.types import (
    MAX_IMAGE_SIZE,
    MIN_IMAGE_SIZE,
    READING_VERSION,
    ImageSummary,
    LabeledImages,
    Part,
    ReadContext,
)
from trainers.errors import DataError, DiskError, skippable
from trainers.tensor_file import Scratch

IMAGES_PER_PROGRESS_CALL = 256
IMAGES_PER_TASK = 8
"""Images that a thread is given at a time: a task for a single small image costs a fifth of the time of its decoding."""

Decoder = Callable[[EncodedImage, int | None], DecodedImage]
"""Decodes an image to a size."""

Result = tuple[EncodedImage, DecodedImage | DataError]
"""An image with its pixels, or with what is wrong with it."""


@dataclass(frozen=True)
class DecodedParts:
    """Decoded images.

    Args:
        parts: the images of each part with their labels and names.
        skipped: one line for each image that was left out.
        summaries: what the images of each part were.
    """

    parts: dict[Part, LabeledImages]
    skipped: tuple[str, ...]
    summaries: dict[Part, ImageSummary]


def decode_all(
    images: Iterable[EncodedImage], total: int, size: int | None, context: ReadContext, *, skip: bool = False
) -> DecodedParts:
    """Decode `images`; those of one part must follow one another.

    Args:
        images: what to decode; taken one by one.
        total: number of images, as far as it is known; used for the progress alone.
        size: pixels a side; None: the images' own size, which must be the same for all.
        context: where decoded images are kept, and the progress.
        skip: leave broken images out.

    Raises:
        DiskError: the disk or the machine fails; such an image is not broken, so it is not left out.
        DataError: an image cannot be decoded (unless `skip`), or no `size` is given and the images differ in size.
    """
    skipped: list[str] = []
    summaries: dict[Part, SummaryCounter] = {}
    done = 0
    current = partial(decode, resizing=context.resizing)
    decoder = current if context.reading_version == READING_VERSION else decode_as_before
    readable_formats()  # loads the plugins of Pillow before the threads do
    with (
        closing(_DecodedImages(context)) as decoded,
        pillow_warnings_ignored(),
        ThreadPoolExecutor(max_workers=_processor_count()) as pool,
    ):
        for done, (image, result) in enumerate(_decode_in_order(pool, images, decoder, size), start=1):
            if not isinstance(result, DataError):
                decoded.append(image, result)
                summaries.setdefault(image.part, SummaryCounter()).add(result)
            elif skip and not isinstance(result, DiskError):
                skipped.append(str(result))
            else:
                raise skippable(result) from result.__cause__
            if context.progress is not None and done % IMAGES_PER_PROGRESS_CALL == 0 and done != total:
                context.progress(done, max(done, total))
        parts = decoded.parts()
        by_part = {part: decoded.with_range(part, counter.summary()) for part, counter in summaries.items()}
    if context.progress is not None:
        context.progress(done, done)
    return DecodedParts(parts, tuple(skipped), by_part)


def _decode_in_order(
    pool: ThreadPoolExecutor, images: Iterable[EncodedImage], decoder: Decoder, size: int | None
) -> Iterator[Result]:
    """The results of `images`, in their order; only a few images are decoded ahead of the caller."""
    remaining = iter(images)
    tasks: deque[Future[list[Result]]] = deque()
    while batch := list(islice(remaining, IMAGES_PER_TASK)):
        tasks.append(pool.submit(_decode_batch, batch, decoder, size))
        if len(tasks) > 2 * _processor_count():
            yield from tasks.popleft().result()
    while tasks:
        yield from tasks.popleft().result()


def _decode_batch(batch: Sequence[EncodedImage], decoder: Decoder, size: int | None) -> list[Result]:
    results: list[Result] = []
    for image in batch:
        try:
            results.append((image, decoder(image, size)))
        except DataError as error:
            results.append((image, error))
    return results


class _DecodedImages:
    """The pixels decoded so far, on disk, with their labels and parts."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._scratch = Scratch(context.scratch)
        self._count = 0
        self._first: tuple[str, tuple[int, ...]] | None = None
        self._channels = 1
        self._labels: dict[Part, list[int]] = {}
        self._names: dict[Part, list[str]] = {}
        self._deep: dict[tuple[bool, int], DeepImages] = {}
        """By whether they are floats, and their number of channels."""
        self._deep_counts: dict[Part, Counter[bool]] = {}
        self._value_ranges: dict[bool, tuple[float, float]] = {}

    def append(self, image: EncodedImage, decoded: DecodedImage) -> None:
        """Add an image.

        Raises:
            DataError: it differs in size from the first, or the first is too small or too large.
        """
        pixels = decoded.pixels
        self._check_size(image, pixels.shape[1:])
        if len(pixels) > self._channels:
            self._set_channels(len(pixels))
        if decoded.value_range is not None:
            is_float = decoded.mode == "F"
            key = is_float, len(pixels)
            if key not in self._deep:
                self._deep[key] = DeepImages(self._context.scratch)
            self._deep[key].append(self._count, pixels.astype(np.float32), decoded.value_range)
            self._deep_counts.setdefault(image.part, Counter())[is_float] += 1
            pixels = np.zeros(pixels.shape, np.uint8)  # until the range of all is known
        self._scratch.append(_with_channels(pixels.astype(np.uint8, copy=False), self._channels))
        self._labels.setdefault(image.part, []).append(image.label)
        self._names.setdefault(image.part, []).append(image.name)
        self._count += 1

    def _check_size(self, image: EncodedImage, shape: tuple[int, ...]) -> None:
        if self._first is None:
            self._first = image.name, shape
            if not MIN_IMAGE_SIZE <= min(shape) <= max(shape) <= MAX_IMAGE_SIZE:
                own = _format_size(shape)
                rule = f"has to be given, {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}, for the images' own size is {own}"
                raise DataError("image_size", f"{rule} ({image.name})")
        name, first_shape = self._first
        if shape != first_shape:
            sizes = f"{_format_size(first_shape)} ({name}) and {_format_size(shape)} ({image.name})"
            raise DataError("image_size", f"has to be given, for the images differ in size: {sizes}")

    def _set_channels(self, channels: int) -> None:
        """Give all images so far this number of channels."""
        with closing(self._scratch) as before:
            self._scratch, self._channels = Scratch(self._context.scratch), channels
            for pixels in before.array():
                self._scratch.append(_with_channels(pixels, channels))

    def _scale_deep_images(self) -> None:
        """Write the images of more than 8 bits by the range of all their values: integers by theirs, floats by theirs."""
        for kind in {is_float for is_float, _ in self._deep}:
            groups = [images for (is_float, _), images in self._deep.items() if is_float == kind]
            self._value_ranges[kind] = range_without_outliers(groups)
            for row, pixels in chain.from_iterable(groups):
                scaled = scale(pixels, self._value_ranges[kind])
                self._scratch.replace(row, _with_channels(scaled, self._channels))

    def with_range(self, part: Part, summary: ImageSummary) -> ImageSummary:
        """`summary`, of a part, with the values that became 0 and 255: of integers or floats, whichever is more frequent.

        Valid after `parts`.
        """
        counts = self._deep_counts.get(part)
        if counts is None:
            return summary
        return replace(summary, value_range=self._value_ranges[counts[True] > counts[False]])

    def close(self) -> None:
        """Take no more images; the arrays of `parts` stay valid."""
        self._scratch.close()
        for images in self._deep.values():
            images.close()

    def parts(self) -> dict[Part, LabeledImages]:
        """The images of each part that has any."""
        self._scale_deep_images()
        images = self._scratch.array()
        parts: dict[Part, LabeledImages] = {}
        start = 0
        for part, labels in self._labels.items():
            part_images = images[start : start + len(labels)]
            parts[part] = LabeledImages(part_images, np.array(labels, np.int64), self._names[part])
            start += len(labels)
        return parts


def _with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """`pixels` `(C, H, W)` with that number of channels: those of a grey image are equal."""
    return pixels if len(pixels) == channels else pixels.repeat(channels, axis=0)


def _format_size(shape: tuple[int, ...]) -> str:
    """Height and width as text, such as "8x8"."""
    return f"{shape[0]}x{shape[1]}"


def _processor_count() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
