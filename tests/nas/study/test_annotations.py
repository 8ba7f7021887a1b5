"""Notes and pins of trials: what is stored, limits, and writers at the same time."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from nas.errors import MachineError, UsageError
from nas.study.annotations import MAX_NOTE_CHARACTERS, MAX_PINS, Annotations, notes_of, pins_of
from nas.study.content import StudySnapshot
from nas.study.database.reader import StudyReader
from nas.study.database.storage import open_study


@pytest.fixture
def folder(digits_study: Path, tmp_path: Path) -> Path:
    """A copy of a study of 37 trials."""
    return shutil.copytree(digits_study, tmp_path / "study")


def test_notes_and_pins_are_attributes_of_the_study(folder: Path) -> None:
    annotations = Annotations.of_folder(folder)
    assert annotations.set_note(12, "again with <b>more</b> epochs \U0001f9ea\0") == {
        12: "again with <b>more</b> epochs \U0001f9ea\0"
    }
    assert annotations.set_note(3, "seed?") == {3: "seed?", 12: "again with <b>more</b> epochs \U0001f9ea\0"}
    assert annotations.set_note(12, " \n") == {3: "seed?"}
    assert [annotations.pin(number) for number in (15, 12, 15)] == [[15], [15, 12], [15, 12]]
    study = open_study(folder)
    assert (study.user_attrs["notes"], study.user_attrs["pins"]) == ({"3": "seed?"}, [15, 12])
    assert pins_of(StudySnapshot.of(folder).user_attrs) == [15, 12]
    assert notes_of(study.user_attrs) == {3: "seed?"}
    assert annotations.unpin(15) == [12]
    assert annotations.unpin(0) == [12]


def test_a_change_leaves_no_other_file_and_other_attributes_as_they_are(folder: Path) -> None:
    before = open_study(folder).user_attrs
    optuna.storages.get_storage(f"sqlite:///{folder / 'study.db'}").remove_session()
    files = {file.name for file in folder.iterdir()} - {"study.db-wal", "study.db-shm"}
    Annotations.of_folder(folder).pin(1)
    assert StudySnapshot.of(folder).user_attrs == {**before, "pins": [1]}
    assert {file.name for file in folder.iterdir()} - {"study.db-wal", "study.db-shm"} == files


def test_while_a_search_has_the_study_open(folder: Path) -> None:
    study = open_study(folder)
    trial = study.ask()
    reader = StudyReader.of_folder(folder)
    cursor = reader.read().cursor
    Annotations.of_folder(folder).set_note(trial.number, "it runs")
    changes = reader.read(cursor)
    assert changes.attributes is not None
    assert notes_of(changes.attributes) == {37: "it runs"}
    study.tell(trial, [0.5, 1e5, 10.0])
    assert study.user_attrs["notes"] == {"37": "it runs"}


def test_limits(folder: Path) -> None:
    annotations = Annotations.of_folder(folder)
    longest = "x" * MAX_NOTE_CHARACTERS
    assert annotations.set_note(0, longest) == {0: longest}
    with pytest.raises(UsageError, match=r"trial 1: a note must have at most 10,000 characters, found 10,001"):
        annotations.set_note(1, longest + "x")
    for change in (lambda: annotations.set_note(37, "x"), lambda: annotations.pin(37), lambda: annotations.unpin(-1)):
        with pytest.raises(UsageError, match=r"trial (37|-1): the study has no such trial"):
            change()
    open_study(folder).set_user_attr("pins", [*range(1000, 1000 + MAX_PINS)])
    with pytest.raises(UsageError, match=r"trial 3: at most 100 trials can be pinned, found 100"):
        annotations.pin(3)
    assert StudySnapshot.of(folder).user_attrs["notes"] == {"0": longest}


def test_attributes_of_these_names_that_others_wrote(folder: Path) -> None:
    study = open_study(folder)
    study.set_user_attr("notes", ["text"])
    study.set_user_attr("pins", {"a": 1})
    annotations = Annotations.of_folder(folder)
    assert annotations.set_note(1, "mine") == {1: "mine"}
    assert annotations.pin(1) == [1]


@pytest.mark.parametrize("damaged", ['{"4": ', '{"4":' * 100_000, "9" * 5_000, b"\xff"])
def test_damaged_notes_are_not_overwritten(folder: Path, damaged: str | bytes) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        sql = "INSERT OR REPLACE INTO study_user_attributes(study_id, key, value_json) VALUES (1, 'notes', ?)"
        connection.execute(sql, (damaged,))
        connection.commit()
        with pytest.raises(UsageError, match="the attribute notes of the study is damaged"):
            Annotations.of_folder(folder).set_note(1, "x")
        rows = connection.execute("SELECT value_json FROM study_user_attributes WHERE key = 'notes'").fetchall()
    assert rows == [(damaged,)]


def test_studies_in_one_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'both.db'}"
    for name in ("first", "second"):
        optuna.create_study(study_name=name, storage=url).ask()
    assert Annotations.of_storage(url, "second").pin(0) == [0]
    attributes = [optuna.load_study(study_name=name, storage=url).user_attrs for name in ("first", "second")]
    assert attributes == [{}, {"pins": [0]}]
    with pytest.raises(UsageError, match="holds no study 'third'"):
        Annotations.of_storage(url, "third").pin(0)


ANNOTATE = """
import sys
from pathlib import Path
from nas.study.annotations import Annotations

annotations = Annotations.of_folder(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 30, 2):
    annotations.set_note(number, f"note {number}")
    annotations.pin(number)
"""


def test_two_processes_lose_nothing_of_each_other(folder: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", ANNOTATE, str(folder), str(first)]) for first in (0, 1)]
    assert [process.wait() for process in processes] == [0, 0]
    study = StudySnapshot.of(folder)
    assert notes_of(study.user_attrs) == {number: f"note {number}" for number in range(30)}
    assert sorted(pins_of(study.user_attrs)) == list(range(30))


def test_no_study_and_a_damaged_one(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no study \(study\.db is missing\)"):
        Annotations.of_folder(tmp_path).pin(0)
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.execute("DROP TABLE study_user_attributes")
        connection.commit()
    with pytest.raises(MachineError, match=r"study\.db: cannot be written: no such table"):
        Annotations.of_folder(folder).pin(0)
