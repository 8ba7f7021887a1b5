"""Decoding: types of pixels, orientation and size of one image; order, progress, ranges and broken images of many."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageCms

from trainers.data.config import DataConfig
from trainers.data.decode import IMAGES_PER_PROGRESS_CALL, decode_all
from trainers.data.deep_colour import DeepImages, range_without_outliers
from trainers.data.description import describe
from trainers.data.pixels import EncodedImage
from trainers.data.prepared import prepare
from trainers.data.types import ImageSummary, ReadContext
from trainers.errors import DataError

SRGB, LAB = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")


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
    return EncodedImage(name, part, label, lambda: content)  # type: ignore[arg-type]


def decode_bytes(*contents: bytes, size: int | None = None) -> np.ndarray:
    """The pixels of images of one data set."""
    images = [encoded(str(number), content) for number, content in enumerate(contents)]
    return decode_all(images, len(images), size, ReadContext()).parts["train"].images


def decode_file(file: Path, size: int | None) -> np.ndarray:
    """The pixels of the image in `file`, the only one of its data set."""
    return (
        decode_all([EncodedImage(str(file), "train", 0, lambda: str(file))], 1, size, ReadContext())
        .parts["train"]
        .images[0]
    )


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    """`image` in the format `kind`."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "LAB"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    image = ImageCms.profileToProfile(picture(0), SRGB, LAB, outputMode="LAB") if mode == "LAB" else None
    image = picture(0).convert(mode) if image is None else image
    image.save(tmp_path / "x.tif")
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    decoded = decode_file(tmp_path / "x.tif", None)
    np.testing.assert_array_equal(decoded, expected)
    if mode in ("LAB", "YCbCr"):  # not the numbers of the other colour space
        assert np.abs(decoded.astype(int) - np.asarray(picture(0)).transpose(2, 0, 1)).mean() < 12


def test_a_cmyk_jpeg_of_photoshop_is_not_inverted() -> None:
    content = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpeg", quality=100)  # red; Pillow writes it inverted
    assert b"Adobe" in content
    red, green, blue = decode_bytes(content)[0].reshape(3, -1).mean(1)
    assert red > 250
    assert max(green, blue) < 5


