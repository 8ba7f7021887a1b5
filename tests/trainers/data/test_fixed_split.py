"""A split fixed by a table: its forms, spellings of paths, what it may leave out, and its errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.config import DataConfig
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.errors import DataError

SPLIT = {
    "cat/0.png": "train", "cat/1.png": "val", "cat/2.png": "test", "cat/3.png": "train",
    "dog/0.png": "test", "dog/1.png": "val", "dog/2.png": "train", "dog/3, old.png": "test",
}  # fmt: skip


def pixels_of(name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 256, (6, 6, 3), dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in SPLIT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels_of(name)).save(folder / name)
    return folder


def prepare_with(root: Path, file: Path, **fields: object) -> Path:
    config = {"source": "folder", "path": root, "split": {"file": file}, **fields}
    return prepare(DataConfig.model_validate(config), root.parent / "cache")


def split_of(file: Path) -> dict[str, str]:
    """The split of each image, found by its pixels."""
    names = {pixels_of(name).transpose(2, 0, 1).tobytes(): name for name in SPLIT}
    data = load(file)
    return {
        names[image.numpy().tobytes()]: part
        for part in ("train", "val", "test")
        for image in getattr(data, part).images
    }


def quoted(name: str, separator: str) -> str:
    return f'"{name}"' if separator in name else name


@pytest.mark.parametrize(("name", "separator"), [("s.csv", ","), ("s.csv", ";"), ("s.tsv", "\t")])
def test_tables(name: str, separator: str, root: Path, tmp_path: Path) -> None:
    rows = [f"{part}{separator}{quoted(path, separator)}" for path, part in SPLIT.items()]
    (tmp_path / name).write_text("\r\n".join([f"split{separator}path", *rows]) + "\r\n", encoding="utf-8-sig")
    assert split_of(prepare_with(root, tmp_path / name)) == SPLIT


def test_json(root: Path, tmp_path: Path) -> None:
    lists = {split: [path for path, part in SPLIT.items() if part == split] for split in ("train", "val", "test")}
    (tmp_path / "s.json").write_text(json.dumps(lists))
    assert split_of(prepare_with(root, tmp_path / "s.json")) == SPLIT


def write(file: Path, split: dict[str, str]) -> Path:
    file.write_text("path,split\n" + "".join(f"{quoted(path, ',')},{part}\n" for path, part in split.items()))
    return file


def test_spellings_of_paths_and_splits(root: Path, tmp_path: Path) -> None:
    names = {"train": "Training", "val": "validation", "test": "TEST"}
    spelled = {
        (f"./{path}" if index % 3 == 0 else str(root / path) if index % 3 == 1 else f" {path} "): names[part]
        for index, (path, part) in enumerate(SPLIT.items())
    }
    assert split_of(prepare_with(root, write(tmp_path / "s.csv", spelled))) == SPLIT


def test_backslashes(root: Path, tmp_path: Path) -> None:
    split = {path.replace("/", "\\"): part for path, part in SPLIT.items()}
    assert split_of(prepare_with(root, write(tmp_path / "s.csv", split))) == SPLIT


def test_a_split_that_is_drawn_from_a_fixed_train_split_keeps_groups(root: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for index in range(24):
            Image.fromarray(pixels_of(f"{name}{index}")).save(root / name / f"p{index // 4}_{index}.png")
    split = {image.relative_to(root).as_posix(): "train" for image in root.rglob("*.png")}
    split = {path: "test" if path.partition("/")[2] in ("0.png", "p5_20.png") else part for path, part in split.items()}
    file = prepare_with(root, write(tmp_path / "s.csv", split), group_by=r"/(p?\d)")
    info = describe(file)
    assert info.counts["test"] == 4
    assert info.duplicates is not None
    assert info.duplicates.groups.keys() <= {("train", "test"), ("val", "test")}
    assert sum(copies.count for copies in info.duplicates.groups.values()) == 1  # p5
    assert ("train", "val") not in info.duplicates.groups


def test_rows_of_broken_images_that_are_left_out(root: Path, tmp_path: Path) -> None:
    (root / "cat" / "broken.png").touch()
    split = SPLIT | {"cat/broken.png": "train"}
    with pytest.raises(DataError, match="is an image file of 0 bytes"):
        prepare_with(root, write(tmp_path / "s.csv", split))
    assert split_of(prepare_with(root, write(tmp_path / "s.csv", split), on_error="skip")) == SPLIT


@pytest.mark.parametrize(("folder", "row"), [(" cat", " cat/broken.png"), ("cat", " cat/broken.png ")])
def test_blanks_of_rows_of_broken_images_that_are_left_out(root: Path, tmp_path: Path, folder: str, row: str) -> None:
    (root / "cat").rename(root / folder)
    (root / folder / "broken.png").touch()
    split = {path.replace("cat/", f"{folder}/"): part for path, part in SPLIT.items()} | {row: "train"}
    file = write(tmp_path / "s.csv", split)
    assert split_of(prepare_with(root, file, on_error="skip")) == SPLIT
    groups = tmp_path / "g.csv"
    groups.write_text(file.read_text().replace("path,split", "path,group"))
    config = {"source": "folder", "path": root, "group_by": str(groups), "on_error": "skip"}
    assert describe(prepare(DataConfig.model_validate(config), tmp_path / "cache")).counts["train"] > 0


def test_it_takes_the_place_of_the_folders_own_parts(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    root.rename(own / "train")
    split = {f"train/{path}": part for path, part in SPLIT.items()}
    assert split_of(prepare_with(own, write(tmp_path / "s.csv", split))) == SPLIT


def test_a_missing_split_is_drawn_from_train(root: Path, tmp_path: Path) -> None:
    split = {path: "test" if part == "test" else "train" for path, part in SPLIT.items()}
    drawn = split_of(prepare_with(root, write(tmp_path / "s.csv", split)))
    assert {path for path, part in drawn.items() if part == "test"} == {
        p for p, part in SPLIT.items() if part == "test"
    }
    assert sorted(path.split("/")[0] for path, part in drawn.items() if part == "val") == ["cat", "dog"]


def test_edits_are_another_file_and_the_name_is_not(root: Path, tmp_path: Path) -> None:
    first = prepare_with(root, write(tmp_path / "s.csv", SPLIT))
    assert prepare_with(root, write(tmp_path / "t.csv", SPLIT)) == first
    other = SPLIT | {"cat/3.png": "val"}
    second = prepare_with(root, write(tmp_path / "s.csv", other))
    assert second != first
    assert split_of(second) == other
    assert describe(second).fingerprint != describe(first).fingerprint


def test_a_limit_keeps_every_class_of_every_split(root: Path, tmp_path: Path) -> None:
    for index in range(60):
        Image.fromarray(pixels_of(f"more{index}")).save(root / "cat" / f"more{index}.png")
    split = SPLIT | {f"cat/more{index}.png": "train" for index in range(60)}
    file = prepare_with(root, write(tmp_path / "s.csv", split), limit=12)
    assert sum(describe(file).counts.values()) == 12
    data = load(file)
    for part in ("train", "val", "test"):
        assert set(getattr(data, part).labels.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat/0.png,train\n", r"s\.csv:1: must begin with a header that has one column 'path', found \['cat/0.png', 'train'\]"),
        ("path,kind\ncat/0.png,train\n", r"s\.csv:1: .* one column 'split', found \['path', 'kind'\]"),
        ("path,split\ncat/0.png\n", r"s\.csv:2: must have 2 columns .*, found 1"),
        ("path,split\ncat/0.png,\n", r"s\.csv:2: must give a path and a split, found \['cat/0.png', ''\]"),
        ("path,split\ncat/0.png,fold1\n", r"s\.csv:2: a split must be train, val or test, found 'fold1'"),
        ("path,split\ncat/0.png,train\n./cat/0.png,val\n", r"s\.csv:3: cat/0.png has the split 'train' in line 2, found 'val'"),
        ("path,split\ncat/9.png,train\n", r"s\.csv:2: 1 of 1 paths name no image .* like 'cat/0.png'\), found 'cat/9.png'"),
        ("path,split\ncat/0.png,train\n", r"s\.csv: must have a row for every image .*; 7 of 8 have none, found 'cat/1.png"),
        ('path,split\n"cat/0.png,train\n', r"s\.csv:\d: must be CSV"),
    ],
)  # fmt: skip
def test_errors_name_the_line(text: str, message: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError, match=rf"^split\.file: .*{message}"):
        prepare_with(root, tmp_path / "s.csv")
    assert not (tmp_path / "cache").exists()


def test_files_that_cannot_be_read(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read \(No such file or directory\)"):
        prepare_with(root, tmp_path / "absent.csv")
    (tmp_path / "s.json").write_text("[1]")
    with pytest.raises(DataError, match=r's\.json: must be of the form {"train": '):
        prepare_with(root, tmp_path / "s.json")
    (tmp_path / "s.json").write_text('{"train": ["cat/0.png"], "val": ["./cat/0.png"]}')
    with pytest.raises(DataError, match=r"s\.json: cat/0\.png has the split 'train' as well, found 'val'$"):
        prepare_with(root, tmp_path / "s.json")
    (tmp_path / "s.csv").write_bytes(b"path,split\n\xff,train\n")
    with pytest.raises(DataError, match=r"s\.csv: must be UTF-8"):
        prepare_with(root, tmp_path / "s.csv")


def test_a_class_that_a_split_lacks(root: Path, tmp_path: Path) -> None:
    split = {path: "train" if path.startswith("dog") and part == "val" else part for path, part in SPLIT.items()}
    with pytest.raises(
        DataError, match=r"must put an image of every class into the val split; it has none of, found 'dog'"
    ):
        prepare_with(root, write(tmp_path / "s.csv", split))
    with pytest.raises(DataError, match=r"every class into the train split"):
        prepare_with(root, write(tmp_path / "s.csv", dict.fromkeys(SPLIT, "test")))


def test_images_without_a_row_are_left_out_on_request(root: Path, tmp_path: Path) -> None:
    split = {path: part for path, part in SPLIT.items() if path != "cat/3.png"}
    file = prepare_with(root, write(tmp_path / "s.csv", split), on_error="skip")
    assert split_of(file) == split
    assert describe(file).skipped == ("cat/3.png: has no row in s.csv",)


@pytest.mark.parametrize(("key", "column"), [("split", "split"), ("group_by", "group")])
def test_an_absolute_path_that_contradicts_a_relative_one(key: str, column: str, root: Path, tmp_path: Path) -> None:
    name, *others = SPLIT
    rows = [f"{quoted(path, ',')},{SPLIT[path]}\n" for path in (name, *others)]
    rows.append(f"{quoted(str(root / name), ',')},other\n")
    (tmp_path / "s.csv").write_text(f"path,{column}\n" + "".join(rows))
    value: object = {"file": tmp_path / "s.csv"} if key == "split" else str(tmp_path / "s.csv")
    config = DataConfig.model_validate({"source": "folder", "path": root, key: value})
    rule = rf"s\.csv:{len(rows) + 1}: {re.escape(name)} has the value '{SPLIT[name]}' in line 2, found 'other'"
    with pytest.raises(DataError, match=rule):
        prepare(config, tmp_path / "cache")


@pytest.mark.parametrize(("val", "test"), [("eval", "tst"), ("Dev", "holdout"), ("VALIDATE", "te")])
def test_words_for_splits_are_those_of_folders(val: str, test: str, root: Path, tmp_path: Path) -> None:
    names = {"train": "trn", "val": val, "test": test}
    file = write(tmp_path / "s.csv", {path: names[part] for path, part in SPLIT.items()})
    assert split_of(prepare_with(root, file)) == SPLIT


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("renamed", [" cat", "cat ", " cat "])
def test_a_class_folder_may_begin_or_end_with_a_blank(root: Path, tmp_path: Path, form: str, renamed: str) -> None:
    (root / "cat").rename(root / renamed)
    split = {path.replace("cat/", f"{renamed}/"): part for path, part in SPLIT.items()}
    table = tmp_path / f"s.{form}"
    if form == "csv":
        table.write_text("path,split\n" + "".join(f"{quoted(path, ',')},{part}\n" for path, part in split.items()))
    else:
        parts = set(split.values())
        table.write_text(json.dumps({part: [path for path in split if split[path] == part] for part in parts}))
    file = prepare_with(root, table)
    assert split_of(file) == SPLIT
    assert set(load(file).class_names) == {renamed, "dog"}


def test_blanks_around_cells_and_folders_that_differ_in_one_are_told_apart(root: Path, tmp_path: Path) -> None:
    (root / " cat").mkdir()
    extra = {f" cat/{number}.png": part for number, part in enumerate(("test", "val", "train"))}
    for name in extra:
        Image.fromarray(pixels_of(name)).save(root / name)
    rows = [f"{part} ,  {path} " for path, part in SPLIT.items() if "," not in path]
    rows += [f"{part},{path}" for path, part in extra.items()]
    (tmp_path / "s.csv").write_text('split,path\ntest,"dog/3, old.png"\n' + "\n".join(rows) + "\n")
    file = prepare_with(root, tmp_path / "s.csv")
    data = load(file)
    found = {}
    for part in ("train", "val", "test"):
        for image in getattr(data, part).images:
            found[image.numpy().tobytes()] = part
    every = SPLIT | extra
    assert {name: found[pixels_of(name).transpose(2, 0, 1).tobytes()] for name in every} == every


def test_two_rows_of_one_image_are_an_error_also_with_blanks(root: Path, tmp_path: Path) -> None:
    rows = "".join(f'{part},"{path}"\n' for path, part in SPLIT.items())
    (tmp_path / "s.csv").write_text(f"split,path\n{rows}val, cat/0.png\n")
    with pytest.raises(DataError, match=r"cat/0\.png has the value 'train' in line 2"):
        prepare_with(root, tmp_path / "s.csv")
