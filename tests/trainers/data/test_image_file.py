"""Opening image files: which files are images, odd metadata, and decoders that start no program."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.file_types import FORMATS, IMAGE_SUFFIXES, OTHER_SUFFIXES, is_image_signature
from trainers.data.folder_tree import NO_FILE, NO_IMAGE, SYSTEM_FILE, SYSTEM_FOLDER
from trainers.data.image_file import only_these_formats, readable_formats
from trainers.data.listing import scan
from trainers.data.pixels import DecodedImage, EncodedImage, decode
from trainers.data.types import DecodedData, ReadContext
from trainers.errors import DataError

ORIENTATION, SHORT, ASCII, LONG, RATIONAL = 0x0112, 3, 2, 4, 5


def picture(seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Random colours; `size` is (width, height)."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    """`image` in the format `kind`."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def decode_bytes(content: bytes) -> DecodedImage:
    """The image in `content`."""
    return decode(EncodedImage("x", "train", 0, lambda: content), None)


def read(root: Path, source: str = "folder", **fields: object) -> DecodedData:
    """Decode the folder `root`."""
    config = DataConfig.model_validate({"source": source, "path": root, **fields})
    return sources.get(source).locate(config).read(ReadContext())


def write_classes(root: Path) -> Path:
    """Two classes of four PNGs."""
    for number in range(8):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / f"{number}.png")
    return root


