"""What a search says about its data before it trains: leaks, shared groups, majorities; also without a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.driver.display import NoDisplay
from nas.driver.run import run_search
from nas.errors import ConfigError
from nas.execution.resources import Allocation
from nas.execution.simulator import Simulator
from nas.study.config import StudyConfig
from nas.study.images import prepare_images
from nas.study.stored import StoredStudy

STUDY = """\
trials: 1
data:
  source: folder
  path: {path}
space:
  stem: {{patch: 4}}
  stages: [{{mixer: {{conv: {{k: [3, 5]}}}}, depth: 1, width: 8}}]
train: {{epochs: 1, batch_size: 8}}
objectives: [accuracy, macs]
"""


class Warnings(NoDisplay):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def warn(self, text: str) -> None:
        self.all.append(text)


def write_images(root: Path, counts: dict[str, int]) -> Path:
    """So many images in each folder; those of folders of one class and number are the same."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            seed = [number, *name.rpartition("/")[2].encode()]
            pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"p{number % 4}_{number}.png")
    return root


def search(folder: Path, root: Path, *overrides: str) -> tuple[StoredStudy, list[str]]:
    file = folder / "study.yaml"
    file.write_text(STUDY.format(path=root))
    opened, display = Simulator(), Warnings()
    opened.allocation = Allocation(1, 1, 0.0)

    class Here:
        def __enter__(self) -> Simulator:
            return opened

        def __exit__(self, *error: object) -> None:
            return None

    ended = run_search(StudyConfig.from_file(file, *overrides), folder / "out", display, open_with=Here)
    return ended.study, display.all


def test_identical_folders_are_warned_about_and_stored(tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {f"{p}/{c}": 5 for p in ("train", "val", "test") for c in "ab"})
    study, warnings = search(tmp_path, root)
    assert len(warnings) == 3
    assert warnings[0].startswith("data: 10 of 10 images (100 %) of the val split are also in the train split")
    across = study.dataset["duplicates"]["across"]
    assert {pair: copies["count"] for pair, copies in across.items()} == {
        "train/val": 10,
        "train/test": 10,
        "val/test": 10,
    }
    assert study.dataset["class_counts"] == {"train": [5, 5], "val": [5, 5], "test": [5, 5]}


def test_a_clean_balanced_folder_is_not_warned_about(tmp_path: Path) -> None:
    _, warnings = search(tmp_path, write_images(tmp_path / "photos", {"a": 12, "b": 12}))
    assert warnings == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ["train.class_weights=balanced"]),
        (["train.class_weights=balanced"], []),
        (["objectives=[balanced_accuracy, macs]"], None),
        (["objectives=[macs, macro_f1, accuracy]"], None),
    ],
)
def test_a_majority_is_warned_about_where_accuracy_is_trained_for(
    overrides: list[str], words: list[str] | None, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "photos", {"ok": 60, "defect": 5})
    _, warnings = search(tmp_path, root, *overrides)
    if words is None:
        assert warnings == []
        return
    (warning,) = warnings
    assert warning.startswith("data: 36 of 39 training images (92.3 %) are of class 'ok', so always answering it has")
    assert "balanced_accuracy and macro_f1" in warning
    assert [word for word in ["train.class_weights=balanced"] if word in warning] == words


def test_a_group_in_two_given_parts_is_warned_about(tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {"train/a": 8, "train/b": 8, "test/c": 0, "test/a": 1, "test/b": 1})
    (root / "test" / "c").rmdir()
    for name in "ab":  # other images of a patient of the training part
        Image.new("RGB", (8, 8), (9, ord(name), 9)).save(root / "test" / name / "p0_0.png")
    _, warnings = search(tmp_path, root, "data.group_by=(p\\d)_")
    (warning,) = warnings
    assert "1 groups of `group_by` are in the" in warning
    assert ": p0;" in warning


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("group_by: (p", "5:3", "data.group_by: must be a regular expression"),
        ("group_by: q", "5:3", "data: group_by: 'q' must match every image, and does not for 24 of 24"),
        ("split: {file: none.csv}", "5:11", "data: split.file: none.csv: cannot be read (No such file or directory)"),
        ("group_by: none.csv", "5:3", "data: group_by: none.csv: cannot be read (No such file or directory)"),
    ],
)
def test_errors_name_the_line_of_the_study(line: str, place: str, message: str, tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {"a": 12, "b": 12})
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(path=f"{root}\n  {line}"))
    with pytest.raises(ConfigError) as error:
        prepare_images(StudyConfig.from_file(file), tmp_path / "data")
    assert str(error.value).startswith(f"{file}:{place}: {message}")


def test_the_command_warns_where_nothing_is_a_terminal(
    tmp_path: Path, nas: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    root = write_images(tmp_path / "photos", {"train/ok": 40, "train/defect": 3, "test/ok": 10, "test/defect": 1})
    (tmp_path / "study.yaml").write_text(STUDY.format(path=root))
    done = nas("search", "study.yaml", "--out", "out", "resources.executor=local", "resources.workers=1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nas: warning: data: ") == 3  # test images in train and in val, and the majority
    assert "nas: warning: the best validation accuracy is " in done.stderr
    assert "of always answering 'ok'" in done.stderr
