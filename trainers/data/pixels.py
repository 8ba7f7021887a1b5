"""From one encoded image to its pixels.

An image is turned upright as its EXIF orientation says and, where a size is asked for, resized so that its shorter side fits
and cropped about its centre. Of an animation or a file of several pages the first is taken.

**Transparency.** Transparent pixels are laid over white, as browsers and most viewers show them. An image of which nothing
would be seen then (a white drawing) is laid over black.

**More than 8 bits.** Pixels of 16 bits, integers of 32 bits and floats stay floats here: black and white are the least and
the greatest value of the whole data set, which are known when all are decoded (`trainers.data.decode`). The range of the type
would leave few grey levels of images that use a part of it, such as the 12 bits of a detector.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.data.deep_colour import is_deep_colour, join_bytes, load_low_bytes
from trainers.data.image_file import TRANSPOSITIONS, open_image, orientation, raw_orientation, strip_metadata
from trainers.data.resizing import STUDY_RESIZING, Resizing
from trainers.data.types import Part
from trainers.disk import error_kind, is_disk_error
from trainers.errors import DataError, DiskError

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
MIN_UNSEEN_LEVEL = 240
"""An image laid over white whose pixels are all at least as light as this shows nothing."""

Content = str | bytes | Image.Image
"""The path of a file, the bytes of a file, or an image that another package has opened."""


@dataclass(frozen=True)
class EncodedImage:
    """An image that is not decoded yet.

    Args:
        name: its name in errors.
        part: the part that it belongs to.
        label: its class.
        fetch: gives its content; called in any thread, raises anything if the image is broken.
    """

    name: str
    part: Part
    label: int
    fetch: Callable[[], Content]


@dataclass(frozen=True)
class DecodedImage:
    """The pixels of an image, and what it was before it was resized and converted.

    Args:
        pixels: `(C, H, W)`: uint8; or float32 if the image has more than 8 bits, of the range of its own values. C is 1 if
            the image is grey, otherwise 3.
        value_range: the least and greatest value of a pixel of the image in its own size; None if it has 8 bits.
        width, height: of the upright image, in pixels.
        mode: Pillow's mode; "RGB;16" or "RGBA;16" for colour of 16 bits.
        format: Pillow's name of the format; None: unknown.
        transparent: whether a pixel is transparent.
        multi_frame: whether the file has more than one image.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    value_range: tuple[float, float] | None
    width: int
    height: int
    mode: str
    format: str | None
    transparent: bool
    multi_frame: bool


def decode(encoded: EncodedImage, size: int | None, resizing: Resizing = STUDY_RESIZING) -> DecodedImage:
    """Decode `encoded`.

    Args:
        encoded: the image.
        size: H and W; None: the image's own.
        resizing: how it becomes a square.

    Raises:
        DiskError: the disk or the machine fails, whatever the image.
        DataError: the image cannot be decoded; names it and the reason.
    """
    with decoding_errors(encoded.name):
        content = encoded.fetch()
        try:
            return _decode_content(content, size, resizing)
        except (MemoryError, DataError):
            raise
        except Exception as error:
            if is_disk_error(error):
                raise
            plain = _without_metadata(content)
            if plain is None:
                raise
            return _decode_content(plain[0], size, resizing, plain[1])


@contextmanager
def decoding_errors(name: str) -> Iterator[None]:
    """Raise whatever the block raises as an error about the image called `name`.

    Raises:
        DiskError: the disk or the machine fails, whatever the image.
        DataError: the image cannot be decoded.
        MemoryError: as it is.
    """
    try:
        yield
    except (MemoryError, DiskError):
        raise
    except DataError as error:
        raise DataError(name, error.rule, error.value) from error
    except Exception as error:  # decoders of damaged files raise anything, from SyntaxError to struct.error
        raise error_kind(error)(name, _decoding_rule(error, name)) from error


def scale(
    pixels: NDArray[np.uint8] | NDArray[np.float32], value_range: tuple[float, float] | None
) -> NDArray[np.uint8]:
    """`pixels` as uint8, where `value_range` becomes 0 to 255; unchanged if they are uint8 already."""
    if pixels.dtype == np.uint8 or value_range is None:
        return pixels.astype(np.uint8, copy=False)
    least, greatest = value_range
    levels = (pixels.astype(np.float64) - least) * (255 / ((greatest - least) or 1))
    return np.rint(levels.clip(0, 255)).astype(np.uint8)


def _without_metadata(content: Content) -> tuple[bytes, int] | None:
    """A JPEG or PNG without its metadata, and its orientation; None: there is nothing to leave out."""
    if isinstance(content, Image.Image):
        return None
    data = Path(content).read_bytes() if isinstance(content, str) else content
    stripped = strip_metadata(data)
    if stripped is None or stripped[0] == data:
        return None
    return stripped[0], raw_orientation(stripped[1]) or 1


