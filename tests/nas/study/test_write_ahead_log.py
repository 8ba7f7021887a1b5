"""A process that wrote to a study and goes on, such as a notebook: a copy of `study.db` alone has what was written."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from nas.study.annotations import Annotations
from nas.study.content import StudySnapshot
from nas.study.database.storage import open_study, write_attributes
from nas.study.database.trial_database import driving
from nas.study.layout import DATABASE


@pytest.fixture
def folder(digits_study: Path, tmp_path: Path) -> Path:
    """A copy of a study of 37 trials."""
    return shutil.copytree(digits_study, tmp_path / "study")


def copy_of(folder: Path) -> StudySnapshot:
    """The study in a copy of its file alone."""
    copy = folder.with_name("copy")
    copy.mkdir()
    shutil.copy(folder / DATABASE, copy / DATABASE)
    return StudySnapshot.of(copy)


def drive(folder: Path, study: optuna.Study) -> None:
    with driving(study, folder, None):
        study.tell(study.ask(), [0.5, 2.0, 3.0])


WRITES: dict[str, Callable[[Path, optuna.Study], object]] = {
    "a driver": drive,
    "attributes": lambda folder, _: write_attributes(folder, {"mark": 1}),
    "a note": lambda folder, _: Annotations.of_folder(folder).set_note(3, "mark"),
}


@pytest.mark.parametrize("kind", WRITES)
def test_the_file_alone_has_what_was_written(folder: Path, kind: str) -> None:
    study = open_study(folder)
    assert len(study.trials) == 37
    WRITES[kind](folder, study)
    copy = copy_of(folder)
    assert (folder / f"{DATABASE}-wal").exists()  # `study` still has the file open
    assert len(copy.trials) == (38 if kind == "a driver" else 37)
    assert copy.user_attrs == study.user_attrs
    assert [trial.state for trial in copy.trials] == [trial.state for trial in study.trials]


def test_a_reader_is_not_waited_for(folder: Path) -> None:
    study = open_study(folder)
    write_attributes(folder, {"before": 1})
    with closing(sqlite3.connect(folder / DATABASE)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM trials").fetchall()
        write_attributes(folder, {"mark": 1})
        assert study.user_attrs["mark"] == 1
        assert StudySnapshot.of(folder).user_attrs["mark"] == 1
    write_attributes(folder, {"after": 1})
    assert copy_of(folder).user_attrs == study.user_attrs
