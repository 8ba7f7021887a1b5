"""Counts what images are, before they are resized and converted, as they are decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from trainers.data.pixels import DecodedImage
from trainers.data.types import DecodedData, ImageSummary, LabeledImages, Part
from trainers.errors import DataError


class SummaryCounter:
    """Counts the images of a part. It holds counts alone, so that there may be millions of images."""

    def __init__(self) -> None:
        self._widths: Counter[int] = Counter()
        self._heights: Counter[int] = Counter()
        self._modes: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._transparent = self._multi_frame = self._uniform = 0
        self._value_range: tuple[float, float] | None = None

    def add(self, image: DecodedImage) -> None:
        """Count `image`."""
        self._widths[image.width] += 1
        self._heights[image.height] += 1
        self._modes[image.mode] += 1
        if image.format is not None:
            self._formats[image.format] += 1
        self._transparent += image.transparent
        self._multi_frame += image.multi_frame
        self._uniform += is_uniform(image.pixels)
        if image.value_range is not None:
            least, greatest = self._value_range or image.value_range
            self._value_range = min(least, image.value_range[0]), max(greatest, image.value_range[1])

    def summary(self) -> ImageSummary:
        """The summary of the images counted so far, at least one."""
        return ImageSummary(
            count=self._widths.total(),
            width=_spread(self._widths),
            height=_spread(self._heights),
            modes=dict(self._modes.most_common()),
            formats=dict(self._formats.most_common()),
            transparent=self._transparent,
            multi_frame=self._multi_frame,
            uniform=self._uniform,
            value_range=self._value_range,
        )


def summarize_arrays(
    parts: Mapping[Part, LabeledImages], own_size: tuple[int, int], mode: str
) -> dict[Part, ImageSummary]:
    """The summary of the images of each part of a source that has them as arrays.

    Args:
        parts: the images, perhaps resized.
        own_size: (height, width) of the images of the source.
        mode: Pillow's mode for them.
    """
    height, width = own_size
    return {
        part: ImageSummary(
            count=len(images),
            width=(width, width, width),
            height=(height, height, height),
            modes={mode: len(images)},
            formats={},
            uniform=sum(is_uniform(pixels) for pixels in images.images),
        )
        for part, images in parts.items()
    }


def check_images_show_something(decoded: DecodedData) -> None:
    """Check that the train images are not all blank; otherwise the first error would be about classes that are equal.

    Raises:
        DataError: all pixels of all train images are equal.
    """
    summary, images = decoded.summaries.get("train"), decoded.parts["train"].images
    if (
        summary is not None
        and summary.uniform == len(images) > 0
        and all((image == images[0]).all() for image in images)
    ):
        note = ", for all are transparent" if summary.transparent == len(images) else ""
        raise DataError(decoded.name, f"holds {len(images)} train images that show nothing: all pixels are equal{note}")


def is_uniform(pixels: np.ndarray) -> bool:
    """Whether all pixels of an image `(C, H, W)` are equal."""
    if pixels[0, 0, 0] != pixels[0, -1, -1]:  # most images, and much faster
        return False
    return bool((pixels == pixels[:, :1, :1]).all())


def _spread(counts: Counter[int]) -> tuple[int, int, int]:
    """The least, the median (the lower one of two) and the greatest of the values counted."""
    middle, before = (counts.total() + 1) // 2, 0
    values = sorted(counts)
    for value in values:
        before += counts[value]
        if before >= middle:
            return values[0], value, values[-1]
    raise ValueError("must have counted at least one value")