class TestMoreThanEightBits:
    """Black and white are the least and the greatest value of the data set, but for outliers."""

    def test_the_range_is_that_of_all_images(self) -> None:
        dark, light = (np.arange(64, dtype=np.uint16).reshape(8, 8) + offset for offset in (1000, 2467))
        images = decode_bytes(*(save(Image.fromarray(pixels), "png") for pixels in (dark, light)))
        assert images.shape == (2, 1, 8, 8)
        expected = np.rint((np.stack([dark, light]).astype(float) - 1000) * 255 / 1530)
        np.testing.assert_array_equal(images[:, 0], expected)

    def test_1531_levels_keep_256(self) -> None:
        pixels = np.linspace(1000, 2530, 64 * 64).round().astype(np.uint16).reshape(64, 64)
        assert len(np.unique(decode_bytes(save(Image.fromarray(pixels), "png")))) == 256

    @pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
    def test_types_of_a_tiff(self, dtype: type, tmp_path: Path) -> None:
        levels = np.random.default_rng(0).integers(0, 4096, (8, 8))
        levels[0, :2] = 0, 4095
        values = levels.astype(dtype) if dtype is not np.float32 else (levels / 100 - 7).astype(dtype)
        Image.fromarray(values).save(tmp_path / "x.tif")
        decoded = decode_file(tmp_path / "x.tif", None)
        np.testing.assert_array_equal(decoded[0], np.rint(levels * 255 / 4095))

    def test_big_endian(self) -> None:
        values = np.random.default_rng(0).integers(0, 4096, (8, 8), dtype=np.uint16)
        content = save(Image.frombytes("I;16B", (8, 8), values.astype(">u2").tobytes()), "tiff")
        scaled = (values.astype(float) - values.min()) * 255 / (values.max() - values.min())
        np.testing.assert_array_equal(decode_bytes(content)[0, 0], np.rint(scaled))

    def test_netpbm(self) -> None:
        values = np.random.default_rng(0).integers(0, 65536, (8, 8), dtype=np.uint16)
        values[0, :2] = 0, 65535
        content = b"P5 8 8 65535 " + values.astype(">u2").tobytes()
        np.testing.assert_array_equal(decode_bytes(content)[0, 0], np.rint(values.astype(float) * 255 / 65535))

    @pytest.mark.parametrize("alpha", [False, True])
    @pytest.mark.parametrize("kind", ["png", "tif", "compressed tif"])
    def test_colour_keeps_the_lower_bytes(self, kind: str, alpha: bool) -> None:
        values = np.random.default_rng(0).integers(0, 4096, (8, 8, 4 if alpha else 3), dtype=np.uint16)
        values[0, 0, :3], values[0, 1, :3] = 0, 4095
        if alpha:
            values[..., 3] = 65535
        content = deep_png(values) if kind == "png" else deep_tiff(values, compressed=kind != "tif")
        expected = np.rint(values[..., :3].astype(float) * 255 / 4095).transpose(2, 0, 1)
        np.testing.assert_array_equal(decode_bytes(content)[0], expected)

    def test_transparent_colour_is_laid_over_white(self) -> None:
        values = np.random.default_rng(0).integers(0, 65536, (8, 8, 4), dtype=np.uint16)
        values[..., 3] = 65535
        values[0, 0] = 0
        values[1, 1, :3] = 0
        decoded = decode_bytes(deep_png(values))[0]
        assert decoded[:, 0, 0].tolist() == [255, 255, 255]
        assert decoded[:, 1, 1].tolist() == [0, 0, 0]

    def test_grey_and_coloured_images_of_8_and_16_bits_together(self) -> None:
        deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60
        colour = np.stack([deep, deep, deep[::-1]], -1)
        images = decode_bytes(
            save(Image.fromarray(deep), "png"),
            save(picture(0, mode="L"), "png"),
            deep_png(colour),
            save(picture(1), "png"),
        )
        scaled = np.rint(deep.astype(float) * 255 / 3780)
        np.testing.assert_array_equal(images[0], np.broadcast_to(scaled, (3, 8, 8)))
        np.testing.assert_array_equal(images[1], np.broadcast_to(np.asarray(picture(0, mode="L")), (3, 8, 8)))
        np.testing.assert_array_equal(images[2], np.stack([scaled, scaled, scaled[::-1]]))
        np.testing.assert_array_equal(images[3], np.asarray(picture(1)).transpose(2, 0, 1))

    def test_they_are_resized_before_they_are_rounded(self) -> None:
        # Of 4 levels out of 65536 the mean of a block may be any.
        values = np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint16), 32, 0), 32, 1)
        assert len(np.unique(decode_bytes(save(Image.fromarray(values), "png"), size=16))) > 4

    def test_images_of_one_value(self) -> None:
        images = decode_bytes(*[save(Image.fromarray(np.full((8, 8), 700, np.uint16)), "png")] * 2)
        assert (images == 0).all()

    @pytest.mark.parametrize("dtype", [np.uint16, np.float32])
    @pytest.mark.parametrize("outlier", [65535, 0])
    def test_an_outlier_takes_no_grey_levels(self, outlier: int, dtype: type) -> None:
        levels = np.random.default_rng(0).integers(0, 500, (16, 32, 32)) + 10_000
        expected = np.rint((levels - 10_000) * (255 / 499)).astype(int)
        levels[7, 3, 4] = outlier
        contents = [save(Image.fromarray(image.astype(dtype)), "tiff") for image in levels]
        parts = ["train"] * 12 + ["test"] * 4
        images = [encoded(str(n), contents[n], part=part) for n, part in enumerate(parts)]
        decoded = decode_all(images, len(images), None, ReadContext())
        pixels = np.concatenate([decoded.parts["train"].images, decoded.parts["test"].images])[:, 0].astype(int)
        assert pixels[7, 3, 4] == (255 if outlier else 0)
        pixels[7, 3, 4] = expected[7, 3, 4]
        assert np.abs(pixels - expected).max() <= 1  # the values beyond the percentile become 0 or 255
        end = np.sort(levels, axis=None)[-18 if outlier else 17]  # 0.1 % of 16384 pixels, rounded up, are beyond
        value_range = (10_000.0, float(end)) if outlier else (float(end), 10_499.0)
        assert [summary.value_range for summary in decoded.summaries.values()] == [value_range] * 2

    @pytest.mark.parametrize("floats", [1, 3])
    def test_floats_have_a_range_of_their_own(self, floats: int) -> None:
        levels = np.random.default_rng(0).integers(0, 4096, (4, 8, 8))
        levels[:, 0, :2] = 0, 4095
        contents = [save(Image.fromarray((image / 4095).astype(np.float32)), "tiff") for image in levels[:floats]]
        contents += [save(Image.fromarray(image.astype(np.uint16)), "png") for image in levels[floats:]]
        images = [encoded(str(number), content) for number, content in enumerate(contents)]
        decoded = decode_all(images, 4, None, ReadContext())
        np.testing.assert_array_equal(decoded.parts["train"].images[:, 0], np.rint(levels * (255 / 4095)))
        assert decoded.summaries["train"].value_range == ((0, 4095) if floats == 1 else (0, 1))

    def test_values_that_are_rare_and_not_far_from_the_others_stay(self) -> None:
        pixels = np.tile(np.arange(256, dtype=np.uint16), (32, 1))
        pixels[5, 5] = 900
        images = decode_bytes(save(Image.fromarray(pixels), "png"))
        np.testing.assert_array_equal(images[0, 0], np.rint(pixels.astype(float) * 255 / 900))

    def test_a_few_pixels_on_a_ground_of_one_value_stay(self) -> None:
        pixels = np.zeros((64, 64), np.float32)
        pixels[5, 5:7] = 0.001, 0.002
        images = decode_bytes(save(Image.fromarray(pixels), "tiff"))
        assert images[0, 0, 5, 4:8].tolist() == [0, 128, 255, 0]

    @given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=50))
    def test_percentiles_are_those_of_the_sorted_values(self, values: list[float]) -> None:
        ordered = sorted(values)
        low, high = ordered[1], ordered[-2]
        limit = 3 * (high - low)
        images = DeepImages(None)
        images.append(0, np.array(values, np.float32)[None, None], (ordered[0], ordered[-1]))
        is_low, is_high = 0 < limit < low - ordered[0], 0 < limit < ordered[-1] - high
        expected = low if is_low else ordered[0], high if is_high else ordered[-1]
        assert range_without_outliers([images]) == expected
        images.close()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite(self, value: float, tmp_path: Path) -> None:
        pixels = np.zeros((8, 8), np.float32)
        pixels[3, 3] = value
        Image.fromarray(pixels).save(tmp_path / "x.tif")
        with pytest.raises(DataError, match=r"x.tif: .*it holds pixels that are not finite numbers"):
            decode_file(tmp_path / "x.tif", None)


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of colour of 16 bits, which Pillow does not write."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, {3: 2, 4: 6}[channels], rows)


