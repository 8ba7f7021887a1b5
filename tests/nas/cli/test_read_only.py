"""Reading commands on a read-only study: they work, and no file of the study changes.

Root may write anywhere, so under root the commands run as another user.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nas import Study
from nas.fidelity.request import fidelity_study
from nas.study.database.storage import open_study
from nas.study.lock import lock_folder

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1"
NOBODY = 65534
READING = (
    ("status", "study"),
    ("status", "study", "--json"),
    ("front", "study"),
    ("front", "study", "--json"),
    ("front", "study", "--csv"),
    ("show", "study", "best"),
    ("show", "study", "1", "--json"),
    ("export", "study", "best", "--out", "out/model"),
    ("backup", "study", "out/backup.tar", "--data"),
    ("doctor", "study"),
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(nas: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that anyone may enter, with the studies `study` and `first`, and the writable folder `out`; it is the current one.

    Commands run on `first` first, since another user may not read the modules of Python that they import.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("study", "first"):
            shutil.copytree(FROZEN / "study", Path(folder) / name)
        (Path(folder) / "out").mkdir()
        (Path(folder) / "out").chmod(0o777)
        monkeypatch.chdir(folder)
        yield Path(folder)


@contextmanager
def only_reading(folder: Path) -> Iterator[None]:
    """Within the block this process may not write to `folder`."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionError):
            (folder / "new").touch()
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """File -> time of its last change, and content."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_commands_leave_no_trace_and_need_no_permission(nas: Run, home: Path, words: tuple[str, ...]) -> None:
    before = state_of(home / "study")
    writing = nas(*words)
    assert (writing.returncode, writing.stderr) == (0, "")
    assert state_of(home / "study") == before
    shutil.rmtree(home / "out" / "model", ignore_errors=True)
    with only_reading(home / "study"):
        reading = nas(*words)
    assert (reading.returncode, reading.stdout, reading.stderr) == (0, writing.stdout, "")
    assert state_of(home / "study") == before


def test_the_report_is_written_elsewhere_without_what_could_not_be_stored(
    nas: Run, home: Path, report_document: Any
) -> None:
    assert nas("report", "first", "--out", "first.html").returncode == 0
    before = state_of(home / "study")
    with only_reading(home / "study"):
        refused = nas("report", "study")
        done = nas("report", "study", "--out", "out/report.html")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "nas: error: study: is read-only; --out FILE writes the report elsewhere\n"
    assert done.returncode == 0
    assert done.stdout.startswith("report: out/report.html (")
    reason = "study: the study is read-only, and the accuracies could not be stored"
    assert done.stderr == f"nas: no test accuracy: {reason}\n"
    assert report_document((home / "out" / "report.html").read_text())["count"] > 0
    assert state_of(home / "study") == before


def test_the_report_of_a_study_that_may_be_written_to_adds_two_things(nas: Run, home: Path) -> None:
    before = state_of(home / "study")
    assert nas("report", "study").returncode == 0
    after = state_of(home / "study")
    assert after.keys() == before.keys() | {"report.html"}
    assert {name for name in before if after[name] != before[name]} == {"study.db"}  # the test accuracies


def test_a_study_that_a_search_writes_is_read_as_it_is_now(nas: Run, home: Path) -> None:
    assert nas("front", "first", "--csv").returncode == nas("status", "first").returncode == 0
    study = open_study(home / "study")  # as a search holds it
    with lock_folder(home / "study"):
        study.set_user_attr("test_accuracy", {"7": 0.125})
        assert {"study.db-wal", "study.db-shm"} < state_of(home / "study").keys()
        before = state_of(home / "study")
        del before["study.db-shm"]  # the connections of one process share it
        with only_reading(home / "study"):
            rows = list(csv.DictReader(io.StringIO(nas("front", "study", "--csv").stdout)))
            status = nas("status", "study")
        assert [row["test_accuracy"] for row in rows if row["trial"] == "7"] == ["0.125"]
        assert "3 complete, 5 running" in status.stdout
        assert before.items() <= state_of(home / "study").items()
    assert "3 complete, 5 interrupted" in nas("status", "study").stdout
    printed = json.loads(nas("status", "study", "--json").stdout)
    assert (printed["trials"], printed["interrupted"]) == ({"complete": 3, "running": 5}, 5)


def test_fidelity_names_the_option_that_helps(nas: Run, home: Path) -> None:
    assert nas("fidelity", "first", "--sample", "0").returncode == 2
    fidelity_study(Path("first"), [])
    with only_reading(home / "study"):
        done = nas("fidelity", "study")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nas: error: study: is read-only; --out DIR names another for the trainings\n"


def test_results_of_an_open_study_are_those_of_now(home: Path) -> None:
    Study.open(home / "first").results()
    with only_reading(home / "study"):
        study = Study.open(home / "study")
        assert study.results().counts == {"complete": 3, "running": 5}
    open_study(home / "study").set_user_attr("test_accuracy", {"7": 0.125})
    assert study.results().trial(7)["test_accuracy"] == 0.125
