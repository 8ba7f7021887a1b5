"""Folders of images: layouts, types of images, links, limits and the identity of the data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.decode import IMAGES_PER_PROGRESS_CALL
from trainers.data.listing import scan
from trainers.data.types import DecodedData, ReadContext
from trainers.errors import DataError


def picture(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """Random pixels; `size` is (width, height)."""
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode, 1)
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write(root: Path, folders: dict[str, int], suffix: str = ".png") -> Path:
    """Write folders with the given number of images, all different."""
    seed = 0
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            seed += 1
            picture(seed).save(root / folder / f"{number:03d}{suffix}")
    return root


def read(root: Path, **fields: object) -> DecodedData:
    """Decode the folder `root`."""
    config = DataConfig.model_validate({"source": "folder", "path": root, **fields})
    return sources.get("folder").locate(config).read(ReadContext())


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


def test_ignored_files_and_folders(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2, ".git": 1, "__MACOSX": 1})
    (tmp_path / "README.md").write_text("images of a and b")
    (tmp_path / "a" / "notes.txt").write_text("none")
    (tmp_path / "a" / "._000.png").write_bytes(b"resource fork")
    decoded = read(tmp_path)
    assert decoded.class_names == ("a", "b")
    assert len(decoded.parts["train"]) == 4


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".TIFF"])
def test_types_of_files(suffix: str, tmp_path: Path) -> None:
    write(tmp_path, {"a": 1, "b": 1}, suffix)
    images = read(tmp_path).parts["train"].images
    assert images.shape == (2, 3, 8, 8)
    if suffix in (".png", ".bmp", ".ppm", ".tif", ".TIFF"):  # those without loss
        np.testing.assert_array_equal(images[0], np.asarray(picture(1)).transpose(2, 0, 1))


def test_subfolders_and_links_but_no_circles(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"a/deep/deeper": 2, "b": 2})
    write(tmp_path, {"elsewhere": 3})
    (root / "b" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "circle").symlink_to(root / "b")
    (root / "a" / "deep" / "up").symlink_to("..")
    assert [image.label for image in scan(root).parts["train"]] == [0, 0, 1, 1, 1, 1, 1]


def test_a_broken_link(tmp_path: Path) -> None:
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
        for number in range(IMAGES_PER_PROGRESS_CALL // 2 + 20):
            picture(number, mode="L").save(tmp_path / name / f"{number:03d}.bmp")
    picture(1).save(tmp_path / "b" / "zzz.bmp")
    images = read(tmp_path).parts["train"].images
    assert images.shape == (IMAGES_PER_PROGRESS_CALL + 41, 3, 8, 8)
    np.testing.assert_array_equal(images[0], np.repeat(np.asarray(picture(0, mode="L"))[None], 3, 0))
    np.testing.assert_array_equal(images[-1], np.asarray(picture(1)).transpose(2, 0, 1))


def test_images_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    picture(0, (9, 8)).save(tmp_path / "b" / "wide.png")
    with pytest.raises(DataError, match=r"image_size: has to be given.*8x8 \(.*a/000.png\) and 8x9 \(.*wide.png\)"):
        read(tmp_path)
    assert read(tmp_path, image_size=8).parts["train"].images.shape == (5, 3, 8, 8)


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
        return sources.get("folder").locate(DataConfig(source="folder", path=root)).identity

    first = identity()
    assert identity() == first
    os.utime(root / "a" / "000.png", ns=(1, 1))
    touched = identity()
    assert touched != first
    (root / "a" / "000.png").rename(root / "a" / "zzz.png")
    assert identity() not in (first, touched)
