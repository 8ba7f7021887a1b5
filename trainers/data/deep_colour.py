"""Pixels of more than 8 bits: colour of 16 bits, of which Pillow decodes the upper bytes alone, and the range of all values.

**Colour.** Pillow has no mode for it: its raw modes such as "RGB;16B" (big-endian) take the first of two bytes, "RGB;16L" the
second. So the lower bytes are read by decoding the file once more with the other byte order. Raw modes are in the tiles of an
image that is not loaded yet (https://pillow.readthedocs.io, "Writing your own image plugin").

**Range.** The least and the greatest value of all images become black and white, unless one is an outlier, such as a hot
pixel of a detector: then the percentile 0.1 or 99.9 of all values takes its place (`range_without_outliers`). Integers and
floats of one data set have a range each, for they have different scales (0 to 4095 and 0 to 1).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.data.image_file import open_image
from trainers.tensor_file import Scratch

OUTLIER_FRACTION = 0.001
"""Share of the pixels at either end of the values that may be outliers; at least one pixel."""
MIN_OUTLIER_DISTANCE = 3
"""An end of the range is an outlier if it is further than this from its percentile, in distances of the two percentiles."""
_BLOCK_BYTES = 1 << 22
_MODES = frozenset({"RGB", "RGBX", "RGBA"})
_OTHER_BYTE_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def is_deep_colour(image: Image.Image) -> bool:
    """Whether `image`, which is not loaded, is colour of 16 bits."""
    if image.format == "JPEG" or image.mode not in _MODES:
        return False
    return any(_raw_mode(tile)[1] for tile in getattr(image, "tile", ()))


def load_low_bytes(content: str | bytes) -> Image.Image:
    """The lower bytes of the colour of 16 bits in `content`."""
    with open_image(content) as image:
        tiles: Any = image
        tiles.tile = [_with_other_byte_order(tile) for tile in tiles.tile]
        image.load()
        return image.copy()


def _raw_mode(tile: tuple[Any, ...]) -> tuple[str, bool]:
    """Pillow's raw mode of a `tile`, such as "RGB;16B", and whether it has 16 bits a channel."""
    arguments = tile[3]
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    text = raw_mode if isinstance(raw_mode, str) else ""
    return text, text.endswith((";16L", ";16B", ";16N"))


def _with_other_byte_order(tile: tuple[Any, ...]) -> tuple[Any, ...]:
    raw_mode, deep = _raw_mode(tile)
    if not deep:
        raise ValueError("its colours have 8 and 16 bits")
    other = raw_mode[:-1] + _OTHER_BYTE_ORDER[raw_mode[-1]]
    arguments = tile[3]
    changed = (other, *arguments[1:]) if isinstance(arguments, tuple) else other
    return tile._replace(args=changed) if hasattr(tile, "_replace") else (*tile[:3], changed)


def join_bytes(high: Image.Image, low: Image.Image) -> tuple[NDArray[np.float32], bool]:
    """Colour of 16 bits, `(3, H, W)`, of its upper and lower bytes, laid over white, and whether a pixel was transparent."""
    values = np.moveaxis(np.asarray(high).astype(np.float32) * 256 + np.asarray(low), -1, 0)
    colour, transparent = values[:3], False
    if high.mode == "RGBA":
        alpha = values[3:] / 65535
        colour, transparent = colour * alpha + 65535 * (1 - alpha), bool(alpha.min() < 1)
    return colour, transparent


class DeepImages:
    """Images of more than 8 bits and one number of channels, float32 `(C, H, W)`, on disk.

    Args:
        folder: where they are kept; None: the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._scratch = Scratch(folder)
        self._rows: list[int] = []
        self._value_range = math.inf, -math.inf

    def append(self, row: int, pixels: NDArray[np.float32], value_range: tuple[float, float]) -> None:
        """Add the image in the row `row` of all images; `value_range` is that of the image in its own size."""
        self._scratch.append(np.ascontiguousarray(pixels).view(np.uint8))
        self._rows.append(row)
        least, greatest = self._value_range
        self._value_range = min(least, value_range[0]), max(greatest, value_range[1])

    @property
    def value_range(self) -> tuple[float, float]:
        """The least and the greatest value of all images."""
        return self._value_range

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for row, pixels in zip(self._rows, self._scratch.array(), strict=True):
            yield row, pixels.view(np.float32)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The values of all images, a few MiB at a time."""
        pixels = self._scratch.array()
        count = max(1, _BLOCK_BYTES // max(1, pixels[:1].nbytes))
        for start in range(0, len(pixels), count):
            yield pixels[start : start + count].view(np.float32).ravel()

    def close(self) -> None:
        self._scratch.close()


def range_without_outliers(images: Sequence[DeepImages]) -> tuple[float, float]:
    """The values of `images` that become black and white.

    They are the least and the greatest value, each unless it is further than `MIN_OUTLIER_DISTANCE` from the percentile 0.1
    or 99.9, in distances of these two: then the percentile is taken. The percentiles are exact and those of the images
    in the size in which they are used; if they are equal, nothing is an outlier.
    """
    least = min(group.value_range[0] for group in images)
    greatest = max(group.value_range[1] for group in images)
    low, high = _percentiles(images)
    limit = MIN_OUTLIER_DISTANCE * (high - low)
    if limit == 0:
        return least, greatest
    return low if low - least > limit else least, high if greatest - high > limit else greatest


def _percentiles(images: Sequence[DeepImages]) -> tuple[float, float]:
    """The values that the fraction `OUTLIER_FRACTION` of all is below, and above.

    Found in two passes over the values as integers of 32 bits in the same order: a histogram of the upper 16 bits, then one
    of the lower 16 bits of those in the bin sought. So memory does not grow with the number of images.
    """
    upper = np.zeros(1 << 16, np.int64)
    for group in images:
        for values in group.blocks():
            upper += np.bincount(_ordered_bits(values) >> 16, minlength=1 << 16)
    count = int(upper.sum())
    outliers = min(math.ceil(OUTLIER_FRACTION * count), (count - 1) // 2)
    ranks = outliers, count - 1 - outliers
    bins = [int(np.searchsorted(upper.cumsum(), rank, side="right")) for rank in ranks]
    lower = np.zeros((2, 1 << 16), np.int64)
    for group in images:
        for values in group.blocks():
            bits = _ordered_bits(values)
            for counts, bin_number in zip(lower, bins, strict=True):
                counts += np.bincount(bits[bits >> 16 == bin_number] & 0xFFFF, minlength=1 << 16)
    low, high = (
        _value_of_bits(
            bin_number << 16 | int(np.searchsorted(counts.cumsum(), rank - upper[:bin_number].sum(), "right"))
        )
        for counts, bin_number, rank in zip(lower, bins, ranks, strict=True)
    )
    return low, high


def _ordered_bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Integers in the order of `values`, which are finite: negative numbers inverted, then the others (IEEE 754)."""
    bits = (values + np.float32(0)).view(np.uint32)  # -0 becomes 0
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _value_of_bits(bits: int) -> float:
    """The inverse of `_ordered_bits`."""
    own = bits & 0x7FFFFFFF if bits >> 31 else ~bits & 0xFFFFFFFF
    return float(np.array(own, np.uint32).view(np.float32))
