"""`nas doctor`: what it prints, its exit codes, where repairs put what they take away, and when they are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.cli.main import main
from nas.doctor.removed import RemovedFiles
from nas.doctor.run import examine_study, repair_study
from nas.driver.run import run_search
from nas.study.backup import write_backup
from nas.study.config import StudyConfig
from nas.study.database.leases import SharedLeases
from nas.study.database.storage import open_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import ServerTransactions
from nas.study.layout import WEIGHTS
from nas.study.lock import lock_folder

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"
NOBODY = 65534
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the study that version 0.1 left, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(FROZEN, "study"))


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `nas doctor` in this process."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["nas", "doctor", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(sys.argv, int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_one_line_a_finding_and_what_a_repair_would_do(doctor: Run, study: Path) -> None:
    healthy = doctor(study)
    assert (healthy.returncode, healthy.stdout, healthy.stderr) == (0, "study: nothing to repair\n", "")
    (study / "trials" / "00007" / WEIGHTS).unlink()
    (study / "trials" / "00042").mkdir()
    found = doctor(study)
    assert (found.returncode, found.stderr) == (1, "")
    orphan, missing = found.stdout.splitlines()
    text = "the study has no such trial (--repair moves it to removed-DATE)"
    assert orphan == f"warning orphan-folder: trials/00042: {text}"
    assert missing.startswith(
        "error weights-missing: trials/00007/model.safetensors: its weights are missing; its values"
    )
    assert (study / "trials" / "00042").exists()

    repaired = doctor(study, "--repair")
    assert repaired.returncode == 1  # the weights stay away
    first, left = repaired.stdout.splitlines()
    assert (first, left) == (f"repaired {orphan}", missing)
    assert doctor(study, "--repair").stdout == f"{missing}\n"
    (removed,) = study.glob("removed-*")
    assert [str(path.relative_to(removed)) for path in removed.rglob("*")] == ["trials", "trials/00042"]


def test_notes_need_no_repair(doctor: Run, study: Path) -> None:
    shutil.rmtree(study / "data")
    done = doctor(study)
    assert done.returncode == 0
    assert done.stdout.startswith(
        "note images-missing: data: the decoded images of the study are missing; `nas search`"
    )


def test_json_lists_everything(doctor: Run, study: Path) -> None:
    for number in range(100, 130):
        (study / "trials" / f"{number:05d}").mkdir()
    lines = doctor(study).stdout.splitlines()
    assert (len(lines), lines[-1]) == (21, "... and 10 more of orphan-folder (--json lists all)")
    record = json.loads(doctor(study, "--json").stdout)
    assert record.keys() == {"folder", "findings"}
    assert len(record["findings"]) == 30
    assert record["findings"][0] == {
        "code": "orphan-folder",
        "severity": "warning",
        "place": "trials/00100",
        "text": "the study has no such trial",
        "repair": "moves it to removed-DATE",
    }
    done = doctor(study, "--repair", "--json")
    repaired = json.loads(done.stdout)
    assert (done.returncode, len(repaired["repaired"]), repaired["findings"]) == (0, 30, [])
    assert repaired["removed"] == f"study/removed-{date.today():%Y-%m-%d}"


def test_a_study_that_is_searched_is_checked_and_not_repaired(doctor: Run, study: Path) -> None:
    (study / "workers").mkdir()
    (study / ".x.999999999.tmp").write_text("of a worker")
    os.utime(study / ".x.999999999.tmp", (1, 1))
    with lock_folder(study):
        assert doctor(study).stdout == "study: nothing to repair\n"
        refused = doctor(study, "--repair")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "study: it is in use by another process" in refused.stderr
    assert (study / "workers").exists()


@pytest.mark.usefixtures("study")
def test_a_folder_without_a_study_is_wrong_use(doctor: Run) -> None:
    Path("empty").mkdir()
    for words in (("empty",), ("empty", "--repair")):
        done = doctor(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("nas: error: empty: holds no study (study.db is missing)")
    assert list(Path("empty").iterdir()) == []


def test_what_is_taken_away_twice_is_kept_twice(tmp_path: Path) -> None:
    removed = RemovedFiles(tmp_path, date(2026, 11, 26))
    for text in ("first", "second"):
        (tmp_path / "trials").mkdir(exist_ok=True)
        (tmp_path / "trials" / "file").write_text(text)
        removed.take(tmp_path / "trials" / "file")
    removed.take(tmp_path / "trials" / "file")  # gone already
    place = tmp_path / "removed-2026-11-26" / "trials"
    assert {path.name: path.read_text() for path in place.iterdir()} == {"file": "first", "file.1": "second"}


def test_a_study_on_a_server_is_not_repaired_while_a_driver_lives(
    doctor: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_study_writer: Callable[..., Path], database: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = StudyConfig.from_file(small_study_writer(tmp_path, trials=2))
    url = StorageUrl.parse(database)
    run_search(config, Path("shared"), storage=url)
    Path("shared/trials/00042").mkdir()
    (line,) = doctor("shared").stdout.splitlines()
    assert line.startswith("warning orphan-folder: trials/00042")
    place = StoragePlace.of_folder(Path("shared"))
    assert place is not None
    leases = SharedLeases(ServerTransactions(place))
    leases.announce()
    refused = doctor("shared", "--repair")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"shared: it is in use by the driver {leases.driver}" in refused.stderr
    leases.release()
    assert doctor("shared", "--repair").returncode == 0
    assert doctor("shared").stdout == "shared: nothing to repair\n"


def test_weights_at_a_url_are_looked_for(doctor: Run, study: Path, tmp_path: Path) -> None:
    place = tmp_path / "bucket"
    shutil.copytree(study / "trials", place / "trials")
    opened = open_study(study)
    opened.set_user_attr("config", {**opened.user_attrs["config"], "files": place.as_uri()})
    write_config(study, opened.user_attrs["config"])
    shutil.rmtree(study / "trials")
    assert doctor(study).stdout == "study: nothing to repair\n"
    assert write_backup(study, tmp_path / "b.tar").missing_weights == ()
    (place / "trials" / "00002" / WEIGHTS).unlink()
    (line,) = doctor(study).stdout.splitlines()
    assert line.startswith("error weights-missing: trials/00002/model.safetensors: ")
    assert write_backup(study, tmp_path / "b.tar").missing_weights == (2,)
    assert not (study / "trials").exists()

    opened.set_user_attr("config", {**opened.user_attrs["config"], "files": "nothing://x"})
    write_config(study, opened.user_attrs["config"])
    (line,) = doctor(study).stdout.splitlines()
    assert line.startswith("warning files-unreachable: files: ")
    assert line.endswith("; the weights there were not checked")


def write_config(study: Path, config: dict[str, Any]) -> None:
    (study / "study.yaml").write_text(yaml.safe_dump(config))


def test_files_that_the_next_search_cannot_write() -> None:
    """Root may write anywhere, so under root this runs as another user."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(shutil.copytree(FROZEN, Path(parent) / "study"))
        assert examine_study(folder) == []  # imports what another user may not read
        is_root = os.geteuid() == 0
        if is_root:
            for place in (folder, *folder.rglob("*")):
                os.chown(place, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            (folder / "study.db").chmod(0o444)
            (folder / "trials" / "00001").chmod(0o555)
            lines = [finding.line for finding in examine_study(folder)]
            assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["study.db", "trials/00001"]
            assert all("mode 0" in line and line.endswith("(--repair lets its owner write to it)") for line in lines)
            repaired = repair_study(folder)
            assert (len(repaired.done), repaired.left) == (2, [])
            assert examine_study(folder) == []
        finally:
            if is_root:
                os.seteuid(0)
