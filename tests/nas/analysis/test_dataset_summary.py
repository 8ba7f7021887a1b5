"""The summary of a data set says what is in it, and leaves out what an older description does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nas.analysis.dataset_summary import (
    SummaryRow,
    class_rows,
    find_majority,
    leak_warnings,
    passed_over,
    summary_rows,
)
from nas.formatting import dimensions
from nas.study.dataset import dataset_record
from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.data.types import ImageSummary, PassedOver


@pytest.fixture(scope="module")
def unbalanced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """40 images of "cat", 10 of "a dog", two of which are equal; nothing broken."""
    root = tmp_path_factory.mktemp("data") / "pets"
    for name, number in (("cat", 40), ("a dog", 10)):
        (root / name).mkdir(parents=True)
        for index in range(number):
            level = index + (100 if name == "cat" else 0) - (index == 9 and name != "cat")
            Image.new("L", (12, 8), level).save(root / name / f"{index:02d}.png")
    config = DataConfig(source="folder", path=root, image_size=8)
    return dataset_record(describe(prepare(config, tmp_path_factory.mktemp("cache"))))


def test_rows_name_images_classes_and_baseline(unbalanced: dict[str, Any]) -> None:
    rows = dict(summary_rows(unbalanced))
    assert rows["images"] == f"50 of {dimensions(8, 8, 1)}: 30 training, 10 validation, 10 test"
    assert rows["classes"] == "2: 'cat' 40 (80.0 %), 'a dog' 10 (20.0 %)"
    assert rows["baseline"] == "always answering 'cat' is right for 80.0 % of validation images"
    assert rows["equal images"] in {f"1 within {split}" for split in ("training", "validation", "test")}
    assert "broken" not in rows


def test_classes_are_counted_in_each_split(unbalanced: dict[str, Any]) -> None:
    rows = {row.name: row for row in class_rows(unbalanced)}
    assert rows["cat"].counts == (24, 8, 8)
    assert sum(rows["a dog"].counts) == 10
    assert (rows["cat"].share, rows["a dog"].share) == (0.8, 0.2)


def test_majority_is_that_of_the_validation_split(unbalanced: dict[str, Any]) -> None:
    counts = {"train": [0, 9], "val": [3, 1], "test": [1, 1]}
    majority = find_majority(unbalanced | {"class_names": ["x", "y"], "class_counts": counts})
    assert majority is not None
    assert (majority.class_name, majority.share) == ("x", 0.75)


def test_many_classes_name_the_largest_and_the_smallest(unbalanced: dict[str, Any]) -> None:
    names = [f"c{label}" for label in range(9)]
    counts = {"train": list(range(10, 19)), "val": 9 * [1], "test": 9 * [1]}
    rows = dict(summary_rows(unbalanced | {"class_names": names, "class_counts": counts, "num_classes": 9}))
    assert rows["classes"] == "9: 'c8' 20 (13.9 %), 'c7' 19 (13.2 %), 'c6' 18 (12.5 %), ... 'c0' 12 (8.3 %)"


def test_files_that_were_passed_over_or_broken_are_named(unbalanced: dict[str, Any]) -> None:
    files = PassedOver("train", "not an image", 130, ("a.ogg", "b\n.txt", "c", "d"))
    record = unbalanced | {"passed_over": [files.to_dict()], "skipped_count": 2, "skipped": ["x.png: is empty", "y"]}
    assert passed_over(record) == [files]
    rows = dict(summary_rows(record))
    assert rows["passed over"] == "130 in training: not an image (a.ogg, b\\n.txt, c, ...)"
    assert rows["broken"] == "2 images left out: x.png: is empty; y"


def test_files_of_one_and_of_several_sizes(unbalanced: dict[str, Any]) -> None:
    one = ImageSummary(5, (20, 20, 20), (10, 10, 10), {"L": 5}, {"PNG": 5})
    many = ImageSummary(
        1500, (8, 30, 900), (9, 20, 700), {"P": 100, "RGB": 1400}, {"PNG": 100, "JPEG": 1400}, transparent=7,
        multi_frame=1, uniform=2, value_range=(0.0, 4095.0),
    )  # fmt: skip
    rows = summary_rows(unbalanced | {"files": {"train": many.to_dict(), "test": one.to_dict()}})
    assert SummaryRow("test files", f"5 PNG; {dimensions(20, 10)} pixels; L 5") in rows
    sizes = f"{dimensions(8, 9)} to {dimensions(900, 700)} pixels (median {dimensions(30, 20)})"
    text = (
        f"1,400 JPEG, 100 PNG; {sizes}; RGB 1,400, P 100; 7 with transparency; "
        "1 of several frames, of which the first is read; 2 of a single colour; values 0 to 4095 become 0 to 255"
    )
    assert SummaryRow("training files", text) in rows


def test_leaks_are_sentences(unbalanced: dict[str, Any]) -> None:
    assert leak_warnings(unbalanced) == ()
    copies = {"count": 5, "examples": [["train/cat/0.png", "val/cat/0.png"]]}
    stored = {"within": {}, "across": {"train/val": copies}, "groups": {}, "conflicting": {"count": 0, "examples": []}}
    (sentence,) = leak_warnings(unbalanced | {"duplicates": stored})
    assert sentence.startswith("5 of 10 images (50.0 %) of the val split are also in the train split")
    rows = dict(summary_rows(unbalanced | {"duplicates": stored}))
    assert rows["equal images"] == "5 of validation also in training"


def test_a_description_of_version_0_1(unbalanced: dict[str, Any], tmp_path: Path) -> None:
    old_keys = ("name", "fingerprint", "image_size", "in_chans", "num_classes", "class_names", "train", "val", "test")
    old = {key: unbalanced[key] for key in old_keys}
    assert [label for label, _ in summary_rows(old)] == ["images", "classes"]
    assert (class_rows(old), find_majority(old), leak_warnings(old), passed_over(old)) == ([], None, (), [])
