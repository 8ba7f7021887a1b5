"""Decoding: types of pixels, orientation and size of one image; order, progress and broken images of many."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from trainers.data.decode import IMAGES_PER_PROGRESS_CALL, decode_all
from trainers.data.pixels import EncodedImage, decode_file
from trainers.data.types import ReadContext
from trainers.errors import DataError


def picture(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """Random pixels; `size` is (width, height)."""
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode, 1)
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def encoded(name: str, image: Image.Image | bytes, label: int = 0, part: str = "train") -> EncodedImage:
    """`image` as a PNG in memory; bytes as they are."""
    if isinstance(image, bytes):
        content = image
    else:
        stream = io.BytesIO()
        image.save(stream, "png")
        content = stream.getvalue()
    return EncodedImage(name, part, label, lambda: Image.open(io.BytesIO(content)))  # type: ignore[arg-type]


def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(decode_file(tmp_path / "x.png", None)[0], pixels // 256)


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    image = picture(0, mode="RGBA") if mode == "RGBA" else picture(0).convert(mode)
    image.save(tmp_path / "x.tif")
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode_file(tmp_path / "x.tif", None), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, tmp_path: Path) -> None:
    # By the EXIF standard, the value tells on which sides of the scene the file's row 0 and column 0 are:
    # 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
    store: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda scene: scene,
        2: lambda scene: scene[:, ::-1],
        3: lambda scene: scene[::-1, ::-1],
        4: lambda scene: scene[::-1],
        5: lambda scene: scene.transpose(1, 0, 2),
        6: lambda scene: scene[:, ::-1].transpose(1, 0, 2),  # rows run from right to left, columns from the top down
        7: lambda scene: scene[::-1, ::-1].transpose(1, 0, 2),
        8: lambda scene: scene[::-1].transpose(1, 0, 2),
    }
    scene = np.asarray(picture(0, (6, 4)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(store[orientation](scene))).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(decode_file(tmp_path / "x.png", None), scene.transpose(2, 0, 1))


def test_resized_by_the_shorter_side_and_cropped_about_the_centre(tmp_path: Path) -> None:
    # Left third red, middle green, right blue: of 48x16 only the middle square remains.
    pixels = np.zeros((16, 48, 3), np.uint8)
    for third in range(3):
        pixels[:, 16 * third : 16 * (third + 1), third] = 200
    for suffix in ("png", "jpg"):
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}")
    image = decode_file(tmp_path / "x.png", 8)
    assert image.shape == (3, 8, 8)
    inner = image[:, :, 1:-1]  # at the very edge the neighbour may shine in
    assert (np.abs(inner.astype(int) - np.array([0, 200, 0])[:, None, None]) < 16).all()


def test_a_large_jpeg_is_reduced_well(tmp_path: Path) -> None:
    smooth = picture(0, (8, 8)).resize((512, 512), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "x.jpg", quality=95)
    expected = np.asarray(smooth.resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1).astype(int)
    assert np.abs(decode_file(tmp_path / "x.jpg", 32) - expected).mean() < 2


def test_one_bit_is_grey(tmp_path: Path) -> None:
    image = picture(0).convert("1")
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(decode_file(tmp_path / "x.png", None)[0], np.asarray(image) * np.uint8(255))


def test_alpha_of_grey_is_dropped(tmp_path: Path) -> None:
    image = picture(0, mode="LA")
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(decode_file(tmp_path / "x.png", None)[0], np.asarray(image)[..., 0])


@pytest.mark.parametrize("transparency", [2, bytes([0, 128, 255, 7])])
def test_a_palette_with_transparency_keeps_its_colours(transparency: int | bytes, tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 4, (8, 8), dtype=np.uint8)
    palette = np.array([[9, 8, 7], [200, 0, 3], [0, 150, 30], [255, 255, 1]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(palette.tobytes())
    image.putdata(indices.ravel().tolist())
    image.save(tmp_path / "x.png", transparency=transparency)
    np.testing.assert_array_equal(decode_file(tmp_path / "x.png", None), palette[indices].transpose(2, 0, 1))


def test_sixteen_bit_colour_keeps_its_upper_byte(tmp_path: Path) -> None:
    # Written by hand, for Pillow writes no such PNG: 4x4, 16 bits, RGB, no filter.
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 4, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    (tmp_path / "x.png").write_bytes(png(4, 4, 16, 2, rows))
    np.testing.assert_array_equal(decode_file(tmp_path / "x.png", None), (pixels >> 8).transpose(2, 0, 1))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG file of those `rows`."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2, b""))
    with pytest.raises(DataError, match=r"bomb.png: is not an image that can be decoded \(.*decompression bomb"):
        decode_file(tmp_path / "bomb.png", 32)


def test_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).random((8, 8), dtype=np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x.tif: .*pixels are floats of unknown range; must be 8 or 16 bits"):
        decode_file(tmp_path / "x.tif", None)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    expected = np.broadcast_to(np.array([255, 0, 0], np.uint8)[:, None, None], (3, 8, 8))
    np.testing.assert_array_equal(decode_file(tmp_path / "x.gif", None), expected)


def test_a_single_pixel_is_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "x.png")
    image = decode_file(tmp_path / "x.png", 8)
    np.testing.assert_array_equal(image, np.broadcast_to(np.array([1, 2, 3], np.uint8)[:, None, None], (3, 8, 8)))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (8, 1025)])
def test_own_sizes_out_of_range(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=rf"image_size: has to be given, 4 to 1024, .* is {size[1]}x{size[0]} \(one\)"):
        decode_all([encoded("one", picture(0, size))], 1, None, ReadContext())


@settings(max_examples=25)
@given(
    kinds=st.lists(st.sampled_from(["L", "RGB", "broken"]), max_size=60),
    tests=st.integers(0, 20),
)
def test_properties_of_decoding_many(kinds: list[str], tests: int) -> None:
    images = [
        encoded(
            f"image {i}",
            b"no image" if kind == "broken" else picture(i, mode=kind),
            i,
            "test" if i < tests else "train",
        )
        for i, kind in enumerate(kinds)
    ]
    parts, skipped = decode_all(images, len(images), None, ReadContext(), skip=True)
    # Those that are broken are named, in their order; the others are there, in theirs, in the part that they belong to.
    broken = [i for i, kind in enumerate(kinds) if kind == "broken"]
    assert [line.partition(":")[0] for line in skipped] == [f"image {i}" for i in broken]
    whole = [i for i, kind in enumerate(kinds) if kind != "broken"]
    wanted = {"test": [i for i in whole if i < tests], "train": [i for i in whole if i >= tests]}
    assert {part: images.labels.tolist() for part, images in parts.items()} == {p: w for p, w in wanted.items() if w}
    # One image with colour makes all have three channels.
    channels = 3 if "RGB" in kinds else 1
    for images_of_part in parts.values():
        assert images_of_part.names == [f"image {label}" for label in images_of_part.labels]
        for image, label in zip(images_of_part.images, images_of_part.labels.tolist(), strict=True):
            decoded = np.asarray(picture(label, mode=kinds[label]))
            expected = decoded.transpose(2, 0, 1) if decoded.ndim == 3 else decoded[None]
            np.testing.assert_array_equal(image, np.broadcast_to(expected, (channels, 8, 8)))


def test_a_broken_image_ends_the_work_unless_it_is_skipped() -> None:
    images = [encoded("good", picture(0)), encoded("bad", b"GIF89a"), encoded("fine", picture(1))]
    with pytest.raises(DataError, match=r"^bad: is not an image that can be decoded"):
        decode_all(images, 3, None, ReadContext())


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    def denied() -> Image.Image:
        raise PermissionError(13, "Permission denied", "secret.png")

    with pytest.raises(DataError, match=r"^secret.png: cannot be read \(Permission denied\)$"):
        decode_all([EncodedImage("secret.png", "train", 0, denied)], 1, None, ReadContext())


def test_a_memory_error_is_not_a_broken_image() -> None:
    def large() -> Image.Image:
        raise MemoryError

    with pytest.raises(MemoryError):
        decode_all([EncodedImage("large.png", "train", 0, large)], 1, None, ReadContext(), skip=True)


def test_images_are_opened_only_a_little_ahead() -> None:
    opened: list[int] = []

    def taken() -> list[int]:
        return list(opened)

    def open_number(number: int) -> Image.Image:
        opened.append(number)
        return picture(number)

    most = 0

    def images() -> object:
        nonlocal most
        for number in range(500):
            most = max(most, number - len(taken()))
            yield EncodedImage(str(number), "train", number, partial(open_number, number))

    parts, _ = decode_all(images(), 500, None, ReadContext())  # type: ignore[arg-type]
    assert parts["train"].labels.tolist() == list(range(500))
    assert most < 500 / 2


def test_progress_ends_at_the_total() -> None:
    calls: list[tuple[int, int]] = []
    images = [encoded("same", picture(0))] * (5 * IMAGES_PER_PROGRESS_CALL)
    decode_all(images, 5 * IMAGES_PER_PROGRESS_CALL, None, ReadContext(lambda done, total: calls.append((done, total))))
    assert calls == [(IMAGES_PER_PROGRESS_CALL * i, 5 * IMAGES_PER_PROGRESS_CALL) for i in range(1, 6)]