def deep_tiff(values: np.ndarray, *, compressed: bool) -> bytes:
    """A little-endian TIFF of colour of 16 bits in one strip, plain or deflated (TIFF 6.0)."""
    height, width, channels = values.shape
    data = values.astype("<u2").tobytes()
    data = zlib.compress(data) if compressed else data
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 0), (259, 3, 1, 8 if compressed else 1)]
    entries += [(262, 3, 1, 2), (273, 4, 1, 0), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(data))]
    entries += [(338, 3, 1, 2)] if channels == 4 else []
    after = 8 + 2 + 12 * len(entries) + 4
    values_at = {258: after, 273: after + 2 * channels}
    directory = b"".join(struct.pack("<HHII", tag, kind, n, values_at.get(tag, v)) for tag, kind, n, v in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    return head + struct.pack(f"<{channels}H", *[16] * channels) + data


class TestTransparency:
    """Transparent pixels are laid over white, or over black if nothing would be seen."""

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_over_white(self, mode: str) -> None:
        image = picture(0, mode=mode)
        values = np.asarray(image).astype(float)
        alpha = values[..., -1:] / 255
        expected = (values[..., :-1] * alpha + 255 * (1 - alpha)).transpose(2, 0, 1)
        assert np.abs(decode_bytes(save(image, "png"))[0] - expected).max() <= 1

    @pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
    def test_opaque_images_keep_their_colours(self, kind: str) -> None:
        image = picture(0)
        opaque = image.convert("RGBA")
        options = {"lossless": True} if kind == "webp" else {}
        np.testing.assert_array_equal(
            decode_bytes(save(opaque, kind, **options))[0], np.asarray(image).transpose(2, 0, 1)
        )

    def test_a_black_drawing_is_seen(self) -> None:
        decoded = decode_bytes(save(drawing(0), "png"))[0]
        assert sorted(np.unique(decoded)) == [0, 255]
        assert decoded[0, 3, 3] == 0

    def test_a_white_drawing_is_seen(self) -> None:
        decoded = decode_bytes(save(drawing(255), "png"))[0]
        assert sorted(np.unique(decoded)) == [0, 255]
        assert decoded[0, 3, 3] == 255

    def test_shapes_that_are_in_the_alpha_channel_alone_are_classes(self, tmp_path: Path) -> None:
        for number in range(6):
            for name, box in (("bar", (1, 1, 3, 10)), ("dot", (4, 4, 8, 8))):
                (tmp_path / "root" / name).mkdir(parents=True, exist_ok=True)
                image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
                image.paste((0, 0, 0, 255), tuple(value + number for value in box))
                image.save(tmp_path / "root" / name / f"{number}.png")
        info = describe(prepare(DataConfig(source="folder", path=tmp_path / "root"), tmp_path / "cache"))
        assert info.summaries["train"].transparent == 12
        assert info.std[0] > 0.1

    def test_nothing_at_all_is_white(self) -> None:
        assert (decode_bytes(save(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "png")) == 255).all()

    @pytest.mark.parametrize(("alpha", "note"), [(0, ", for all are transparent"), (255, "$")])
    def test_images_that_show_nothing_are_not_blamed_on_classes(self, alpha: int, note: str, tmp_path: Path) -> None:
        for number in range(6):
            for name in ("a", "b"):
                (tmp_path / "root" / name).mkdir(parents=True, exist_ok=True)
                Image.new("RGBA", (8, 8), (9, 9, 9, alpha)).save(tmp_path / "root" / name / f"{number}.png")
        config = DataConfig(source="folder", path=tmp_path / "root")
        with pytest.raises(
            DataError, match=rf"root: holds 12 train images that show nothing: all pixels are equal{note}"
        ):
            prepare(config, tmp_path / "cache")

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_a_transparent_colour(self, mode: str) -> None:
        image = picture(0).convert(mode)
        value = image.getpixel((2, 5))
        before = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        decoded = decode_bytes(save(image, "png", transparency=value))[0]
        key = np.array(value if mode == "RGB" else [value] * 3)
        is_key = (before == key[:, None, None]).all(0)
        np.testing.assert_array_equal(np.broadcast_to(decoded, (3, 8, 8)), np.where(is_key, 255, before))


def drawing(level: int) -> Image.Image:
    """A square of one grey level on a transparent ground."""
    image = Image.new("RGBA", (8, 8), (level, level, level, 0))
    image.paste((level, level, level, 255), (2, 2, 6, 6))
    return image


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


@pytest.mark.parametrize("transparency", [2, bytes([0, 128, 255, 7])])
def test_a_palette_with_transparency(transparency: int | bytes, tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 4, (8, 8), dtype=np.uint8)
    palette = np.array([[9, 8, 7], [200, 0, 3], [0, 150, 30], [255, 255, 1]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(palette.tobytes())
    image.putdata(indices.ravel().tolist())
    image.save(tmp_path / "x.png", transparency=transparency)
    opacities = [255, 255, 0, 255] if transparency == 2 else list(bytes([0, 128, 255, 7]))
    shares = np.array(opacities)[:, None] / 255
    expected = (palette * shares + 255 * (1 - shares))[indices].transpose(2, 0, 1)
    assert np.abs(decode_file(tmp_path / "x.png", None) - expected).max() <= 1


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG file of those `rows`."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2, b""))
    rule = r"bomb.png: is not an image that can be decoded \(.*decompression bomb.*at most 178956970 pixels, found 3600000000"
    with pytest.raises(DataError, match=rule):
        decode_file(tmp_path / "bomb.png", 32)


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
    decoded_parts = decode_all(images, len(images), None, ReadContext(), skip=True)
    parts, skipped = decoded_parts.parts, decoded_parts.skipped
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

    with pytest.raises(
        DataError,
        match=r"^secret.png: cannot be read \(Permission denied\); data.on_error=skip leaves such images out$",
    ):
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

    parts = decode_all(images(), 500, None, ReadContext()).parts  # type: ignore[arg-type]
    assert parts["train"].labels.tolist() == list(range(500))
    assert most < 500 / 2


def test_progress_ends_at_the_total() -> None:
    calls: list[tuple[int, int]] = []
    images = [encoded("same", picture(0))] * (5 * IMAGES_PER_PROGRESS_CALL)
    decode_all(images, 5 * IMAGES_PER_PROGRESS_CALL, None, ReadContext(lambda done, total: calls.append((done, total))))
    assert calls == [(IMAGES_PER_PROGRESS_CALL * i, 5 * IMAGES_PER_PROGRESS_CALL) for i in range(1, 6)]


def test_what_the_images_were_is_counted() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    rotated = Image.Exif()
    rotated[0x0112] = 6
    contents = [
        save(picture(0, (40, 20)), "jpeg"),
        save(picture(1, (30, 10)), "png", exif=rotated),  # 10 wide, 30 high when upright
        save(frames[0], "gif", save_all=True, append_images=frames[1:]),
        save(frames[0], "png", save_all=True, append_images=frames[1:]),
        save(frames[0], "webp", save_all=True, append_images=frames[1:]),
        save(frames[0], "tiff", save_all=True, append_images=frames[1:]),
        save(picture(2, mode="L"), "png"),
        save(Image.fromarray(np.array([[5, 900]] * 2, np.uint16)), "png"),
        save(drawing(0), "png"),
    ]
    images = [encoded(str(number), content) for number, content in enumerate(contents)]
    summary = decode_all(images, len(images), 8, ReadContext()).summaries["train"]
    assert summary == ImageSummary(
        count=9,
        width=(2, 8, 40),
        height=(2, 8, 30),
        modes={"RGB": 5, "P": 1, "L": 1, "I;16": 1, "RGBA": 1},
        formats={"PNG": 5, "JPEG": 1, "GIF": 1, "WEBP": 1, "TIFF": 1},
        transparent=1,
        multi_frame=4,
        uniform=4,
        value_range=(5.0, 900.0),
    )
    assert ImageSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary


def test_a_file_of_several_pages_gives_its_first(tmp_path: Path) -> None:
    pages = [picture(number) for number in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(decode_file(tmp_path / "x.tif", None), np.asarray(pages[0]).transpose(2, 0, 1))
