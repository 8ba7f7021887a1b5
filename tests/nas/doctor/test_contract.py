"""Every check: a damage of a real study that it finds, the repair, and a second run that finds nothing more."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas import Study, StudyConfig, search
from nas.analysis.columns import StudyColumns
from nas.analysis.columns_cache import identity_of, save_columns
from nas.doctor.registry import CHECKS, check
from nas.doctor.run import Repaired, examine_study, repair_study
from nas.study.content import StudySnapshot
from nas.study.database.snapshot import copy_to_file
from nas.study.layout import CHECKPOINT, WEIGHTS

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"
OLD_S = 1_000_000_000  # time of a change, long ago
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Path:
    """The folder of a study with rungs whose search has ended; trial 0 is complete."""
    file = small_study_writer(tmp_path_factory.mktemp("doctor"), trials=5)
    config = StudyConfig.from_file(file, "train.epochs=3", "scheduler.name=halving")
    study = Study.open_or_create(file.parent / "run", config)
    assert search(study).counts["complete"] >= 1
    return study.folder


@pytest.fixture
def folder(searched: Path, tmp_path: Path) -> Path:
    """A copy of it, with a database that nobody has open."""
    copy = shutil.copytree(searched, tmp_path / "run", ignore=shutil.ignore_patterns("study.db*"))
    copy_to_file(searched / "study.db", copy / "study.db")
    return Path(copy)


def sql(folder: Path, *statements: str) -> None:
    """Change the database as another program may."""
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute("PRAGMA writable_schema=ON")
        for statement in statements:
            connection.execute(statement)


def complete(folder: Path) -> int:
    """The number of a complete trial."""
    return next(trial.number for trial in StudySnapshot.of(folder).trials if trial.state.name == "COMPLETE")


def weights(folder: Path) -> Path:
    """The weights of a complete trial."""
    return folder / "trials" / f"{complete(folder):05d}" / WEIGHTS


def set_attribute(key: str, text: str) -> Damage:
    where = f"WHERE key = '{key}' AND trial_id = (SELECT MIN(trial_id) FROM trials WHERE state = 'COMPLETE')"
    return lambda folder: sql(folder, f"UPDATE trial_user_attributes SET value_json = '{text}' {where}")


def destroy_database(folder: Path) -> None:
    (folder / "study.db").write_bytes(b"no database" * 1000)


def lose_an_index_entry(folder: Path) -> None:
    """Add a waiting trial while SQLite does not know of the index."""
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        rows = connection.execute("SELECT * FROM sqlite_master WHERE name = 'ix_trials_study_id'").fetchall()
    sql(folder, "DELETE FROM sqlite_master WHERE name = 'ix_trials_study_id'")
    number = len(StudySnapshot.of(folder).trials)
    sql(folder, f"INSERT INTO trials (number, study_id, state) VALUES ({number}, 1, 'WAITING')")
    with closing(sqlite3.connect(folder / "study.db")) as connection, connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", rows)


def train_twice(folder: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    study = optuna.load_study(study_name=None, storage=storage)
    twin = len(study.trials)
    study.add_trial(study.trials[complete(folder)])
    storage.remove_session()
    storage.engine.dispose()  # closed later, it would change files while the test compares them
    shutil.copytree(weights(folder).parent, folder / "trials" / f"{twin:05d}")


def remove_trial(folder: Path) -> None:
    (trial, *_) = [trial.number for trial in StudySnapshot.of(folder).trials if trial.state.name != "COMPLETE"]
    tables = ["user_attributes", "system_attributes", "params", "values", "intermediate_values"]
    chosen = f"(SELECT trial_id FROM trials WHERE number = {trial})"
    sql(folder, *(f"DELETE FROM trial_{table} WHERE trial_id IN {chosen}" for table in tables))
    sql(folder, f"DELETE FROM trials WHERE number = {trial}")
    shutil.rmtree(folder / "trials" / f"{trial:05d}", ignore_errors=True)


def swap_weights(folder: Path) -> None:
    shutil.copy(FROZEN / "trials" / "00000" / WEIGHTS, weights(folder))


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def keep_weights_of_a_stopped_trial(folder: Path) -> None:
    (number, *_) = [trial.number for trial in StudySnapshot.of(folder).trials if trial.state.name == "PRUNED"]
    write(f"trials/{number:05d}/{WEIGHTS}")(folder)


def pause_a_trial(folder: Path) -> Path:
    """The folder of a trial that has not ended."""
    sql(folder, "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE state = 'PRUNED'")
    (number, *_) = [trial.number for trial in StudySnapshot.of(folder).trials if trial.state.name == "RUNNING"]
    place = folder / "trials" / f"{number:05d}"
    place.mkdir(exist_ok=True, parents=True)
    return place


def leave_temporary_files(folder: Path) -> None:
    for name in (".study.yaml.999999999.tmp", "data/.x.safetensors.999999999.tmp", "study.db.new"):
        (folder / name).write_text("half")
        os.utime(folder / name, (OLD_S, OLD_S))


def save_other_columns(folder: Path) -> None:
    study = StudySnapshot.of(folder)
    columns = StudyColumns(study.objectives)
    columns.update(study.trials)
    save_columns(folder / "columns.npz", columns, study.content.cursor, identity_of(study.name, study.trials[0]))
    assert examine_study(folder) == []
    sql(folder, "UPDATE trial_values SET value = value + 1 WHERE objective = 1")


def write(name: str, content: str = "damaged") -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(content)

    return damage


def write_manifest(folder: Path) -> None:
    entry = {"size": 3, "sha256": "0" * 64}
    names = {"study": "small", "created": "2026-01-01T00:00:00+00:00", "version": "0.1.0", "cursor": "5;"}
    plain = {"schema": 1, **names, "files": {"trials/00000/model.safetensors": entry, "operators.json": entry}}
    (folder / "manifest.json").write_text(json.dumps(plain))


REPAIRED: dict[str, list[Damage]] = {
    "database-damaged": [lose_an_index_entry],
    "rows-without-trial": [
        lambda folder: sql(folder, "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (999, 'x', '1')")
    ],
    "attribute-damaged": [set_attribute("curve", "[{"), set_attribute("architecture", "5"), set_attribute("id", "{")],
    "values-unusable": [
        lambda folder: sql(folder, "UPDATE trial_values SET value = NULL, value_type = 'NAN' WHERE objective = 0"),
        lambda folder: sql(folder, "DELETE FROM trial_values"),
    ],
    "checkpoint-left": [lambda folder: write(f"trials/{complete(folder):05d}/{CHECKPOINT}")(folder)],
    "checkpoint-damaged": [lambda folder: (pause_a_trial(folder) / CHECKPOINT).write_text("damaged")],
    "weights-left": [keep_weights_of_a_stopped_trial],
    "temporary-file": [leave_temporary_files],
    "folder-left": [write("workers/worker.json"), write("ray/file"), lambda f: (f / "workers").symlink_to(f / "data")],
    "orphan-folder": [write("trials/00099/model.safetensors")],
    "columns-stale": [write("columns.npz")],
    "images-damaged": [
        write("data/digits-x.safetensors"), lambda folder: flip_a_bit(next((folder / "data").glob("*.safetensors"))),
    ],
    "images-unused": [lambda f: shutil.copy(*(FROZEN / "data").iterdir(), f / "data")],
    "lock-irregular": [lambda f: ((f / "lock").unlink(), (f / "lock").symlink_to(f / "study.yaml"))],
    "config-unusable": [lambda f: (f / "study.yaml").unlink(), write("study.yaml", "space: ["), write("study.yaml", "a: 1")],
    "manifest-damaged": [
        write("manifest.json"), write("manifest.json", "[]"),
        write("manifest.json", '{"schema": 1, "files": {"../../x": {"size": 1, "sha256": "0"}}}'),
    ],
}  # fmt: skip
"""Check -> damages that it finds alone, and that its repair undoes."""

ONLY_LOST = {"checkpoint-damaged"}
"""Checks of whose damage the repair brings nothing back: a trial that is open is part of it."""

NOTED_AFTERWARDS = {"images-damaged": {"images-missing"}}
"""Check -> what needs no repair after its own: the next search decodes the images again."""

LEFT: dict[str, tuple[Damage, set[str]]] = {
    "database-unreadable": (destroy_database, set()),
    "architecture-damaged": (set_attribute("id", '"0123456789ab"'), {"weights-foreign"}),
    "trained-twice": (train_twice, set()),
    "rungs-inconsistent": (
        lambda folder: sql(folder, "UPDATE trial_intermediate_values SET step = 2"), set()
    ),
    "trial-removed": (remove_trial, set()),
    "weights-missing": (lambda folder: weights(folder).unlink(), set()),
    "weights-damaged": (lambda folder: flip_a_bit(weights(folder)), set()),
    "weights-foreign": (swap_weights, set()),
    "images-missing": (lambda folder: shutil.rmtree(folder / "data"), set()),
    "backup-differs": (write_manifest, set()),
}  # fmt: skip
"""Check -> a damage that it finds and that nothing repairs, and the other checks that find it, too."""

ELSEWHERE = {"not-writable", "files-unreachable"}
"""Checks with a test of their own."""


def codes(folder: Path) -> set[str]:
    return {finding.code for finding in examine_study(folder)}


def state(folder: Path) -> dict[str, bytes]:
    """The content of every file, apart from the lock."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "lock"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def trials(folder: Path) -> list[tuple[Any, ...]]:
    content = StudySnapshot.of(folder)
    return [(t.number, t.state, t.values, dict(t.user_attrs), dict(t.intermediate_values)) for t in content.trials]