def exif(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """An EXIF block of entries (tag, type, count, value); a short value is in the first two bytes."""
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(f"{order}HH", value, 0) if kind == SHORT else struct.pack(f"{order}I", value)
        block += struct.pack(f"{order}HHI", tag, kind, count) + packed
    return b"Exif\0\0" + block + bytes(4)


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


ROTATED = (ORIENTATION, SHORT, 1, 6)


class TestMetadata:
    """Of the metadata the orientation is read; whatever else is in them does no harm."""

    @pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
    @pytest.mark.parametrize(
        "block",
        [
            exif(ROTATED),
            exif(ROTATED, order=">"),
            exif((ORIENTATION, LONG, 1, 6)),
            exif((ORIENTATION, SHORT, 2, 6)),
            exif((0x010F, 99, 1, 7), ROTATED),  # an unknown type
            exif((0x010F, ASCII, 5000, 99_999), ROTATED),  # outside the block
            exif((0x010F, ASCII, 2**32 - 1, 20), ROTATED),
            exif(ROTATED, (0x011A, RATIONAL, 1, 99_999)),
            exif((0x011A, RATIONAL, 1, 99_999), ROTATED),
            exif(ROTATED, (0x011A, ASCII, 4, 0x00636261), (0x0128, ASCII, 4, 0x00636261)),  # text for a number
            exif(ROTATED, (0x8769, LONG, 1, 99_999), (0x8825, ASCII, 4, 0x00636261)),
        ],
    )
    def test_the_orientation_is_read_whatever_the_other_tags(self, block: bytes, kind: str) -> None:
        options = {"lossless": True} if kind == "webp" else {}
        decoded = decode_bytes(save(picture(0, (6, 4)), kind, exif=block, **options))
        plain = decode_bytes(save(picture(0, (6, 4)), kind, **options))
        np.testing.assert_array_equal(decoded.pixels, np.rot90(plain.pixels, -1, (1, 2)))
        assert (decoded.width, decoded.height) == (4, 6)

    @pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0garbage", exif((ORIENTATION, SHORT, 1, 9)), exif()[:9]])
    @pytest.mark.parametrize("kind", ["jpeg", "png"])
    def test_no_orientation(self, block: bytes, kind: str) -> None:
        decoded = decode_bytes(save(picture(0, (6, 4)), kind, exif=block))
        np.testing.assert_array_equal(decoded.pixels, decode_bytes(save(picture(0, (6, 4)), kind)).pixels)

    @pytest.mark.parametrize(
        "broken",
        [
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2 << 20))),
            chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2 << 20))),
            chunk(b"zTXt", b"k\0\5garbage"),
            chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2 << 20))),
            chunk(b"iCCP", b"k\0\0garbage"),
            chunk(b"tEXt", b"k\0v", checksum=5),
            chunk(b"gAMA", b"\0"),
            chunk(b"cHRM", b"\0\0\0"),
            chunk(b"pHYs", b"\0"),
            chunk(b"sRGB", b""),
            chunk(b"acTL", b"\0"),
            chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  zz\nnothex\n"),
            chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 20))) * 70,
        ],
    )
    @pytest.mark.parametrize("after", [False, True])
    def test_a_png_with_a_broken_chunk(self, broken: bytes, after: bool) -> None:
        content = save(picture(0, (6, 4)), "png")
        place = len(content) - 12 if after else 33
        odd = content[:33] + chunk(b"eXIf", exif(ROTATED)[6:]) + content[33:place] + broken + content[place:]
        expected = np.rot90(np.asarray(picture(0, (6, 4))).transpose(2, 0, 1), -1, (1, 2))
        np.testing.assert_array_equal(decode_bytes(odd).pixels, expected)

    @pytest.mark.parametrize(
        "broken",
        [
            segment(0xE2, b"ICC_PROFILE\0"),
            segment(0xE2, b"MPF\0garbage"),
            segment(0xED, b"Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0"),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='\xff"),
            segment(0xEE, b"Adobe\0"),
            segment(0xE0, b"JFIF\0"),
        ],
    )
    def test_a_jpeg_with_a_broken_segment(self, broken: bytes) -> None:
        content = save(picture(0, (6, 4)), "jpeg", exif=exif(ROTATED), icc_profile=b"no profile")
        expected = decode_bytes(content).pixels
        assert expected.shape == (3, 6, 4)
        np.testing.assert_array_equal(decode_bytes(content[:2] + broken + content[2:]).pixels, expected)

    def test_broken_pixels_are_still_an_error(self) -> None:
        for kind in ("jpeg", "png"):
            content = save(picture(0, (64, 64)), kind, exif=exif(ROTATED))
            with pytest.raises(DataError, match="x: is not an image that can be decoded"):
                decode_bytes(content[: len(content) // 2])


class TestTypesOfFiles:
    """What the decoder can open is an image, whatever its suffix; all others are counted and named."""

    def test_the_suffixes_are_those_of_pillow(self) -> None:
        readable_formats()
        registered = {suffix for suffix, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO")}
        assert registered <= IMAGE_SUFFIXES
        assert not IMAGE_SUFFIXES & OTHER_SUFFIXES

    def test_formats_that_start_programs_are_not_among_them(self) -> None:
        assert not {"EPS", "PDF", "WMF", "FITS", "GRIB", "BUFR", "HDF5", "MPEG"} & set(readable_formats())

    @pytest.mark.parametrize(
        "kind",
        ["jpeg", "png", "webp", "gif", "bmp", "tiff", "ppm", "jpeg2000", "avif", "qoi", "sgi"],
    )
    def test_signatures(self, kind: str) -> None:
        if kind.upper() in readable_formats():
            assert is_image_signature(save(picture(0), kind)[:32])

    @pytest.mark.parametrize(
        "start", [b"", b"BMW is a car, and no bitmap file.", b"%!PS-Adobe-3.0 EPSF", b"P1", b"RIFF1234WAVE"]
    )
    def test_no_signatures(self, start: bytes) -> None:
        assert not is_image_signature(start)

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            *[("x.jfif", "jpeg"), ("x.jpe", "jpeg"), ("x.JPG", "jpeg"), ("x.avif", "avif"), ("x.jp2", "jpeg2000")],
            *[
                ("x.pgm", "ppm"),
                ("x.pnm", "ppm"),
                ("x.tga", "tga"),
                ("x.ico", "ico"),
                ("x.qoi", "qoi"),
                ("x.pcx", "pcx"),
            ],
            *[("x", "jpeg"), ("x.jpg_large", "jpeg"), ("x.jpg.1", "png"), ("x.image", "webp"), (".x", "png")],
            *[(".hidden.png", "png"), ("x.png", "jpeg"), ("x.gif", "webp"), ("x.jpg", "avif")],
        ],
    )
    def test_images_of_any_name(self, name: str, kind: str, tmp_path: Path) -> None:
        write_classes(tmp_path)
        before = read(tmp_path).parts["train"]
        (tmp_path / "cat" / name).write_bytes(save(picture(99, (16, 16)), kind))
        decoded = read(tmp_path, image_size=8)
        assert len(decoded.parts["train"]) == len(before) + 1
        assert decoded.passed_over == ()

    def test_all_others_are_counted_and_named(self, tmp_path: Path) -> None:
        write_classes(tmp_path)
        for name in ("notes.txt", "more.txt", "photo.heic", "Thumbs.db", ".DS_Store", "._1.png", "data", "LICENSE"):
            (tmp_path / "cat" / name).write_bytes(b"no image")
        os.mkfifo(tmp_path / "cat" / "pipe")  # to open it would wait for ever
        (tmp_path / "cat" / "gone").symlink_to(tmp_path / "nowhere")
        for name in ("__MACOSX", ".ipynb_checkpoints", "@eaDir"):
            (tmp_path / name).mkdir()
            picture(0).save(tmp_path / name / "0.png")
        (tmp_path / "README.md").touch()
        records = {(record.part, record.reason): (record.count, record.names) for record in scan(tmp_path).passed_over}
        assert records == {
            ("train", "file of type .txt"): (2, ("cat/more.txt", "cat/notes.txt")),
            ("train", "file of type .heic"): (1, ("cat/photo.heic",)),
            ("train", SYSTEM_FILE): (3, ("cat/.DS_Store", "cat/._1.png", "cat/Thumbs.db")),
            ("train", NO_IMAGE): (2, ("cat/LICENSE", "cat/data")),
            ("train", NO_FILE): (2, ("cat/gone", "cat/pipe")),
            (None, SYSTEM_FOLDER): (3, (".ipynb_checkpoints/", "@eaDir/", "__MACOSX/")),
            (None, "file of type .md"): (1, ("README.md",)),
        }

    def test_few_of_many_are_named(self, tmp_path: Path) -> None:
        write_classes(tmp_path)
        for number in range(50):
            (tmp_path / "dog" / f"{number:02d}.txt").touch()
        (record,) = scan(tmp_path).passed_over
        assert (record.count, len(record.names)) == (50, 20)

    def test_a_class_without_readable_images_says_what_it_holds(self, tmp_path: Path) -> None:
        write_classes(tmp_path)
        (tmp_path / "fox").mkdir()
        for number in range(3):
            (tmp_path / "fox" / f"{number}.heic").write_bytes(b"x")
        with pytest.raises(DataError, match=r"fox: holds no images .*; passed over: 3 x file of type .heic"):
            scan(tmp_path)


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
(PROOF) (w) file closefile
showpage
%%EOF
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The programs that are started; a program called `gs` exists, as Ghostscript would."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gs"
    program.write_text("#!/bin/sh\necho started > " + str(tmp_path / "started") + "\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    events: list[str] = []
    recording = True

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if recording and event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork"):
            events.append(f"{event} {arguments}")

    sys.addaudithook(audit)
    yield events
    recording = False
    assert not (tmp_path / "started").exists()


class TestNoProgramIsStarted:
    """A file that makes Pillow start Ghostscript, under the name of an image."""

    def test_pillow_would_start_one(self, started: list[str]) -> None:
        with pytest.raises(OSError), Image.open(io.BytesIO(POSTSCRIPT)) as image:
            image.load()
        assert started
        started.clear()
        for file in Path(os.environ["PATH"].partition(os.pathsep)[0]).parent.glob("started"):
            file.unlink()

    @pytest.mark.parametrize(
        "content", [POSTSCRIPT, b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(POSTSCRIPT)) + bytes(18) + POSTSCRIPT]
    )
    @pytest.mark.parametrize("source", ["folder", "timm", "torch/image_folder"])
    def test_files(self, source: str, content: bytes, started: list[str], tmp_path: Path) -> None:
        root = write_classes(tmp_path / "root")
        (root / "dog" / "x.png").write_bytes(content)
        with pytest.raises(DataError, match=r"dog/x.png: is not an image that can be decoded \(cannot identify"):
            read(root, source)
        assert len(read(root, source, on_error="skip").skipped) == 1
        assert started == []

    def test_other_packages_that_decode(self, started: list[str]) -> None:
        before = dict(Image.OPEN), list(Image.ID)
        with only_these_formats():
            with pytest.raises(Image.UnidentifiedImageError):
                Image.open(io.BytesIO(POSTSCRIPT))
            with Image.open(io.BytesIO(save(picture(0), "png"))) as image:
                assert image.size == (8, 8)
        assert (dict(Image.OPEN), list(Image.ID)) == before
        assert started == []

    def test_a_file_of_postscript_is_passed_over(self, started: list[str], tmp_path: Path) -> None:
        root = write_classes(tmp_path / "root")
        for name in ("x.eps", "x.ps", "x", "x.unknown"):
            (root / "dog" / name).write_bytes(POSTSCRIPT)
        assert sum(record.count for record in scan(root).passed_over) == 4
        assert len(read(root).parts["train"]) == 8
        assert started == []
