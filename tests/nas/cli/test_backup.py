"""`nas backup`: a copy of a study that a search writes to meanwhile is a study."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.study.content import StudySnapshot
from nas.study.layout import DATABASE, holds_study

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"
PATIENCE_S = 300.0  # with anything: machines are shared
NO_IMAGES = (
    "note images-missing: data: the decoded images of the study are missing; `nas search` on it decodes them again\n"
)
Run = Callable[..., subprocess.CompletedProcess[str]]


def states(folder: Path) -> list[TrialState]:
    return [trial.state for trial in StudySnapshot.of(folder).trials] if holds_study(folder) else []


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Iterator[Path]:
    """The folder of a study that a search with rungs works on, with four complete trials at least."""
    file = small_study_writer(tmp_path_factory.mktemp("running"), trials=10_000)
    folder = file.parent / "run"
    widths = ",".join(map(str, range(8, 130)))  # enough for the search to outlast the test
    space = [f"space.stages.0.width=[{widths}]", "space.stages.0.depth=[1,2,3,4,5,6]"]
    words = ["search", str(file), "--out", str(folder), *space, "train.epochs=6", "scheduler.name=halving"]
    with subprocess.Popen([sys.executable, "-m", "nas", *words], stdout=subprocess.DEVNULL) as search:
        end = time.monotonic() + PATIENCE_S
        while states(folder).count(TrialState.COMPLETE) < 4:
            assert search.poll() is None
            assert time.monotonic() < end, "it took too long"
            time.sleep(0.4)  # to read the study costs what the search needs
        yield folder
        assert search.poll() is None
        search.send_signal(signal.SIGINT)


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A copy of the study that version 0.1 left: three trials complete, five not, each of these with a checkpoint."""
    return Path(shutil.copytree(FROZEN, tmp_path / "study"))


def unpack(archive: Path, place: Path) -> Path:
    """Unpack `archive` as a user does; returns the folder that it holds."""
    place.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", place], check=True)
    (folder,) = place.iterdir()
    return folder


def members(archive: Path) -> set[str]:
    with tarfile.open(archive) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}