def test_every_check_has_a_damage() -> None:
    assert CHECKS.keys() == REPAIRED.keys() | LEFT.keys() | ELSEWHERE


def test_a_code_is_registered_once() -> None:
    with pytest.raises(ValueError, match="check 'weights-missing' is registered already"):
        check("weights-missing", "error")(lambda study: iter(()))


def test_a_healthy_study_has_no_finding(folder: Path) -> None:
    before = state(folder)
    assert examine_study(folder) == []
    assert repair_study(folder) == Repaired([], [], [], None)
    assert state(folder) == before


def test_a_study_of_version_0_1_that_was_killed_has_no_finding(tmp_path: Path) -> None:
    shutil.copytree(FROZEN, tmp_path / "study")
    assert examine_study(tmp_path / "study") == []


@pytest.mark.parametrize(
    ("code", "damage"), [(code, damage) for code, damages in REPAIRED.items() for damage in damages]
)
def test_what_is_repaired(folder: Path, code: str, damage: Damage) -> None:
    before, number = trials(folder), complete(folder)
    kept = weights(folder).read_bytes()
    damage(folder)
    if code in ONLY_LOST:
        before = trials(folder)
    assert codes(folder) == {code}
    repaired = repair_study(folder)
    assert {finding.code for finding in repaired.done} == {code}
    assert repaired.failed == []
    assert {finding.code for finding in repaired.left} <= NOTED_AFTERWARDS.get(code, set())
    assert trials(folder)[: len(before)] == before
    assert (folder / "trials" / f"{number:05d}" / WEIGHTS).read_bytes() == kept
    assert repair_study(folder).done == []
    assert not any(finding.needs_repair for finding in examine_study(folder))


