"""Colour of 16 bits, of which Pillow decodes the upper bytes alone.

Pillow has no mode for it: its raw modes such as "RGB;16B" (big-endian) take the first of two bytes, "RGB;16L" the second. So
the lower bytes are read by decoding the file once more with the other byte order. Raw modes are in the tiles of an image that
is not loaded yet (https://pillow.readthedocs.io, "Writing your own image plugin").
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.data.image_file import open_image

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
