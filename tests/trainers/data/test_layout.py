"""Layouts of folders: what is read as a part, as a class and as neither, and which path an error names."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from trainers.data import layout
from trainers.data.layout import find_layout, have_same_structure
from trainers.data.listing import NO_CLASS, NO_CLASSES, NO_PART, Listing, scan
from trainers.data.part_names import parts_of
from trainers.errors import DataError


def write(root: Path, *folders: str, count: int = 2) -> Path:
    """Write `count` images into each of the `folders` below `root`; names in braces stand for one folder each."""
    for number, folder in enumerate(name for pattern in folders for name in expand(pattern)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = np.random.default_rng([number, index]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{index}.png")
    return root


def expand(pattern: str) -> list[str]:
    """`a/{b,c}` as `a/b` and `a/c`."""
    start, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    names, _, end = rest.partition("}")
    return [text for name in names.split(",") for text in expand(start + name + end)]


def reasons(listing: Listing) -> dict[tuple[str | None, str], int]:
    """The number of files and folders passed over, by part and reason."""
    return {(record.part, record.reason): record.count for record in listing.passed_over}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Val", "Test"),
        ("TRAIN", "VALID", "TEST"),
        ("Training", "Validation", "Testing"),
        ("train", "dev", "test"),
        ("train", "eval", "test_set"),
        ("training_set", "validation_set", "test_set"),
        ("trainset", "valset", "testset"),
        ("TrainData", "ValData", "TestData"),
        ("train_images", "val_images", "test_images"),
        ("Train Images", "Val Images", "Test Images"),
        ("images-train", "images-dev", "images-test"),
        ("tr", "val", "te"),
        ("seg_train", "seg_dev", "seg_test"),
        ("asl_alphabet_train", "asl_alphabet_valid", "asl_alphabet_test"),
        ("train2017", "val2017", "test2017"),
        ("train", "val", "test1"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
        ("train/images", "val/images", "test/images"),
        ("Train/train", "Val/val", "Test/test"),
    ],
)
def test_names_of_parts(train: str, val: str, test: str, tmp_path: Path) -> None:
    write(tmp_path, *(f"{part}/{{cat,dog}}" for part in (train, val, test)))
    listing = scan(tmp_path)
    assert listing.class_names == ("cat", "dog")
    assert {part: {image.path.split("/")[-3] for image in images} for part, images in listing.parts.items()} == {
        "train": {Path(train).name},
        "val": {Path(val).name},
        "test": {Path(test).name},
    }
    assert listing.passed_over == ()


@pytest.mark.parametrize(
    "names", [["steam train", "car"], ["contest", "cat"], ["trained", "valley"], ["devil", "testify"]]
)
def test_names_that_are_no_parts(names: list[str]) -> None:
    assert parts_of(names) == {}


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (["{car,train,bus}"], ("bus", "car", "train")),
        (["{car,test,bus}"], ("bus", "car", "test")),
        (["{cat,val}"], ("cat", "val")),
        (["{cat,dog}/images"], ("cat", "dog")),
        (["cat/one/two", "dog"], ("cat", "dog")),
        (["normal/{p1,p2}", "ill/{p3,p4}"], ("ill", "normal")),
        (["cat/{2023,2024}", "dog"], ("cat", "dog")),
        (["cat", "cat/more", "dog"], ("cat", "dog")),
        (["{__background__,_x,.x,cat}"], (".x", "__background__", "_x", "cat")),
    ],
)
def test_classes(folders: list[str], classes: tuple[str, ...], tmp_path: Path) -> None:
    listing = scan(write(tmp_path, *folders))
    assert set(listing.class_names) == set(classes)
    assert list(listing.parts) == ["train"]
    assert listing.passed_over == ()


@pytest.mark.parametrize(
    ("folders", "rule"),
    [
        # A data set in a folder of its own.
        (["Dataset/{cat,dog}"], "ROOT: holds no folder of images itself; did you mean ROOT/Dataset?"),
        (["Dataset/train/{cat,dog}"], "ROOT: holds no folder of images itself; did you mean ROOT/Dataset?"),
        (["a/b/c/{cat,dog}"], "ROOT: holds no folder of images itself; did you mean ROOT/a/b/c?"),
        (["images/{train,val}/{cat,dog}"], "did you mean ROOT/images?"),
        (["x/Dataset/{Train,Test}/{cat,dog}"], "did you mean ROOT/x/Dataset?"),
        # A data set beside other folders of images.
        (["Dataset/{cat,dog}", "Examples"], "ROOT: can be read in two ways: as the classes 'Dataset', 'Examples', or"),
        (["Dataset/{cat,dog}", "Examples"], "or ROOT/Dataset is the data set with the classes 'cat', 'dog'"),
        (["Dataset/{cat,dog}", "Examples/{good,bad}"], "or ROOT/Dataset is the data set"),
        (["Dataset/{Train,Test}/{cat,dog}", "Examples"], "did you mean ROOT/Dataset?"),
        (["flowers/{rose,tulip}", "docs"], "or ROOT/flowers is the data set with the classes 'rose', 'tulip'"),
        (["{color,grayscale,segmented}/{cat,dog,fox}"], "or ROOT/grayscale is the data set with the classes 'cat', "),
        (["train/{cat,dog}", "{cat,dog}"], "or ROOT/train is the data set with the classes 'cat', 'dog'"),
        (["train/{2019,2020}", "{car,bus}"], "as the classes 'bus', 'car', 'train', or ROOT/train is the data set"),
        # Parts that are no parts.
        (
            ["{train,test}"],
            "ROOT/train: is called like a part; must hold a folder of images for each class, found images",
        ),
        (
            ["{Test,Val}/{cat,dog}"],
            r"ROOT: holds folders for parts, and none for the train part, found ['Test', 'Val']",
        ),
        (["{cat,dog}/{train,test}"], "ROOT/cat/train: is the folder of a part below that of a class"),
        (["{cat,dog}/{train,test}"], "must be the other way round: ROOT/train/cat"),
        (["{train1,train2}/{cat,dog}"], "ROOT: has two folders for the train split, found ['train1', 'train2']"),
        (["{fold1,fold2}/{cat,dog}"], "ROOT: can be read in two ways: as the classes 'fold1', 'fold2', or"),
        (["{train,Training,test}/{cat,dog}"], "ROOT: has two folders for the train split, found ['Training', 'train']"),
        (["{train,val,eval}/{cat,dog}"], "ROOT: has two folders for the val split, found ['eval', 'val']"),
        (
            ["train/{cat,dog}", "Dev/cat"],
            "ROOT/train/dog: class 'dog' is in train and not in Dev; each part must hold every class; leave others out",
        ),
    ],
)
def test_layouts_refused(folders: list[str], rule: str, tmp_path: Path) -> None:
    write(tmp_path, *folders)
    with pytest.raises(DataError) as caught:
        scan(tmp_path)
    assert rule in str(caught.value).replace(str(tmp_path), "ROOT")


@pytest.mark.parametrize("empty", ["test", "val/cat"])
def test_a_part_without_images(empty: str, tmp_path: Path) -> None:
    write(tmp_path, "train/{cat,dog}")
    (tmp_path / empty).mkdir(parents=True)
    with pytest.raises(DataError, match=rf"/{empty.partition('/')[0]}: is called like a part and holds no images"):
        scan(tmp_path)


def test_the_train_part_is_empty(tmp_path: Path) -> None:
    write(tmp_path, "test/{cat,dog}")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"/train: is called like a part; must hold .*found neither images nor such"):
        scan(tmp_path)


@pytest.mark.parametrize("test", ["test", "test/test", "Test_Images"])
def test_a_test_part_without_classes_is_passed_over(test: str, tmp_path: Path) -> None:
    listing = scan(write(tmp_path, "train/{cat,dog}", test, count=3))
    assert {part: len(images) for part, images in listing.parts.items()} == {"train": 6}
    assert reasons(listing) == {("test", NO_CLASSES): 3}
    assert listing.passed_over[0].names[0] == f"{test}/0.png"


def test_folders_and_images_beside_the_parts_are_passed_over(tmp_path: Path) -> None:
    listing = scan(write(tmp_path, "{train,test}/{cat,dog}", "seg_pred/seg_pred", "sample", ".", "train"))
    assert {part: len(images) for part, images in listing.parts.items()} == {"train": 4, "test": 4}
    assert reasons(listing) == {(None, NO_PART): 4, (None, NO_CLASS): 2, ("train", NO_CLASS): 2}


def test_images_beside_the_classes_are_passed_over(tmp_path: Path) -> None:
    listing = scan(write(tmp_path, "{cat,dog}", "."))
    assert reasons(listing) == {(None, NO_CLASS): 2}


class TestOutputOfSearches:
    """A study inside the folder of images, as `cd PHOTOS; nas search S data.path=.` makes it."""

    @pytest.mark.parametrize("study", ["runs/mine", "mine", "train/mine", "cat/mine", "runs/a/b/mine"])
    def test_a_study_is_left_out(self, study: str, tmp_path: Path) -> None:
        write(tmp_path, "{cat,dog}" if not study.startswith("train") else "train/{cat,dog}")
        before = scan(tmp_path)
        write(tmp_path, f"{study}/trials/00000", f"{study}/data")
        (tmp_path / study / "study.db").write_bytes(b"SQLite format 3")
        listing = scan(tmp_path)
        assert (listing.class_names, listing.parts) == (before.class_names, before.parts)
        assert sum(reasons(listing).values()) == 1

    @pytest.mark.parametrize("names", [["lock"], ["lock", "data/"], ["config.json", "model.safetensors"]])
    def test_a_study_that_has_just_begun_or_an_export(self, names: list[str], tmp_path: Path) -> None:
        write(tmp_path, "{cat,dog}")
        (tmp_path / "mine").mkdir()
        for name in names:
            (tmp_path / "mine" / name).mkdir() if name.endswith("/") else (tmp_path / "mine" / name).touch()
        assert scan(tmp_path).class_names == ("cat", "dog")


@pytest.mark.parametrize("inner", [("{0}x", "{0}y"), ("images", "{0}y"), ("images", "{0}x", "{0}y")])
def test_many_classes_with_folders_are_compared_in_linear_time(
    inner: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        for name in inner:
            folder = tmp_path / f"class{number}" / name.format(number)
            folder.mkdir(parents=True)
            (folder / "1.png").touch()
    comparisons = 0

    def count(*names: frozenset[str]) -> bool:
        nonlocal comparisons
        comparisons += 1
        return have_same_structure(*names)

    monkeypatch.setattr(layout, "have_same_structure", count)
    assert len(find_layout(tmp_path).parts["train"].class_folders) == 300
    assert comparisons < 600


def structures() -> st.SearchStrategy[list[set[str]]]:
    """Sets of names of folders, some of them alike."""
    return st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=2), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(structures())
def test_folders_of_the_same_structure_are_found(names: list[set[str]]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for number, inner in enumerate(names):
            for name in inner:
                (root / f"kind{number}" / name).mkdir(parents=True)
                (root / f"kind{number}" / name / "1.png").touch()
        alike = any(len(a & b) >= 2 and 2 * len(a & b) >= len(a | b) for a, b in combinations(names, 2))
        if alike:
            with pytest.raises(DataError, match="can be read in two ways"):
                find_layout(root)
        else:
            assert len(find_layout(root).parts["train"].class_folders) == len(names)
