"""Equal images: counted within splits, across them and with several labels; named, kept in the file, and warned about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.duplicates import MAX_EXAMPLES, Copies, Duplicates, SplitImages, find_duplicates
from trainers.data.prepared import prepare
from trainers.data.types import PARTS, Part


def write_images(root: Path, names: dict[str, list[int]]) -> Path:
    """For each class, images whose pixels are given by a number each."""
    for name, numbers in names.items():
        (root / name).mkdir(parents=True)
        for position, number in enumerate(numbers):
            pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{position:04d}.png")
    return root


def duplicates_of(root: Path, **fields: object) -> Duplicates:
    file = prepare(DataConfig.model_validate({"source": "folder", "path": root, **fields}), root.parent / "cache")
    duplicates = describe(file).duplicates
    assert duplicates is not None
    return duplicates


def find(splits: dict[Part, list[tuple[int, int]]]) -> Duplicates:
    """The duplicates among images given by a number, which stands for their pixels, and a label."""
    described: dict[Part, SplitImages] = {}
    for part, images in splits.items():
        rows = np.array(sorted(range(len(images)), key=lambda row: images[row]), np.int64)
        described[part] = SplitImages(
            rows,
            lambda row, images=images: images[row][0].to_bytes(2, "big"),  # type: ignore[misc]
            lambda row, images=images: images[row][1],  # type: ignore[misc]
            lambda row, part=part: f"{part}{row}",  # type: ignore[misc]
        )
    return find_duplicates(described)


def test_counts_and_names_by_hand() -> None:
    found = find({"train": [(7, 0), (1, 0), (7, 0), (2, 1)], "val": [(7, 0), (7, 1), (3, 0)], "test": [(2, 1)]})
    assert found.within == {
        "train": Copies(1, (("train0", "train2"),)),
        "val": Copies(1, (("val0", "val1"),)),
    }
    assert found.across == {
        ("train", "val"): Copies(2, (("train0", "val0"),)),
        ("train", "test"): Copies(1, (("train3", "test0"),)),
    }
    assert found.conflicting == Copies(4, (("train0", "val1"),))  # an image of each label


def test_data_without_copies_have_no_counts() -> None:
    found = find({"train": [(1, 0)], "val": [(2, 0)], "test": [(3, 0)]})
    assert found == Duplicates()
    assert found.warnings({"train": 1, "val": 1, "test": 1}) == ()


images = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=20)


@settings(max_examples=100)
@given(train=images, val=images, test=images)
def test_counts_against_sets(
    train: list[tuple[int, int]], val: list[tuple[int, int]], test: list[tuple[int, int]]
) -> None:
    splits: dict[Part, list[tuple[int, int]]] = {"train": train, "val": val, "test": test}
    found = find(splits)
    pixels = {part: [number for number, _ in members] for part, members in splits.items()}
    for part in PARTS:
        surplus = len(pixels[part]) - len(set(pixels[part]))
        assert found.within.get(part, Copies()).count == surplus
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = sum(number in pixels[first] for number in pixels[second])  # type: ignore[index]
        assert found.across.get((first, second), Copies()).count == shared  # type: ignore[call-overload]
    every = [*train, *val, *test]
    labels = {number: {label for other, label in every if other == number} for number, _ in every}
    assert found.conflicting.count == sum(len(labels[number]) > 1 for number, _ in every)
    for copies in (*found.within.values(), *found.across.values(), found.conflicting):
        assert len(copies.examples) <= MAX_EXAMPLES
    assert Duplicates.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_identical_folders_are_a_leak_with_counts_and_names(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_images(root / "train", {"cat": list(range(4)), "dog": list(range(10, 14))})
    for part in ("val", "test"):
        shutil.copytree(root / "train", root / part)
    found = duplicates_of(root)
    assert {pair: copies.count for pair, copies in found.across.items()} == {
        ("train", "val"): 8, ("train", "test"): 8, ("val", "test"): 8,
    }  # fmt: skip
    names = {"/".join(name.split("/")[1:]) for pair in found.across[("train", "val")].examples for name in pair}
    assert names <= {f"{folder}/{number:04d}.png" for folder in ("cat", "dog") for number in range(4)}
    for first, second in found.across[("train", "val")].examples:
        assert (first.split("/")[0], second.split("/")[0]) == ("train", "val")
        assert first.split("/")[1:] == second.split("/")[1:]
    lines = found.warnings({"train": 8, "val": 8, "test": 8})
    assert len(lines) == 3
    assert lines[0].startswith(
        "8 of 8 images (100 %) of the val split are also in the train split, so its results are too good: train/"
    )


def test_splits_that_are_drawn_share_no_image_and_tell_of_copies(tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {"cat": [*range(20), 3, 3], "dog": [*range(100, 120), 5]})
    found = duplicates_of(root)
    assert found.across == {}
    assert sum(copies.count for copies in found.within.values()) == 3  # 3 twice more, and 5
    assert found.conflicting == Copies(2, (("cat/0005.png", "dog/0020.png"),))
    (line,) = found.warnings({"train": 26, "val": 8, "test": 8})
    assert line.startswith(
        "2 of 42 images (4.8 %) have the same pixels as an image of another class: cat/0005.png = dog/"
    )


def test_images_left_out_do_not_shift_names(tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {"cat": [*range(20), 3], "dog": list(range(100, 120))})
    (root / "cat" / "0001.png").write_bytes(b"no image")
    copies = [copies for copies in duplicates_of(root, on_error="skip").within.values() if copies.count]
    assert copies == [Copies(1, (("cat/0003.png", "cat/0020.png"),))]


def test_unprintable_names_are_escaped(tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {"cat": [*range(20), 3], "dog": list(range(100, 120))})
    (root / "cat" / "0003.png").rename(root / "cat" / "three\n.png")
    (copies,) = duplicates_of(root).within.values()
    assert copies.examples == ((repr("cat/three\n.png"), "cat/0020.png"),) or copies.examples == (
        ("cat/0020.png", repr("cat/three\n.png")),
    )


def test_images_without_names_are_numbered(tmp_path: Path) -> None:
    info = describe(prepare(DataConfig(), tmp_path))
    assert info.duplicates == Duplicates()  # the digits all differ


def test_a_file_of_an_earlier_version_has_no_record() -> None:
    folder = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study" / "data"
    (file,) = folder.iterdir()
    assert describe(file).duplicates is None
    assert sum(describe(file).class_counts["val"]) == describe(file).counts["val"]


@pytest.mark.parametrize("limit", [None, 20])
def test_a_limit_keeps_names_right(limit: int | None, tmp_path: Path) -> None:
    numbers = {"cat": list(range(20)), "dog": list(range(100, 120))}
    root = tmp_path / "photos"
    write_images(root / "train", numbers)
    write_images(root / "test", numbers)
    found = duplicates_of(root, limit=limit)
    assert set(found.across) == {("train", "test"), ("val", "test")}
    for copies in found.across.values():
        for names in copies.examples:
            train, test = (tuple(name.split("/")[1:]) for name in names)
            assert train == test
