"""Opens one encoded image safely: formats that start no program, a limit on pixels, and metadata that do no harm.

Of the metadata of an image only its orientation is read (EXIF tag 0x0112, or XMP where EXIF has none). Whatever else is
wrong with them does not matter: where Pillow fails on a JPEG or PNG, it is tried once more without its metadata.

The only file that opens images with Pillow.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from PIL import ExifTags, Image

from trainers.data.file_types import FORMATS
from trainers.errors import DataError

MAX_IMAGE_PIXELS = 2 * 89_478_485
"""Most pixels of an image, by its header: Pillow's own limit against decompression bombs, 0.5 GB of RGB."""

TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image of an EXIF orientation upright."""

_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_COLOUR_SEGMENT_BYTES = {0xE0: 16, 0xEE: 14}
"""The least length of the segments of a JPEG that define its colours: JFIF and Adobe."""
_FORMAT_OF_TYPE = {3: "H", 4: "I"}
_PLACES_OF_ORIENTATION = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
"""Keys of the `info` of Pillow's images; a TIFF is itself the place."""
_EXIF = b"Exif\0\0"


def open_image(content: str | bytes) -> Image.Image:
    """Open the image in the file called `content`, or in the bytes `content`; no pixel is decoded yet.

    Raises:
        DataError: it has more than `MAX_IMAGE_PIXELS` pixels.
        Exception: it is in no format of `FORMATS`, or is broken.
    """
    place = content if isinstance(content, str) else "image"
    try:
        image = Image.open(content if isinstance(content, str) else io.BytesIO(content), formats=readable_formats())
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        raise _too_many_pixels(place, int(count[0]) if count else 0) from error
    if image.width * image.height > MAX_IMAGE_PIXELS:
        image.close()
        raise _too_many_pixels(place, image.width * image.height)
    return image


def _too_many_pixels(place: str, count: int) -> DataError:
    rule = f"is not an image that can be decoded (a decompression bomb?); must have at most {MAX_IMAGE_PIXELS} pixels"
    return DataError(place, rule, count)


@lru_cache(maxsize=1)
def readable_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that the installed Pillow can read."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def only_these_formats() -> Iterator[None]:
    """Within the block Pillow knows no formats but `FORMATS`, also where other packages call it.

    The registry of Pillow is that of the process, so other threads must not open images of other formats meanwhile.
    """
    readable = readable_formats()
    openers, names = dict(Image.OPEN), list(Image.ID)
    for name in set(openers) - set(readable):
        del Image.OPEN[name]
    Image.ID[:] = [name for name in names if name in readable]
    try:
        yield
    finally:
        Image.OPEN.update(openers)
        Image.ID[:] = names


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of a loaded `image`, 1 to 8; 1 if it has none, or none that can be read."""
    if image.info.keys().isdisjoint(_PLACES_OF_ORIENTATION) and image.format != "TIFF":
        return 1
    try:
        value = raw_orientation(image.info.get("exif", b""))
        if value is None:  # Pillow looks into XMP and other places, and reads all tags, which may be broken in any way
            value = image.getexif().get(ExifTags.Base.Orientation)
        return int(value) if value in TRANSPOSITIONS else 1
    except Exception:
        return 1


def raw_orientation(exif: bytes) -> int | None:
    """The value of the orientation in an EXIF block, read without looking at the other tags; None if it has none.

    The block is a TIFF file (TIFF 6.0, section 2): byte order, 42, the offset of a directory; there the number of entries
    and entries of 12 bytes: tag, type (3 is a short, 4 a long number), count, value.
    """
    tiff = exif.removeprefix(_EXIF)
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == ExifTags.Base.Orientation and kind in _FORMAT_OF_TYPE:
                (value,) = struct.unpack_from(order + _FORMAT_OF_TYPE[kind], tiff, entry + 8)
                return int(value)
    except struct.error:  # the block is cut off
        pass
    return None


def strip_metadata(content: bytes) -> tuple[bytes, bytes] | None:
    """A JPEG or PNG without its metadata, and its EXIF block (empty if it has none); None: it is neither, or too broken."""
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return _strip_png(content)
        if content.startswith(b"\xff\xd8"):
            return _strip_jpeg(content)
    except struct.error:
        pass
    return None


def _strip_png(content: bytes) -> tuple[bytes, bytes]:
    """Chunks are length, name, data and checksum (PNG specification, section 5.3)."""
    kept, exif, position = [content[:8]], b"", 8
    while position < len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if name == b"eXIf":
            exif = content[position + 8 : end - 4]
        if name in _PNG_CHUNKS:
            kept.append(content[position:end])
        position = end if name != b"IEND" else len(content)
    return b"".join(kept), exif


def _strip_jpeg(content: bytes) -> tuple[bytes, bytes]:
    """Segments are a marker and, before the pixels, a length and data (ITU T.81, B.1.1). Two of the APP
    segments define the colours.
    """
    kept, exif, position = [content[:2]], b"", 2
    while True:
        prefix, marker = struct.unpack_from(">BB", content, position)
        if prefix != 0xFF or marker == 0xDA:  # the pixels follow
            return b"".join((*kept, content[position:])), exif
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        segment = content[position : position + 2 + length]
        if marker == 0xE1 and segment[4:].startswith(_EXIF):
            exif = segment[4:]
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or len(segment) >= _COLOUR_SEGMENT_BYTES.get(marker, 1 << 16):
            kept.append(segment)
        position += 2 + length
