"""Folders of images that are hostile or broken, and what `nas data` and `nas search` say of them."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

from bad_input import BadInput, Make
from makers import STUDY, at, images, link, pipe, several, text
from PIL import Image

PHOTO = "photos/cat/odd.png"
"""The image that is odd, beside eight valid ones of each class."""
ESCAPE = "\x1b[31m"


def encoded(mode: str = "RGB", size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    """A valid image."""
    stream = BytesIO()
    Image.new(mode, size).save(stream, kind)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes, *extra: bytes) -> bytes:
    """A PNG of grey pixels that declares a size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", head, *extra, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")))


GIF_BOMB = (
    b"GIF89a"
    + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0)
    + bytes(6)
    + b","
    + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0)
    + b"\x02\x02\x4c\x01\x00;"
)
TIFF_LOOP = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x0100, 4, 1, 8) + struct.pack("<I", 8)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(touch $CANARY) system\nshowpage\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'

BROKEN: dict[str, Make] = {
    "cut PNG": text(encoded()[:40], PHOTO),
    "cut JPEG": text(encoded(size=(64, 64), kind="JPEG")[:300], PHOTO),
    "PNG with a header alone": text(encoded()[:33], PHOTO),
    "PNG of 60,000 x 60,000": text(png(60_000, 60_000, b"\0"), PHOTO),
    "PNG of 2^31 x 2^31": text(png(2**31 - 1, 2**31 - 1, b"\0"), PHOTO),
    "PNG of no width": text(png(0, 8, b"\0"), PHOTO),
    "PNG without pixels": text(png(8, 8, b""), PHOTO),
    "GIF of 60,000 x 60,000": text(GIF_BOMB, PHOTO),
    "TIFF that leads to itself": text(TIFF_LOOP, PHOTO),
    "PostScript": text(POSTSCRIPT, PHOTO),
    "PDF": text(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n", PHOTO),
    "SVG": text(SVG, PHOTO),
    "text": text("no image\n", PHOTO),
    "zeros": text(bytes(10_000), PHOTO),
    "pickle": text(b"cos\nsystem\n(S'touch $CANARY'\ntR.", PHOTO),
    "HDF5": text(b"\x89HDF\r\n\x1a\n" + bytes(100), PHOTO),
    "float pixels that are NaN": text(b"Pf\n8 8\n-1.0\n" + struct.pack("<f", float("nan")) * 64, PHOTO),
    "0 bytes": text("", PHOTO),
    "pipe": pipe(PHOTO),
    "link to /dev/zero": link("/dev/zero", PHOTO),
    "link to itself": link("odd.png", PHOTO),
    "link to nothing": link("nowhere.png", PHOTO),
    "name with an escape": text("no image\n", f"photos/cat/{ESCAPE}.png"),
    "name with a line end": text("no image\n", "photos/cat/a\nnas: done.png"),
    "name in markup": text("no image\n", "photos/cat/[red]x[|red].png"),
}  # fmt: skip
"""Kind -> makes an image of the class `cat` that cannot be decoded."""


def classes(*names: str) -> Make:
    """Makes a folder of images with these classes."""

    def make(folder: Path) -> None:
        for label, name in enumerate(names):
            place = os.fsencode(folder) + b"/photos/" + os.fsencode(name)
            os.makedirs(place)  # noqa: PTH103 (a name of bytes)
            for number in range(8):
                with open(place + b"/%d.png" % number, "wb") as file:  # noqa: PTH123
                    Image.new("RGB", (8, 8), (number, label, 0)).save(file, "PNG")

    return make


def deep_folders(folder: Path) -> None:
    """Makes folders in folders, as deep as paths may be long."""
    images()(folder)
    descriptor = os.open(folder / "photos" / "cat", os.O_RDONLY)
    for _ in range(500):
        os.mkdir("d" * 10, dir_fd=descriptor)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


FOLDERS: dict[str, tuple[Make, str]] = {
    "one class": (classes("cat"), "two classes"),
    "no class": (at("photos", Path.mkdir), "holds"),
    "only empty classes": (lambda folder: [(folder / "photos" / name).mkdir(parents=True) for name in "ab"], "photos"),
    "an empty class": (several(classes("cat", "dog"), at("photos/empty", Path.mkdir)), "empty"),
    "images without classes": (several(*(text(encoded(), f"photos/{number}.png") for number in range(9))), "photos"),
    "a file": (text("no folder\n", "photos"), "folder"),
    "a device": (link("/dev/zero", "photos"), "folder"),
    "a pipe": (pipe("photos"), "folder"),
    "a link to itself": (link("photos", "photos"), "photos"),
    "a class of bytes that are no UTF-8": (classes("cat", os.fsdecode(b"d\xff")), "UTF-8"),
    "a class that is a link to the folder": (several(classes("cat"), link(".", "photos/dog")), "two classes"),
    "three images": (images(count=1), "photos"),
}  # fmt: skip
"""Kind -> makes a folder that is no data set, and a part of the error."""

VALID: dict[str, Make] = {
    "1 x 1 pixels": text(encoded(size=(1, 1)), PHOTO),
    "1 x 5,000 pixels": text(encoded(size=(1, 5_000)), PHOTO),
    "16 bits": text(encoded("I;16"), PHOTO),
    "CMYK": text(encoded("CMYK", kind="JPEG"), PHOTO),
    "palette": text(encoded("P"), PHOTO),
    "JPEG called PNG": text(encoded(kind="JPEG"), PHOTO),
    "broken metadata": text(png(8, 8, bytes(72), chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"), chunk(b"tEXt", b"\xff" * 99)), PHOTO),
    "compressed text of 1 GB": text(png(8, 8, bytes(72), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))), PHOTO),
    "classes with control characters": several(classes(f"cat{ESCAPE}", "dog\nnas: error: x", "[red]x[bold]", "a\u202eb")),
    "class names that are options": classes("--help", "-rf"),
    "class of 255 characters": classes("c" * 255, "dog"),
    "circular links": several(images(), link("..", "photos/cat/up"), link("../dog", "photos/dog/same")),
}  # fmt: skip
"""Kind -> makes a data set that is odd and valid."""


def data(kind: str, make: Make, *expected: str, code: int = 0) -> BadInput:
    """`nas data` of the folder `photos`."""
    return BadInput(f"{kind}: data", "data photos data.image_size=8", expected, make, code)


def search(kind: str, make: Make, *expected: str) -> BadInput:
    """`nas search` of the folder `photos`, which is to end before it starts."""
    words = "search study.yaml data.source=folder data.path=photos data.image_size=8 data.limit=null --out runs resources.executor=local"
    return BadInput(f"{kind}: search", words, expected, several(text(STUDY), make), written=("runs",))


def name_of(kind: str) -> str:
    """How an error names the odd image."""
    names = {
        "name with an escape": "\\x1b[31m.png",
        "name with a line end": "a\\nnas: done.png",
        "name in markup": "[red]x[|red].png",
    }
    return names.get(kind, "odd.png")


def all_broken(folder: Path) -> None:
    """Makes one data set with all kinds of broken images."""
    images()(folder)
    for number, (kind, make) in enumerate(BROKEN.items()):
        make(folder)
        if "name" not in kind:
            (folder / PHOTO).rename(folder / "photos" / "dog" / f"broken{number}.png")


ROWS = (
    *(search(kind, several(images(), make), name_of(kind)) for kind, make in BROKEN.items()),
    data("broken images of all kinds", all_broken, f"{len(BROKEN)} images left out"),
    *(data(kind, make, part, code=2) for kind, (make, part) in FOLDERS.items()),
    *(
        data(kind, make if "class" in kind or "links" in kind else several(images(), make))
        for kind, make in VALID.items()
    ),
    data("folders in folders, 5,000 characters", deep_folders, "photos", code=2),
)
