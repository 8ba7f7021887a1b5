"""Broken folders of images: each gives one clear error that names the place; or, with `on_error: skip`, is left out."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from trainers.data import earlier_listing, listing, sources
from trainers.data.config import DataConfig
from trainers.data.description import DatasetInfo, describe
from trainers.data.earlier_listing import scan_as_before
from trainers.data.folder_tree import LINK_UPWARDS
from trainers.data.listing import MIN_CLASSES_TO_COUNT, ImageFile, Listing, image_file, scan
from trainers.data.prepared import prepare
from trainers.data.types import READING_VERSION, DecodedData, PassedOver, ReadContext
from trainers.errors import DataError, DiskError


def picture(seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Random colours; `size` is (width, height)."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def write(root: Path, folders: dict[str, int]) -> Path:
    """Write folders with the given number of images, all different."""
    seed = 0
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            seed += 1
            picture(seed).save(root / folder / f"{number:03d}.png")
    return root


def read(root: Path, **fields: object) -> DecodedData:
    """Decode the folder `root`."""
    config = DataConfig.model_validate({"source": "folder", "path": root, **fields})
    return sources.get("folder").locate(config).read(ReadContext())


def prepared(root: Path, **fields: object) -> DatasetInfo:
    """Prepare the folder `root` and describe the file."""
    config = DataConfig.model_validate({"source": "folder", "path": root, **fields})
    return describe(prepare(config, root.parent / "cache"))


def test_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no folder of images"):
        scan(tmp_path)


def test_images_without_classes(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="holds no folder of images; must hold one for each class"):
        scan(tmp_path)


def test_one_class(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 5})
    with pytest.raises(DataError, match="must hold at least two classes, each in a folder, found 'cat'"):
        scan(tmp_path)


def test_an_empty_class(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 5, "dog": 0})
    (tmp_path / "dog" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"dog: holds no images \(types: jpg, jpeg, png,"):
        scan(tmp_path)


def test_no_images_at_all(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 0, "dog": 0})
    with pytest.raises(DataError, match="cat: holds no images"):
        scan(tmp_path)


def test_a_class_that_the_test_part_lacks(tmp_path: Path) -> None:
    write(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1})
    rule = "/train/b: class 'b' is in train and not in test; each part must hold every class; leave others out"
    with pytest.raises(DataError, match=rule):
        scan(tmp_path)
    assert scan(
        write(tmp_path / "more", {"train/a": 1, "train/b": 1, "train/c": 1, "test/a": 1, "test/b": 1}),
        classes=["a", "b"],
    )


def test_a_class_that_only_the_test_part_has(tmp_path: Path) -> None:
    write(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1, "test/c": 1})
    with pytest.raises(DataError, match="/test/c: class 'c' is in test and not in train; each part"):
        scan(tmp_path)


def test_many_classes_that_a_part_lacks(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"seg_train/seg_train/a": 1, **{f"seg_train/seg_train/{i}": 1 for i in range(12)}, "seg_test/seg_test/a": 1},
    )
    write(tmp_path, {"seg_test/seg_test/z": 1})
    rule = r"seg_train/0: classes '0', '1', '2', '3', ... \(12 in all\) are in seg_train/seg_train and not in seg_test/seg_test;"
    with pytest.raises(DataError, match=rule):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("name", "other"), [("A", "a"), ("0", "00"), ("class_07", "class_7"), ("caf\u00e9", "cafe\u0301"), ("x", "x ")]
)
def test_a_class_that_is_called_nearly_the_same_in_another_part(name: str, other: str, tmp_path: Path) -> None:
    write(tmp_path, {"train/b": 1, f"train/{name}": 1, "test/b": 1, f"test/{other}": 1})
    rule = rf"/train/{name}: class '{name}' is in train and not in test; test has '{other}': is it the same class as '{name}'\?$"
    with pytest.raises(DataError, match=rule):
        scan(tmp_path)


def test_two_validation_folders(tmp_path: Path) -> None:
    write(tmp_path, {f"{part}/{name}": 1 for part in ("train", "val", "valid") for name in "ab"})
    with pytest.raises(DataError, match=r"has two folders for the val split, found \['val', 'valid'\]"):
        scan(tmp_path)


def test_zero_bytes(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "b" / "001.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b/001.png: is an image file of 0 bytes"):
        scan(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp"])
def test_truncated(suffix: str, tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    broken = tmp_path / "b" / f"broken{suffix}"
    picture(3, (64, 64)).resize((8, 8)).save(broken)
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"b/broken{suffix}: is not an image that can be decoded \(.+\)") as caught:
        read(tmp_path)
    assert str(caught.value).count(str(tmp_path)) == 1  # the file is named once


@pytest.mark.parametrize("name", ["a/000.png", "b/001.png"])
def test_not_an_image(name: str, tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    (tmp_path / name).write_text("<html>404</html>")
    with pytest.raises(DataError, match=rf"{name}: is not an image that can be decoded"):
        read(tmp_path)


def test_removed_between_listing_and_reading(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    found = sources.get("folder").locate(DataConfig(source="folder", path=tmp_path))
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(DataError, match=r"a/000.png: cannot be read \(No such file or directory\)"):
        found.read(ReadContext())


def test_a_class_without_images(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 3, "dog": 0, "__pycache__": 1})
    for name in (".DS_Store", ".hidden.png", "labels.csv", "weights.npz", "Thumbs.db"):
        (tmp_path / "dog" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"dog: holds no images"):
        scan(tmp_path)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    refuse(monkeypatch, os, "scandir", tmp_path / "b")  # permissions do not stop root, who may run this
    for skip in (False, True):  # a whole folder is never left out
        with pytest.raises(DataError, match=r"/b: cannot be read \(Permission denied\)"):
            scan(tmp_path, skip=skip)


@pytest.mark.parametrize("folder", ["b", "b/inner"])
def test_a_folder_of_which_no_file_may_be_looked_for(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a": 2, "b": 2, "b/inner": 1})
    refuse(monkeypatch, Path, "exists", tmp_path / folder / "study.db")  # which does not exist
    with pytest.raises(DataError, match=rf"/{folder}: cannot be read \(Permission denied\)$"):
        scan(tmp_path)


def test_a_root_that_may_not_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "root", {"a": 2, "b": 2})
    refuse(monkeypatch, Path, "exists", root)
    with pytest.raises(DataError, match=r"/root: cannot be read \(Permission denied\)$"):
        scan(root)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "root", {"a": 4, "b": 4})
    refuse(monkeypatch, Image, "open", tmp_path / "root" / "b" / "001.png")
    with pytest.raises(
        DataError, match=r"b/001.png: cannot be read \(Permission denied\); data.on_error=skip leaves such images out$"
    ):
        read(tmp_path / "root")
    assert prepared(tmp_path / "root", on_error="skip").skipped_count == 1


def refuse(monkeypatch: pytest.MonkeyPatch, module: object, name: str, place: Path) -> None:
    """Make the function `name` of `module` raise a PermissionError for `place`."""
    call: Callable[..., object] = getattr(module, name)

    def refusing(path: object, **options: object) -> object:
        if Path(str(path)) == place:
            raise PermissionError(13, "Permission denied", str(place))
        return call(path, **options)

    monkeypatch.setattr(module, name, refusing)


@pytest.mark.parametrize("target", ["self.png", "nowhere.png"])
def test_circular_and_broken_links(target: str, tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "self.png").symlink_to(tmp_path / "a" / target)
    with pytest.raises(DataError, match=r"a/self.png: cannot be read \((Too many levels|No such file)"):
        scan(tmp_path)
    listing = scan(tmp_path, skip=True)
    assert len(listing.parts["train"]) == 4
    assert len(listing.skipped) == 1


def test_a_path_that_is_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match=r"loop: no such folder"):
        read(tmp_path / "loop")


def test_folders_that_link_to_each_other_are_walked_once(tmp_path: Path) -> None:
    # Each of twelve folders links to all of them: there are 12! ways through, and 24 images.
    names = [f"{i:02d}" for i in range(12)]
    write(tmp_path / "root", {**{f"a/{name}": 2 for name in names}, "b": 2})
    for name in names:
        for other in names:
            (tmp_path / "root" / "a" / name / f"to_{other}").symlink_to(tmp_path / "root" / "a" / other)
    assert np.bincount([image.label for image in scan(tmp_path / "root").parts["train"]]).tolist() == [24, 2]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("up", "."),
        ("up", ".."),
        ("a/up", "."),
        ("a/up", ".."),
        ("a/up", "../.."),
        ("a/inner/up", ".."),
        ("a/inner/up", "../.."),
    ],
)
def test_links_to_a_folder_that_contains_them_are_passed_over(
    place: str, target: str, absolute: bool, tmp_path: Path
) -> None:
    root = write(tmp_path / "root", {"a": 2, "a/inner": 1, "b": 2})
    (root / place).symlink_to(((root / place).parent / target).resolve() if absolute else target)
    listing = scan(root)
    assert listing.class_names == ("a", "b")
    assert [image.label for image in listing.parts["train"]] == [0, 0, 0, 1, 1]
    part = None if place == "up" else "train"
    assert listing.passed_over == (PassedOver(part, LINK_UPWARDS, 1, (f"{place}/",)),)


def test_links_upwards_through_the_link_of_a_class(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"b": 2})
    away = write(tmp_path / "away", {"a": 2, "other": 2})
    (root / "a").symlink_to(away / "a")
    (away / "a" / "beside").symlink_to("..")  # where the images are
    (away / "a" / "back").symlink_to(root)  # where the link of the class is
    listing = scan(root)
    assert [image.label for image in listing.parts["train"]] == [0, 0, 1, 1]
    assert listing.passed_over == (PassedOver("train", LINK_UPWARDS, 2, ("a/back/", "a/beside/")),)


def test_links_to_other_folders_are_followed(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"a": 2, "b": 2})
    (root / "a" / "more").symlink_to(write(tmp_path / "away", {"a": 1}) / "a")
    assert [image.label for image in scan(root).parts["train"]] == [0, 0, 0, 1, 1]


def test_a_folder_and_a_pipe_called_like_images(tmp_path: Path) -> None:
    write(tmp_path, {"a/folder.png": 2, "b": 2})
    assert len(scan(tmp_path).parts["train"]) == 4
    os.mkfifo(tmp_path / "b" / "pipe.png")  # to open it would wait for ever
    with pytest.raises(DataError, match=r"b/pipe.png: has the name of an image and is not a file"):
        scan(tmp_path)


@pytest.mark.parametrize("name", ["été", "猫", "a b", "a'b\"c", "line\nbreak", "-rf", "%s{x}"])
def test_odd_names(name: str, tmp_path: Path) -> None:
    root = write(tmp_path / name, {name: 4, "other": 4})
    (root / name / "000.png").rename(root / name / f"{name}.png")
    about = prepared(root)
    assert set(about.class_names) == {name, "other"}
    assert about.name == name
    (root / name / f"{name}.png").write_bytes(b"broken")
    with pytest.raises(DataError) as caught:
        prepared(root)
    assert len(str(caught.value).splitlines()) == 1  # a line end in a name is told as \\n
    str(caught.value).encode()


def test_a_class_whose_name_is_not_utf8(tmp_path: Path) -> None:
    write(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "b").rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")))
    with pytest.raises(DataError, match="has a name that is not UTF-8") as caught:
        scan(tmp_path)
    assert "\\\\udcff" in ascii(str(caught.value))


@pytest.mark.parametrize("parts", [("",), ("train/", "val/"), ("train/", "val/", "test/")])
def test_an_image_in_a_folder_of_its_own(parts: tuple[str, ...], tmp_path: Path) -> None:
    each = 3 - len(parts)  # one image too few in each, or none
    write(tmp_path, {f"{part}{i:06d}": max(1, each) for i in range(MIN_CLASSES_TO_COUNT) for part in parts})
    if each == 0:
        assert len(scan(tmp_path).class_names) == MIN_CLASSES_TO_COUNT
        return
    wanted = rf"must hold a folder for each class, with {each + 1} images or more, .*found {MIN_CLASSES_TO_COUNT} folders with"
    with pytest.raises(DataError, match=wanted):
        scan(tmp_path)


def test_two_classes_of_the_same_images(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cat": 5, "dog": 6})
    shutil.copytree(root / "cat", root / "copy of cat")
    with pytest.raises(
        DataError, match=r"^class 'copy of cat': has the same images as class 'cat'; must differ from it$"
    ):
        prepared(root)
    picture(99).save(root / "copy of cat" / "another.png")
    assert prepared(root).num_classes == 3


def test_own_sizes_out_of_range(tmp_path: Path) -> None:
    for number, name in enumerate("aabb"):
        (tmp_path / name).mkdir(exist_ok=True)
        picture(number, (1, 1)).save(tmp_path / name / f"{number}.png")
    with pytest.raises(DataError, match=r"image_size: has to be given, 4 to 1024, .*own size is 1x1 \(.*a/0.png\)"):
        read(tmp_path)


class TestSkip:
    """`on_error: skip`."""

    def test_broken_images_are_left_out_and_named(self, tmp_path: Path) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 10})
        (root / "a" / "003.png").write_bytes((root / "a" / "003.png").read_bytes()[:-30])
        (root / "b" / "004.png").write_text("<html>404</html>")
        (root / "b" / "005.png").write_bytes(b"")
        (root / "b" / "006.png").unlink()
        (root / "b" / "006.png").symlink_to("gone.png")
        with pytest.raises(DataError, match=r"b/005.png: is an image file of 0 bytes"):
            prepared(root)
        about = prepared(root, on_error="skip")
        assert sum(about.counts.values()) == 16
        assert tuple(np.bincount(read(root, on_error="skip").parts["train"].labels)) == (9, 7)
        assert about.skipped_count == 4
        assert [line.partition(":")[0].removeprefix(f"{root}/") for line in sorted(about.skipped)] == [
            "a/003.png",
            "b/004.png",
            "b/005.png",
            "b/006.png",
        ]
        warning = about.warning(shown=3)
        assert warning is not None
        assert warning.startswith("4 of 20 images of root are broken and left out: ")
        assert warning.endswith("; and 1 more")
        assert warning.count(str(root)) == 3

    def test_the_images_are_those_of_a_folder_without_the_broken_ones(self, tmp_path: Path) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 10})
        (root / "b" / "004.png").write_text("<html>404</html>")
        left_out = prepared(root, on_error="skip")
        (root / "b" / "004.png").unlink()
        whole = prepared(root)
        assert left_out.fingerprint == whole.fingerprint
        assert whole.skipped == ()
        assert whole.warning() is None

    def test_a_repaired_file_is_used(self, tmp_path: Path) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 10})
        (root / "b" / "004.png").write_bytes(b"")
        assert prepared(root, on_error="skip").counts["train"] == 11
        picture(77).save(root / "b" / "004.png")
        assert prepared(root, on_error="skip").skipped_count == 0

    def test_a_class_without_good_images(self, tmp_path: Path) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 3})
        for file in (root / "b").iterdir():
            file.write_bytes(b"broken")
        with pytest.raises(
            DataError, match=r"class 'b': has no image for the train split \(3 broken .*left out\).*found 0"
        ):
            prepared(root, on_error="skip")
        for file in (root / "b").iterdir():
            file.write_bytes(b"")
        with pytest.raises(DataError, match=r"/b: holds no images"):
            prepared(root, on_error="skip")

    def test_data_without_good_images(self, tmp_path: Path) -> None:
        root = write(tmp_path / "root", {"a": 3, "b": 3})
        for file in root.glob("*/*.png"):
            file.write_bytes(b"broken")
        with pytest.raises(DataError, match=r"root: holds no train image that can be decoded; 6 .*left out.*a/000.png"):
            prepared(root, on_error="skip")
        assert list((tmp_path / "cache").iterdir()) == []


class TestTroubleOfTheMachine:
    """Too many open files, or a disk that fails: no image is broken, so none is left out."""

    @pytest.fixture(params=[errno.EMFILE, errno.EIO, errno.ENOMEM, errno.ESTALE])
    def error(self, request: pytest.FixtureRequest) -> OSError:
        return OSError(request.param, os.strerror(request.param))

    @pytest.mark.parametrize("reading_version", [1, READING_VERSION])
    def test_decoding(
        self, reading_version: int, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 10})
        open_file = Image.open

        def fail(file: str, **options: Any) -> Image.Image:
            if file.endswith("b/004.png"):
                raise error
            return open_file(file, **options)

        monkeypatch.setattr(Image, "open", fail)
        config = DataConfig(source="folder", path=root, on_error="skip")
        with pytest.raises(DiskError, match=rf"b/004.png: cannot be read \({error.strerror}\)$"):
            prepare(config, tmp_path / "cache", reading_version=reading_version)
        assert list((tmp_path / "cache").iterdir()) == []

    @pytest.mark.parametrize("scan_folder", [scan, scan_as_before])
    def test_listing(
        self, scan_folder: Callable[..., Listing], error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 10})
        entry = Mock(spec=os.DirEntry, path=f"{root}/b/000.png")
        entry.stat.side_effect = error
        listed = image_file

        def fail(other: os.DirEntry[str], label: int) -> ImageFile:
            return listed(entry if other.path == entry.path else other, label)

        for module in (listing, earlier_listing):
            monkeypatch.setattr(module, "image_file", fail)
        with pytest.raises(DiskError, match=rf"000.png: cannot be read \({error.strerror}\)$"):
            scan_folder(root, skip=True)

    def test_looking_at_the_first_bytes(self, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = write(tmp_path / "root", {"a": 10, "b": 10})
        (root / "b" / "000.png").rename(root / "b" / "photo")
        open_file = os.open

        def fail(path: str, *arguments: Any) -> int:
            if str(path).endswith("/photo"):
                raise error
            return open_file(path, *arguments)

        monkeypatch.setattr(os, "open", fail)
        with pytest.raises(DiskError, match=rf"cannot be read \({error.strerror}\)$"):
            scan(root, skip=True)