def test_a_study_is_backed_up_while_a_search_runs_and_goes_on_elsewhere(
    nas: Run, running: Path, tmp_path: Path
) -> None:
    healthy = nas("doctor", running)
    assert (healthy.returncode, healthy.stdout) == (0, f"{running}: nothing to repair\n")
    done = nas("backup", running, "copy.tar.gz", "--checkpoints", "--data", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    folder = unpack(tmp_path / "copy.tar.gz", tmp_path / "elsewhere")
    assert folder.name == record["folder"] == "copy"
    assert nas("doctor", folder).stdout == f"{folder}: nothing to repair\n"
    copied = StudySnapshot.of(folder)
    assert str(copied.content.cursor) == record["cursor"]
    complete = [trial for trial in copied.trials if trial.state == TrialState.COMPLETE]
    assert len(complete) == record["trials"]["complete"] >= 4
    paused = [trial.number for trial in copied.trials if trial.state == TrialState.RUNNING]
    assert any((copied.trial_folder(number) / "checkpoint.pt").exists() for number in paused)

    original = {trial.number: trial for trial in StudySnapshot.of(running).trials}
    for trial in complete:
        same = original[trial.number]
        assert (trial.values, trial.user_attrs.texts) == (same.values, same.user_attrs.texts)
    exported = nas("export", folder, complete[-1].number, "--out", "model")
    assert exported.returncode == 0, exported.stderr
    assert nas("status", folder).returncode == nas("report", folder).returncode == 0

    trained = len(complete) + len(paused)
    resumed = nas("search", folder / "study.yaml", "--out", folder, f"trials={trained}")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert nas("doctor", folder).stdout == f"{folder}: nothing to repair\n"
    went_on = {trial.number: trial for trial in StudySnapshot.of(folder).trials}
    assert [went_on[trial.number].values for trial in complete] == [trial.values for trial in complete]
    assert not any(went_on[number].state == TrialState.RUNNING for number in paused)
    front = {row["trial"]: row["accuracy"] for row in json.loads(nas("front", folder, "--json").stdout)}
    trials = [trial for trial in went_on.values() if trial.state == TrialState.COMPLETE]
    best = max(trial.values[0] for trial in trials if trial.values)
    assert best in front.values()
    # What both went on to train has the same values in both.
    later = {trial.user_attrs["id"]: trial.values for trial in StudySnapshot.of(running).trials if trial.values}
    common = [trial for trial in trials if trial.user_attrs["id"] in later]
    assert [trial.values for trial in common] == [later[trial.user_attrs["id"]] for trial in common]


def test_the_manifest_has_size_and_digest_of_every_file(nas: Run, frozen: Path, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in frozen.rglob("*") if file.is_file()}
    assert nas("backup", "study", "full.tar", "--checkpoints", "--data").returncode == 0
    assert {file: file.read_bytes() for file in frozen.rglob("*") if file.is_file()} == before
    folder = unpack(tmp_path / "full.tar", tmp_path / "elsewhere")
    manifest = json.loads((folder / "manifest.json").read_text())
    found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    assert found.keys() == {*manifest["files"], "manifest.json"}
    for name, entry in manifest["files"].items():
        content = found[name].read_bytes()
        assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["cursor"] == "8;1,3,4,5,6"
    for name in before.keys() - {frozen / DATABASE}:  # SQLite's copy has the same content in other bytes
        assert (folder / name.relative_to(frozen)).read_bytes() == before[name]


def test_checkpoints_and_images_only_on_request(nas: Run, frozen: Path) -> None:
    assert nas("backup", frozen, "small.tgz").returncode == 0
    names = members(Path("small.tgz"))
    assert {"study.db", "study.yaml", "operators.json", "reference.json", "fidelity/trainings.jsonl"} < names
    assert "trials/00006/model.safetensors" in names  # the weights of a trial whose outcome was not recorded
    assert not [name for name in names if name.startswith("data") or name.endswith(".pt")]


def test_complete_trials_without_weights_are_named(nas: Run, frozen: Path) -> None:
    shutil.rmtree(frozen / "trials" / "00007")
    done = nas("backup", "study", "b.tar", "--json")
    assert done.returncode == 0
    assert done.stderr == "nas: warning: study: the weights of 1 complete trial are missing: 7\n"
    assert json.loads(done.stdout)["missing_weights"] == [7]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("b.zip", "b.zip: a backup must be named NAME.tar, NAME.tar.gz, NAME.tgz"),
        (".tar", ".tar: a backup must be named"),
        ("study/study.db/b.tar", "must be a folder that can be written to"),
        ("kept.tar", "study/study.db: is damaged, and no backup was written: "),
    ],
)
@pytest.mark.usefixtures("frozen")
def test_what_cannot_be_backed_up_is_told_in_one_line(nas: Run, file: str, message: str) -> None:
    Path("kept.tar").write_text("an earlier backup")
    if file == "kept.tar":
        content = bytearray(Path("study/study.db").read_bytes())
        content[4096 * 5 : 4096 * 8] = os.urandom(4096 * 3)
        Path("study/study.db").write_bytes(content)
    done = nas("backup", "study", file)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("nas: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert Path("kept.tar").read_text() == "an earlier backup"
    assert sorted(path.name for path in Path().iterdir()) == ["kept.tar", "study"]


def test_images_that_are_missing_are_told_before_anything_is_written(nas: Run, frozen: Path) -> None:
    shutil.rmtree(frozen / "data")
    done = nas("backup", "study", "b.tar", "--data")
    assert done.returncode == 2
    assert "the study's decoded images are missing" in done.stderr
    assert not Path("b.tar").exists()


def test_a_study_on_a_server_becomes_one_in_a_file(
    nas: Run, tmp_path: Path, small_study_writer: Callable[..., Path], database: str, postgresql: Any
) -> None:
    file = small_study_writer(tmp_path, trials=3)
    searched = nas("search", file, "--out", "shared", "--storage", database)
    assert searched.returncode == 0, searched.stderr
    assert nas("doctor", "shared").stdout == "shared: nothing to repair\n"
    assert nas("backup", "shared", "b.tar").returncode == 0
    folder = unpack(tmp_path / "b.tar", tmp_path / "elsewhere")
    assert not (folder / "storage.json").exists()
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert postgresql.password.encode() not in content
    original, copied = StudySnapshot.of(tmp_path / "shared"), StudySnapshot.of(folder)
    assert [trial for trial in copied.trials if trial != original.trials[trial.number]] == []
    assert copied.attributes == {name: value for name, value in original.attributes.items() if name[:7] != "driver:"}
    assert json.loads(nas("front", folder, "--json").stdout) == json.loads(nas("front", "shared", "--json").stdout)
    examined = nas("doctor", folder)
    assert (examined.returncode, examined.stdout) == (0, NO_IMAGES)
    resumed = nas("search", folder, "trials=4")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert states(folder).count(TrialState.COMPLETE) == 4
    assert states(tmp_path / "shared").count(TrialState.COMPLETE) == 3
