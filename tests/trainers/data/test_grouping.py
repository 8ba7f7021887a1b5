"""Splits by group: no group in two drawn splits, every class in each, near the shares, and errors that name the images."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from pydantic import ValidationError

from trainers.data import decode
from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.duplicates import Copies
from trainers.data.grouping import assign_groups
from trainers.data.prepared import locate, prepare
from trainers.data.types import Part
from trainers.errors import DataError


def write_patients(root: Path, classes: dict[str, dict[str, int]], first: int = 0) -> Path:
    """For each class, so many different images of each patient, called CLASS/PATIENT_0.png ..."""
    number = first
    for name, patients in classes.items():
        (root / name).mkdir(parents=True)
        for patient, count in patients.items():
            for index in range(count):
                pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{patient}_{index}.png")
                number += 1
    return root


def config(root: Path, **fields: object) -> DataConfig:
    return DataConfig.model_validate({"source": "folder", "path": root, **fields})


def patients_of(root: Path, file: Path) -> dict[str, set[str]]:
    """The patients of each split, found by their pixels."""
    names = {
        np.asarray(Image.open(image)).transpose(2, 0, 1).tobytes(): image.name.rpartition("_")[0]
        for image in root.rglob("*.png")
    }
    data = load(file)
    return {
        part: {names[image.numpy().tobytes()] for image in getattr(data, part).images}
        for part in ("train", "val", "test")
    }


EIGHT = {"cat": {f"p{i}": 4 for i in range(8)}, "dog": {f"p{i}": 4 for i in range(4, 12)}}


@pytest.mark.parametrize("pattern", [r"(p\d+)_\d+", r"p\d+", r"[^/]+(?=_\d+\.png$)"])
def test_a_patient_is_in_one_split(pattern: str, tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    file = prepare(config(root, group_by=pattern), tmp_path / "cache")
    patients = patients_of(root, file)
    assert not patients["train"] & patients["val"]
    assert not patients["train"] & patients["test"]
    assert not patients["val"] & patients["test"]
    assert set.union(*patients.values()) == {f"p{i}" for i in range(12)}
    counts = describe(file).counts
    assert counts["train"] == 40
    assert {counts["val"], counts["test"]} <= {8, 12, 16}  # 12 and 12, but for a patient of four images
    without = patients_of(root, prepare(config(root), tmp_path / "cache"))
    assert without["train"] & without["val"]  # a split of images leaks patients


def test_a_table_of_groups_is_the_same_split_as_the_expression(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    rows = [f"{image.relative_to(root)},x,{image.name.split('_')[0]}\n" for image in sorted(root.rglob("*.png"))]
    table = tmp_path / "patients.csv"
    table.write_text("\ufeffpath,age,Group\n" + "".join(rows), encoding="utf-8")
    by_table = prepare(config(root, group_by=str(table)), tmp_path / "cache")
    by_pattern = prepare(config(root, group_by=r"p\d+"), tmp_path / "cache")
    assert by_table != by_pattern
    assert describe(by_table).fingerprint == describe(by_pattern).fingerprint
    # The content of the table is part of the identity, its name is not.
    renamed = tmp_path / "renamed.csv"
    table.rename(renamed)
    assert prepare(config(root, group_by=str(renamed)), tmp_path / "cache") == by_table
    renamed.write_text("path;group\n" + "".join(row.replace(",x,", ";").replace(";p11", ";p3") for row in rows))
    edited = prepare(config(root, group_by=str(renamed)), tmp_path / "cache")
    assert edited != by_table
    assert patients_of(root, edited)


def test_the_seed_and_nothing_else_decides(tmp_path: Path) -> None:
    one = write_patients(tmp_path / "one", EIGHT)
    two = write_patients(tmp_path / "two", EIGHT, first=1000)  # other pixels, the same groups
    splits = [
        patients_of(root, prepare(config(root, group_by=r"p\d+", seed=seed), tmp_path / "cache"))
        for root, seed in ((one, 0), (two, 0), (one, 1), (one, 2))
    ]
    assert splits[0] == splits[1]
    assert splits[2:] != [splits[0]] * 2


def test_only_drawn_splits_are_grouped_and_a_shared_group_is_a_leak(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_patients(root / "train", EIGHT)
    write_patients(root / "test", {"cat": {"p0": 2, "q": 1}, "dog": {"p9": 2}}, first=5000)
    file = prepare(config(root, group_by=r"([pq]\d*)_"), tmp_path / "cache")
    info, patients = describe(file), patients_of(root, file)
    assert info.counts["test"] == 5
    assert not patients["train"] & patients["val"]
    assert info.duplicates is not None
    shared = {pair: copies.count for pair, copies in info.duplicates.groups.items()}
    assert shared == {
        pair: len(both)
        for pair in (("train", "test"), ("val", "test"))
        if (both := patients[pair[0]] & patients[pair[1]])
    }
    assert sum(shared.values()) == 2
    lines = info.duplicates.warnings(info.counts)
    assert len(lines) == len(shared)
    assert all("groups of `group_by` are in the" in line for line in lines)


def test_groups_with_equal_images_stay_together(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    for one, other in (("p0", "p1"), ("p1", "p2")):
        (root / "cat" / f"{one}_0.png").rename(root / "cat" / f"{one}_9.png")
        (root / "cat" / f"{one}_0.png").write_bytes((root / "cat" / f"{other}_1.png").read_bytes())
    file = prepare(config(root, group_by=r"p\d+"), tmp_path / "cache")
    duplicates = describe(file).duplicates
    assert duplicates is not None
    assert duplicates.across == {}
    places = {part for part, patients in patients_of(root, file).items() if patients & {"p0", "p1", "p2"}}
    assert len(places) == 1


def test_a_limit_keeps_groups_together(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    file = prepare(config(root, group_by=r"p\d+", limit=40), tmp_path / "cache")
    patients = patients_of(root, file)
    assert sum(describe(file).counts.values()) == 40
    assert not patients["train"] & patients["val"]
    assert not patients["train"] & patients["test"]


def test_images_without_a_group_are_counted_and_named(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    with pytest.raises(
        DataError,
        match=r"group_by: 'p1\[01\]' must match every image, and does not for 56 of 64, found 'cat/p0_0.png, cat/p0_1.png, "
        r"cat/p0_2.png, ...'",
    ):
        prepare(config(root, group_by="p1[01]"), tmp_path / "cache")
    table = tmp_path / "groups.csv"
    table.write_text("path,group\ncat/p0_0.png,a\n")
    with pytest.raises(DataError, match=r"groups.csv' must have a row for every image, and does not for 63 of 64"):
        prepare(config(root, group_by=str(table)), tmp_path / "cache")
    rows = "".join(f"{image.relative_to(root)},g\n" for image in sorted(root.rglob("*.png")))
    table.write_text(f"path,group\n{rows}cat/p99_0.png,g\n")
    with pytest.raises(
        DataError, match=r"groups.csv:66: 1 of 65 paths name no image of the data \(.*\), found 'cat/p99_0.png'"
    ):
        prepare(config(root, group_by=str(table)), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_too_few_groups(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", {"cat": {"p0": 9, "p1": 9}, "dog": {"p0": 9, "p1": 9}})
    with pytest.raises(
        DataError, match=r"group_by: must give at least 3 groups, .* \(val, test, train\);.*it gives p0, p1, found 2"
    ):
        prepare(config(root, group_by=r"p\d+"), tmp_path / "cache")
    root = write_patients(tmp_path / "more", {"cat": {"p0": 9}, "dog": {f"p{i}": 5 for i in range(1, 9)}})
    with pytest.raises(
        DataError, match=r"group_by: the images of class 'cat' must be of at least 3 groups,.*they are of p0, found 1"
    ):
        prepare(config(root, group_by=r"p\d+"), tmp_path / "cache")


def test_a_wrong_expression_is_refused_at_once() -> None:
    with pytest.raises(
        ValidationError,
        match=r"must be a regular expression, .*\(missing \), unterminated subpattern at position 0\), found '\(p",
    ):
        DataConfig(source="folder", path=Path("/x"), group_by="(p")


def test_sources_whose_images_have_no_paths() -> None:
    with pytest.raises(
        ValidationError, match=r"group_by: source 'digits' has no such option \(its images have no paths"
    ):
        DataConfig(group_by="x")
    with pytest.raises(ValidationError, match=r"split: source 'digits' has no such option"):
        DataConfig.model_validate({"split": {"file": "x.csv"}})


@pytest.mark.parametrize("source", ["timm", "torch/image_folder"])
def test_timm_reads_the_same_groups(source: str, tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    splits = {"train": ""} if source == "torch/image_folder" else None
    by_timm = prepare(DataConfig(source=source, path=root, group_by=r"p\d+", splits=splits), tmp_path / "cache")
    by_folder = prepare(config(root, group_by=r"p\d+"), tmp_path / "cache")
    assert describe(by_timm).fingerprint == describe(by_folder).fingerprint
    duplicates = describe(by_timm).duplicates
    assert duplicates is not None
    assert duplicates.conflicting == Copies()


def no_decoding(*arguments: object) -> None:
    raise AssertionError("an image is decoded")


@pytest.mark.parametrize("source", ["folder", "timm", "torch/image_folder"])
@pytest.mark.parametrize(
    ("group_by", "rule"), [("p1[01]", "must match every image, and does not for 56 of 64"), ("g.csv", "name no image")]
)
def test_groups_are_checked_before_images_are_decoded(
    source: str, group_by: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    (tmp_path / "g.csv").write_text("path,group\nabsent.png,p1\n")
    group_by = str(tmp_path / group_by) if group_by.endswith(".csv") else group_by
    monkeypatch.setattr(decode, "decode", no_decoding)
    splits = {"train": ""} if source == "torch/image_folder" else None
    request = DataConfig(source=source, path=root, group_by=group_by, splits=splits)
    with pytest.raises(DataError, match=f"group_by: .*{rule}"):
        prepare(request, tmp_path / "cache")


def test_groups_of_an_archive_are_checked_before_images_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(root, "photos")
    monkeypatch.setattr(decode, "decode", no_decoding)
    with pytest.raises(DataError, match=r"group_by: 'p1\[01\]' must match every image, and does not for 56 of 64"):
        prepare(DataConfig(source="timm", path=tmp_path / "photos.tar", group_by="p1[01]"), tmp_path / "cache")


@pytest.mark.parametrize("source", ["folder", "timm", "torch/image_folder"])
def test_a_table_that_cannot_be_read_is_an_error_when_data_are_located(source: str, tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    with pytest.raises(DataError, match=r"group_by: .*gone\.csv: cannot be read \(No such file"):
        locate(DataConfig(source=source, path=root, group_by=str(tmp_path / "gone.csv")))


@settings(max_examples=150, deadline=None)
@given(
    images=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3), st.integers(0, 200)), min_size=1, max_size=150),
    shares=st.sampled_from([("val", "test"), ("val",), ("test",)]),
    order=st.randoms(use_true_random=False),
)
def test_properties_of_the_assignment(
    images: list[tuple[int, int, int]], shares: tuple[Part, ...], order: object
) -> None:
    labels = np.array([label for _, label, _ in images], np.int64)
    groups = [f"g{group}" for group, _, _ in images]
    digests = [pixels.to_bytes(2, "big") for _, _, pixels in images]
    counts = np.bincount(labels, minlength=4)
    targets = [dict.fromkeys(shares, max(1, round(0.2 * count))) for count in counts.tolist()]
    names = [f"class{label}" for label in range(4)]

    def assign(rows: list[int]) -> list[Part]:
        return assign_groups([groups[i] for i in rows], [digests[i] for i in rows], labels[rows], targets, names, 0)

    rows = list(range(len(images)))
    try:
        parts = assign(rows)
    except DataError:
        return
    for key in (groups, digests):
        assert all(len({p for p, k in zip(parts, key, strict=True) if k == one}) == 1 for one in set(key))
    order.shuffle(rows)  # type: ignore[attr-defined]
    assert assign(rows) == [parts[i] for i in rows]


def test_many_groups_of_one_image_meet_the_shares() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    groups = [f"g{i}" for i in range(1000)]
    digests = [i.to_bytes(2, "big") for i in range(1000)]
    targets = [{"val": n // 5, "test": n // 5} for n in (600, 300, 100)]
    parts = assign_groups(groups, digests, labels, targets, ["a", "b", "c"], 0)  # type: ignore[arg-type]
    for label, total in enumerate((600, 300, 100)):
        counts = Counter(part for part, own in zip(parts, labels.tolist(), strict=True) if own == label)
        assert counts == {"train": total * 3 // 5, "val": total // 5, "test": total // 5}


def test_three_groups_a_class_are_one_in_each_split() -> None:
    labels = np.repeat([0, 1], 30)
    groups = [f"{label}{i % 3}" for label in "ab" for i in range(30)]
    targets = [{"val": 6, "test": 6}] * 2
    parts = assign_groups(groups, [bytes([i]) for i in range(60)], labels, targets, ["a", "b"], 0)  # type: ignore[arg-type]
    for label in (0, 1):
        assert Counter(np.array(parts)[labels == label].tolist()) == {"train": 10, "val": 10, "test": 10}


@pytest.mark.parametrize("renamed", [" cat", "cat "])
def test_a_table_of_groups_knows_class_folders_that_begin_or_end_with_a_blank(renamed: str, tmp_path: Path) -> None:
    root = write_patients(tmp_path / "photos", EIGHT)
    (root / "cat").rename(root / renamed)
    by_pattern = prepare(config(root, group_by=r"p\d+"), tmp_path / "cache")
    rows = [f"{image.name.split('_')[0]}, {image.relative_to(root)}\n" for image in sorted(root.rglob("*.png"))]
    table = tmp_path / "patients.csv"
    table.write_text("group,path\n" + "".join(row.replace(f", {renamed}/", f",{renamed}/") for row in rows))
    by_table = prepare(config(root, group_by=str(table)), tmp_path / "cache")
    assert describe(by_table).fingerprint == describe(by_pattern).fingerprint