@pytest.mark.parametrize("code", LEFT)
def test_what_is_left_to_the_user_stays_as_it_is(folder: Path, code: str) -> None:
    damage, others = LEFT[code]
    damage(folder)
    before = state(folder)
    found = examine_study(folder)
    assert {finding.code for finding in found} == {code, *others}
    repaired = repair_study(folder)
    assert (repaired.done, repaired.failed, repaired.removed) == ([], [], None)
    assert [finding.line for finding in repaired.left] == [finding.line for finding in found]
    assert state(folder) == before


def test_an_attribute_that_the_weights_do_not_have_is_moved_away(folder: Path) -> None:
    set_attribute("segments", '"none"')(folder)
    (finding,) = examine_study(folder)
    assert finding.line.endswith(
        "the attribute segments has another type, found '\"none\"' (--repair moves it to rows.jsonl in removed-DATE)"
    )
    removed = repair_study(folder).removed
    assert removed is not None
    assert json.loads((removed / "rows.jsonl").read_text())["value_json"] == '"none"'
    assert "segments" not in StudySnapshot.of(folder).trials[complete(folder)].user_attrs


def test_columns_with_other_values_are_deleted(folder: Path) -> None:
    save_other_columns(folder)
    assert "columns-stale" in codes(folder)
    repair_study(folder)
    assert not (folder / "columns.npz").exists()


def test_a_damaged_index_of_more_than_indices_is_not_repaired(folder: Path) -> None:
    lose_an_index_entry(folder)
    (finding,) = examine_study(folder)
    assert "missing from index" in finding.line
    assert finding.line.endswith("(--repair makes its indices again)")
