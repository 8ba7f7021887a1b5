"""A copied `study.db` alone: every reading command works, and says in one line what it cannot compute."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The folder `copied`, with nothing but the database of a study: three trials complete, five not."""
    folder = tmp_path / "copied"
    folder.mkdir()
    shutil.copy(FROZEN / "study" / "study.db", folder)
    return folder


def files_of(folder: Path) -> set[str]:
    """The names of its files, apart from SQLite's own."""
    return {file.name for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm"))}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("front", "copied"), ("Front of small", "0.9625", "0.7875")),
        (("status", "copied"), ("3 complete, 5 interrupted", "unknown: copied/operators.json is missing or damaged")),
        (("show", "copied", "best"), ("trial 7", "stage 1")),
        (("show", "copied", "1"), ("trial 1",)),  # which has not ended
    ],
)
def test_reading_commands_work(nas: Run, copied: Path, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    done = nas(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert [part for part in parts if part not in done.stdout] == []
    assert files_of(copied) == {"study.db"}


@pytest.mark.usefixtures("copied")
def test_machine_readable_output_is_that_of_the_whole_folder(nas: Run) -> None:
    assert json.loads(nas("front", "copied", "--json").stdout) == json.loads((FROZEN / "front.json").read_text())
    rows = list(csv.DictReader(io.StringIO(nas("front", "copied", "--csv").stdout)))
    assert rows == list(csv.DictReader(io.StringIO((FROZEN / "front.csv").read_text())))
    status = json.loads(nas("status", "copied", "--json").stdout)
    assert status["trials"]["complete"] == 3
    assert status["foretold"] == {}  # predictions need the table of operators


def test_report_says_what_it_lacks_in_one_line(nas: Run, copied: Path, report_document: Any) -> None:
    done = nas("report", "copied")
    assert done.returncode == 0
    assert done.stdout.startswith("report: copied/report.html (")
    lacks = "copied/data: the study's decoded images are missing or damaged; `nas search` on it decodes them again"
    assert done.stderr == f"nas: no test accuracy: {lacks}\n"
    assert files_of(copied) == {"study.db", "report.html"}
    assert report_document((copied / "report.html").read_text())["count"] > 0


def test_report_names_each_trial_whose_weights_are_missing(nas: Run, copied: Path) -> None:
    shutil.copytree(FROZEN / "study" / "data", copied / "data")
    done = nas("report", "copied")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert [line.startswith("nas: no test accuracy: trial ") for line in lines] == [True, True]
    for number in (0, 7):
        place = f"trial {number}: its weights are missing from copied/trials/{number:05d}"
        assert [place in line for line in lines].count(True) == 1


def test_export_is_refused_in_one_line(nas: Run, copied: Path) -> None:
    done = nas("export", "copied", "best", "--out", "model")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nas: error: trial 7: its weights are missing from copied/trials/00007")
    assert done.stderr.count("\n") == 1
    assert files_of(copied) == {"study.db"}
    assert not Path("model").exists()
