"""`data.classes` names the folders that are read as classes; it decides where a folder can be read in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.listing import NOT_CHOSEN, scan
from trainers.data.prepared import prepare
from trainers.errors import DataError


def fill(folder: Path, number: int = 4) -> None:
    """Images of `number` levels of grey, others in each folder."""
    folder.mkdir(parents=True)
    first = sum(map(ord, str(folder))) % 200
    for index in range(number):
        Image.new("L", (8, 8), first + index).save(folder / f"{index}.png")


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """`animals` holds folders alone, `sports` images, `toys` both and a folder in a folder; `rare` has one image."""
    root = tmp_path / "stamps"
    for name in ("animals/birds", "animals/cats", "sports", "toys", "toys/wood/old"):
        fill(root / name)
    fill(root / "rare", 1)
    return root


def test_two_readings_are_an_error_that_names_the_setting(stamps: Path) -> None:
    with pytest.raises(DataError, match="can be read in two ways") as error:
        scan(stamps)
    assert "or the classes: data.classes=[animals, rare, sports, toys]" in str(error.value)


def test_named_classes_are_read_with_all_images_below_and_others_are_passed_over(stamps: Path) -> None:
    listing = scan(stamps, classes=("toys", "animals", "sports"))
    assert listing.class_names == ("animals", "sports", "toys")
    labels = [image.label for image in listing.parts["train"]]
    assert [labels.count(label) for label in range(3)] == [8, 4, 8]
    (left_out,) = [files for files in listing.passed_over if files.reason == NOT_CHOSEN]
    assert (left_out.count, left_out.names) == (1, ("rare/",))


def test_classes_of_parts_are_named_likewise(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        for name in ("cat", "dog", "fish"):
            fill(tmp_path / "pets" / part / name)
    listing = scan(tmp_path / "pets", classes=("fish", "cat"))
    assert listing.class_names == ("cat", "fish")
    assert {part: len(images) for part, images in listing.parts.items()} == {"train": 8, "test": 8}
    left_out = {files.part: files.names for files in listing.passed_over}
    assert left_out == {"train": ("Train/dog/",), "test": ("Test/dog/",)}


def test_a_class_that_is_no_folder_names_those_that_are(stamps: Path) -> None:
    with pytest.raises(
        DataError, match=r"classes: must be folders of images in .*\(animals, rare, sports, toys\), found 'bird'"
    ):
        scan(stamps, classes=("bird", "sports"))


def test_the_choice_is_part_of_the_identity_and_its_order_is_not(stamps: Path, tmp_path: Path) -> None:
    def config(*classes: str) -> DataConfig:
        return DataConfig(source="folder", path=stamps, classes=classes)

    all_three = prepare(config("animals", "sports", "toys"), tmp_path / "cache")
    assert prepare(config("toys", "sports", "animals"), tmp_path / "cache") == all_three
    two = prepare(config("animals", "toys"), tmp_path / "cache")
    assert (describe(two).class_names, len(load(two).train)) == (("animals", "toys"), 8)
    assert two != all_three


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["a"]}, "at least 2"),
        ({"classes": ["a", "a"]}, "must name each class once"),
        ({"source": "digits", "path": None, "classes": ["0", "1"]}, "source 'digits' has no such option"),
    ],
)
def test_wrong_choices(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate({"source": "folder", "path": "x", **settings})


def test_an_error_shows_the_blanks_of_folder_names(tmp_path: Path) -> None:
    for name in (" cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "0.png")
    config = DataConfig.model_validate({"source": "folder", "path": tmp_path, "classes": ["cat", "dog"]})
    with pytest.raises(DataError, match=r"\(' cat', dog\), found 'cat'"):
        prepare(config, tmp_path / "cache")
