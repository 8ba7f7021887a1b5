"""Folders of images, written here: layouts, kinds of image, and everything that can be wrong with them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers import sources
from trainers.config import DataConfig
from trainers.decode import WAVE, read_all, read_image
from trainers.errors import DataError
from trainers.sources.base import Decoded
from trainers.sources.folder import scan


def picture(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """Random pixels; `size` is (width, height)."""
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode, 1)
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write(root: Path, folders: dict[str, int], suffix: str = ".png") -> Path:
    """Folders with that many images each, all of them different."""
    seed = 0
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            seed += 1
            picture(seed).save(root / folder / f"{number:03d}{suffix}")
    return root


def read(root: Path, **fields: object) -> Decoded:
    """Decode the folder `root`."""
    config = DataConfig.model_validate({"source": "folder", "path": root, **fields})
    return sources.get("folder").find(config).read(None)


def test_flat_layout(tmp_path: Path) -> None:
    write(tmp_path / "pets", {"dog": 3, "cat": 4})
    decoded = read(tmp_path / "pets")
    assert (decoded.name, decoded.class_names, list(decoded.parts)) == ("pets", ("cat", "dog"), ["train"])
    train = decoded.parts["train"]
    assert train.labels.tolist() == [0] * 4 + [1] * 3
    with Image.open(tmp_path / "pets/dog/001.png") as image:
        np.testing.assert_array_equal(train.images[5], np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_layout_with_parts(val: str, tmp_path: Path) -> None:
    counts = {"train": 4, val: 2, "test": 3}
    write(tmp_path, {f"{part}/{name}": count for part, count in counts.items() for name in ("a", "b")})
    decoded = read(tmp_path)
    assert {part: len(pictures) for part, pictures in decoded.parts.items()} == {"train": 8, "val": 4, "test": 6}
    assert decoded.parts["test"].labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    write(tmp_path, {"car": 3, "train": 3, "bus": 3})
    assert read(tmp_path).class_names == ("bus", "car", "train")


def test_what_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2, ".git": 1, "__MACOSX": 1})
    (tmp_path / "README.md").write_text("images of a and b")
    (tmp_path / "a" / "notes.txt").write_text("none")
    (tmp_path / "a" / "._000.png").write_bytes(b"resource fork")
    decoded = read(tmp_path)
    assert decoded.class_names == ("a", "b")
    assert len(decoded.parts["train"]) == 4


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".TIFF"])
def test_kinds_of_file(suffix: str, tmp_path: Path) -> None:
    write(tmp_path, {"a": 1, "b": 1}, suffix)
    images = read(tmp_path).parts["train"].images
    assert images.shape == (2, 3, 8, 8)
    if suffix in (".png", ".bmp", ".ppm", ".tif", ".TIFF"):  # those without loss
        np.testing.assert_array_equal(images[0], np.asarray(picture(1)).transpose(2, 0, 1))


def test_deeper_folders_and_links_but_no_circles(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"a/deep/deeper": 2, "b": 2})
    write(tmp_path, {"elsewhere": 3})
    (root / "b" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "circle").symlink_to(root / "b")
    (root / "a" / "deep" / "up").symlink_to("..")
    assert [image.label for image in scan(root).parts["train"]] == [0, 0, 1, 1, 1, 1, 1]


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"gone.png: cannot be read \(No such file or directory\)"):
        scan(tmp_path)


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    for index, mode in enumerate(["L", "LA"]):
        (tmp_path / mode).mkdir()
        picture(index, mode=mode).save(tmp_path / mode / "0.png")
    images = read(tmp_path).parts["train"].images
    assert images.shape == (2, 1, 8, 8)
    np.testing.assert_array_equal(images[0, 0], np.asarray(picture(0, mode="L")))


def test_one_coloured_image_after_many_grey_ones_makes_all_rgb(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(WAVE // 2 + 20):
            picture(number, mode="L").save(tmp_path / name / f"{number:03d}.bmp")
    picture(1).save(tmp_path / "b" / "zzz.bmp")
    images = read(tmp_path).parts["train"].images
    assert images.shape == (WAVE + 41, 3, 8, 8)
    np.testing.assert_array_equal(images[0], np.repeat(np.asarray(picture(0, mode="L"))[None], 3, 0))
    np.testing.assert_array_equal(images[-1], np.asarray(picture(1)).transpose(2, 0, 1))


def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 1, None)[0], pixels // 256)


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "1"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    image = picture(0, mode="RGBA") if mode == "RGBA" else picture(0).convert(mode)
    image.save(tmp_path / "x.tif")
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif", 3, None), expected)


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
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 3, None), scene.transpose(2, 0, 1))


def test_resized_by_the_shorter_side_and_cropped_about_the_centre(tmp_path: Path) -> None:
    # Left third red, middle green, right blue: of 48x16 only the middle square remains.
    pixels = np.zeros((16, 48, 3), np.uint8)
    for third in range(3):
        pixels[:, 16 * third : 16 * (third + 1), third] = 200
    for suffix in ("png", "jpg"):
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}")
    image = read_image(tmp_path / "x.png", 3, 8)
    assert image.shape == (3, 8, 8)
    inner = image[:, :, 1:-1]  # at the very edge the neighbour may shine in
    assert (np.abs(inner.astype(int) - np.array([0, 200, 0])[:, None, None]) < 16).all()


def test_a_large_jpeg_is_reduced_well(tmp_path: Path) -> None:
    smooth = picture(0, (8, 8)).resize((512, 512), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "x.jpg", quality=95)
    expected = np.asarray(smooth.resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1).astype(int)
    assert np.abs(read_image(tmp_path / "x.jpg", 3, 32) - expected).mean() < 2


def test_images_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    picture(0, (9, 8)).save(tmp_path / "b" / "wide.png")
    with pytest.raises(DataError, match=r"image_size: has to be given.*8x8 \(.*a/000.png\) and 8x9 \(.*wide.png\)"):
        read(tmp_path)
    assert read(tmp_path, image_size=8).parts["train"].images.shape == (5, 3, 8, 8)


def test_progress_ends_at_all(tmp_path: Path) -> None:
    write(tmp_path, {"a": 3, "b": 2})
    calls: list[tuple[int, int]] = []
    files = [image.path for image in scan(tmp_path).parts["train"]] * WAVE
    read_all(files, None, lambda done, total: calls.append((done, total)))
    assert calls == [(WAVE * i, 5 * WAVE) for i in range(1, 6)]


def test_a_limit_keeps_the_shares_of_classes_and_parts(tmp_path: Path) -> None:
    write(tmp_path, {"train/a": 16, "train/b": 8, "test/a": 8, "test/b": 4})
    decoded = read(tmp_path, limit=18)
    assert np.bincount(decoded.parts["train"].labels).tolist() == [8, 4]
    assert np.bincount(decoded.parts["test"].labels).tolist() == [4, 2]
    again = read(tmp_path, limit=18)
    np.testing.assert_array_equal(again.parts["train"].images, decoded.parts["train"].images)
    other = read(tmp_path, limit=18, seed=1)
    assert not np.array_equal(other.parts["train"].images, decoded.parts["train"].images)
    assert len(read(tmp_path, limit=1000).parts["train"]) == 24


def test_identity_follows_the_data(tmp_path: Path) -> None:
    root = write(tmp_path / "pets", {"a": 3, "b": 3})

    def identity() -> str:
        return sources.get("folder").find(DataConfig(source="folder", path=root)).identity

    first = identity()
    assert identity() == first
    os.utime(root / "a" / "000.png", ns=(1, 1))
    touched = identity()
    assert touched != first
    (root / "a" / "000.png").rename(root / "a" / "zzz.png")
    assert identity() not in (first, touched)


class TestBadFolders:
    """One clear error for each."""

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no folder of images"):
            scan(tmp_path)

    def test_images_without_classes(self, tmp_path: Path) -> None:
        picture(0).save(tmp_path / "x.png")
        with pytest.raises(DataError, match="holds no folder of images; one for each class is wanted"):
            scan(tmp_path)

    def test_one_class(self, tmp_path: Path) -> None:
        write(tmp_path, {"cat": 5})
        with pytest.raises(DataError, match="needs two classes at least, each in a folder, found 'cat'"):
            scan(tmp_path)

    def test_an_empty_class(self, tmp_path: Path) -> None:
        write(tmp_path, {"cat": 5, "dog": 0})
        (tmp_path / "dog" / "notes.txt").write_text("none yet")
        with pytest.raises(DataError, match=r"dog: holds no images \(kinds: jpg, jpeg, png,"):
            scan(tmp_path)

    def test_no_images_at_all(self, tmp_path: Path) -> None:
        write(tmp_path, {"cat": 0, "dog": 0})
        with pytest.raises(DataError, match="cat: holds no images"):
            scan(tmp_path)

    def test_a_class_that_the_test_part_lacks(self, tmp_path: Path) -> None:
        write(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1})
        with pytest.raises(DataError, match="test/b: is in one of the train, val and test folders and not in another"):
            scan(tmp_path)

    def test_a_class_that_only_the_test_part_has(self, tmp_path: Path) -> None:
        write(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, "test/c": 1})
        with pytest.raises(DataError, match="test/c: is in one of"):
            scan(tmp_path)

    def test_two_validation_folders(self, tmp_path: Path) -> None:
        write(tmp_path, {f"{part}/{name}": 1 for part in ("train", "val", "valid") for name in "ab"})
        with pytest.raises(DataError, match=r"has two folders for the val split, found \['val', 'valid'\]"):
            scan(tmp_path)

    def test_zero_bytes(self, tmp_path: Path) -> None:
        write(tmp_path, {"a": 2, "b": 2})
        (tmp_path / "b" / "001.png").write_bytes(b"")
        with pytest.raises(DataError, match=r"b/001.png: is an image file of 0 bytes"):
            scan(tmp_path)

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp"])
    def test_truncated(self, suffix: str, tmp_path: Path) -> None:
        write(tmp_path, {"a": 2, "b": 2})
        broken = tmp_path / "b" / f"broken{suffix}"
        picture(3, (64, 64)).resize((8, 8)).save(broken)
        broken.write_bytes(broken.read_bytes()[:-40])
        with pytest.raises(DataError, match=rf"b/broken{suffix}: is not an image that can be decoded \(.+\)") as caught:
            read(tmp_path)
        assert str(caught.value).count(str(tmp_path)) == 1  # the file is named once

    @pytest.mark.parametrize("name", ["a/000.png", "b/001.png"])
    def test_not_an_image(self, name: str, tmp_path: Path) -> None:
        write(tmp_path, {"a": 2, "b": 2})
        (tmp_path / name).write_text("<html>404</html>")
        with pytest.raises(DataError, match=rf"{name}: is not an image that can be decoded"):
            read(tmp_path)

    def test_removed_between_listing_and_reading(self, tmp_path: Path) -> None:
        write(tmp_path, {"a": 2, "b": 2})
        found = sources.get("folder").find(DataConfig(source="folder", path=tmp_path))
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(DataError, match=r"a/000.png: is not an image that can be decoded"):
            found.read(None)