def _decode_content(content: Content, size: int | None, resizing: Resizing, orientation_hint: int = 1) -> DecodedImage:
    """Decode `content`, which has the orientation `orientation_hint` if its metadata tell none."""
    with content if isinstance(content, Image.Image) else open_image(content) as image:
        width, height = image.size
        deep_colour = not isinstance(content, Image.Image) and is_deep_colour(image)
        mode = f"{image.mode};16" if deep_colour else image.mode
        channels = 1 if image.mode in GREY_MODES else 3
        if size is not None:
            # A JPEG is decoded at a fraction of its size where that is still twice what is needed.
            image.draft(None, (2 * size, 2 * size))
        stored_size = image.size
        image.load()
        turned = orientation(image)
        turned = orientation_hint if turned == 1 else turned
        upright = _turn(image, turned)
        if upright.size != stored_size and upright.size == stored_size[::-1]:  # Pillow itself turns a TIFF
            width, height = height, width
        value_range, transparent = None, False
        pixels: NDArray[np.uint8] | NDArray[np.float32]
        if deep_colour and not isinstance(content, Image.Image):
            values, transparent = join_bytes(upright, _turn(load_low_bytes(content), turned))
            value_range, pixels = _fit_values(values, size, resizing)
        elif mode == "F" or mode.startswith("I"):
            value_range, pixels = _fit_values(np.asarray(upright).astype(np.float32)[None], size, resizing)
        else:
            flat, transparent = _flatten(upright, "L" if channels == 1 else "RGB")
            array = np.asarray(flat if size is None else resizing.fit(flat, size))
            pixels = array[None] if channels == 1 else array.transpose(2, 0, 1)  # `moveaxis` is slow
        more = has_more_frames(image)
        return DecodedImage(pixels, value_range, width, height, mode, image.format, transparent, more)


def _turn(image: Image.Image, turned: int) -> Image.Image:
    method = TRANSPOSITIONS.get(turned)
    return image if method is None else image.transpose(method)


def _flatten(image: Image.Image, mode: str) -> tuple[Image.Image, bool]:
    """`image` in `mode` ("L" or "RGB") without transparency, and whether a pixel was transparent."""
    if image.mode not in ALPHA_MODES and "transparency" not in image.info:
        return image if image.mode == mode else image.convert(mode), False
    with_alpha = image.convert("LA" if image.mode == "La" else "RGBA") if image.mode != "LA" else image
    colour, alpha = with_alpha.convert(mode), with_alpha.getchannel("A")
    least, greatest = alpha.getextrema()
    if least == 255:
        return colour, False
    flat = Image.composite(colour, Image.new(mode, image.size, "white"), alpha)
    if greatest and np.asarray(flat).min() >= MIN_UNSEEN_LEVEL:
        flat = Image.composite(colour, Image.new(mode, image.size, "black"), alpha)
    return flat, True


def _fit_values(
    values: NDArray[np.float32], size: int | None, resizing: Resizing
) -> tuple[tuple[float, float], NDArray[np.float32]]:
    """The range of `values` `(C, H, W)`, and the values resized to `size`, within that range.

    Raises:
        ValueError: a value is not finite.
    """
    least, greatest = float(values.min()), float(values.max())
    if not np.isfinite([least, greatest]).all():
        raise ValueError("it holds pixels that are not finite numbers")
    if size is not None:
        planes = [np.asarray(resizing.fit(Image.fromarray(plane), size)) for plane in values]
        values = np.stack(planes).clip(least, greatest)
    return (least, greatest), values


def has_more_frames(image: Image.Image) -> bool:
    """Whether the file of `image` has more than one image."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first image may be broken
        return False


def resize_all(images: NDArray[np.uint8], size: int, resizing: Resizing = STUDY_RESIZING) -> NDArray[np.uint8]:
    """Square `images` `(N, C, H, H)` as `(N, C, size, size)`; unchanged if they have that size."""
    if images.shape[-2:] == (size, size):
        return images
    resized = np.empty((*images.shape[:2], size, size), np.uint8)
    for target, planes in zip(resized, images, strict=True):
        for plane, pixels in zip(target, planes, strict=True):
            plane[:] = np.asarray(resizing.fit(Image.fromarray(pixels), size))
    return resized


def pillow_warnings_ignored() -> warnings.catch_warnings[None]:
    """Within the block Pillow's warnings of large images and odd metadata are ignored: a user can do nothing about them."""
    return warnings.catch_warnings(action="ignore")


def _decoding_rule(error: Exception, name: str) -> str:
    """What `error` says about the image called `name`, as the rule of a `DataError`."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror})"
    reason = str(error).replace(f" {name!r}", "") or type(error).__name__
    return f"is not an image that can be decoded ({reason})"
