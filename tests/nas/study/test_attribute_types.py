"""Attributes that another program wrote: values of a wrong type count as missing, and hide nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from nas.analysis.columns import StudyColumns
from nas.analysis.results import Results
from nas.dashboard.loaded_study import LoadedStudy
from nas.dashboard.places import StudyPlace
from nas.errors import UsageError
from nas.page.analysis import analysis
from nas.page.detail import StudyContext, trial_detail
from nas.page.detail_chunks import detail_chunks
from nas.page.packing import json_bytes
from nas.study.attribute_types import study_value, trial_value
from nas.study.content import StudySnapshot

GARBAGE = (
    "text",
    -5,
    1e300,
    float("nan"),
    float("inf"),
    10**400,
    True,
    [],
    {},
    [1, "a", None],
    [{}],
    {"a": [1, "b"]},
    [{"epoch": "x", "val_accuracy": "y", "wall_s": [], "start": "z"}],
    {"stages": [{"mixer": 3, "depth": "x"}, None]},
    {"images_per_s_interval": ["a", 0], "batch_size": "b"},
    {"accuracy": ["a", "b", "c"]},
)
ODD = 3
"""The number of the trial that is odd."""


@contextmanager
def edited(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database of the study in `folder`, committed at the end."""
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        yield connection
        connection.commit()


@pytest.fixture
def copied(tmp_path: Path, digits_study: Path) -> Path:
    """A copy of the database of `digits_study`."""
    copyfile(digits_study / "study.db", tmp_path / "study.db")
    return tmp_path


def show(folder: Path, numbers: Sequence[int] = (ODD,)) -> dict[str, Any]:
    """Everything that a page shows of the study in `folder` and of its trials `numbers`; returns its document."""
    loaded = LoadedStudy(StudyPlace.of_folder(folder))
    document = loaded.page.document()
    context = StudyContext.of(folder, loaded.page.info.attributes)
    json_bytes(document)
    for number in numbers:
        json_bytes(trial_detail(loaded.reader.trial(number), context))
    study = StudySnapshot.of(folder)
    columns = StudyColumns(study.objectives)
    columns.update(study.trials)
    json_bytes(analysis(Results.of(study), columns))
    detail_chunks(study.trials, context, numbers)
    return document


def test_trials_of_garbage_hide_nothing_of_the_others(copied: Path) -> None:
    count = len(StudySnapshot.of(copied).trials)
    names = ("throughput", "latency", "predicted", "until", "retried_from", "seed", "refused", "failure", "train_s")
    with edited(copied) as connection:
        for number, garbage in enumerate(GARBAGE):
            text = json.dumps(garbage)
            (trial,) = connection.execute("SELECT trial_id FROM trials WHERE number = ?", (number,)).fetchone()
            connection.execute("UPDATE trial_user_attributes SET value_json = ? WHERE trial_id = ?", (text, trial))
            connection.executemany(
                "INSERT OR REPLACE INTO trial_user_attributes(trial_id, key, value_json) VALUES (?, ?, ?)",
                [(trial, name, text) for name in names],
            )
    document = show(copied, range(len(GARBAGE)))
    assert document["count"] == count > len(GARBAGE)
    described = [trial.number for trial in StudySnapshot.of(copied).trials if trial.user_attrs.get("architecture")]
    assert set(range(len(GARBAGE), count - 1)) <= set(described)


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda value: repr(value)[:30])
def test_a_study_of_garbage_shows_its_trials(copied: Path, garbage: object) -> None:
    names = "notes pins test_accuracy test_confusion dataset config environments target space_size end_reason"
    with edited(copied) as connection:
        connection.execute("DELETE FROM study_user_attributes WHERE key != 'objectives'")
        connection.executemany(
            "INSERT INTO study_user_attributes(study_id, key, value_json) VALUES (1, ?, ?)",
            [(name, json.dumps(garbage)) for name in names.split()],
        )
    document = show(copied)
    assert document["count"] == len(StudySnapshot.of(copied).trials)
    assert document["notes"] == {}


@pytest.mark.parametrize("stored", ["text", [], [{}], [1, 2, 3], [{"name": [], "direction": "minimize"}] * 3])
def test_a_study_needs_its_objectives(copied: Path, stored: object) -> None:
    with edited(copied) as connection:
        connection.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'objectives'", (json.dumps(stored),)
        )
    with pytest.raises(UsageError, match="attribute `objectives`"):
        LoadedStudy(StudyPlace.of_folder(copied))


def test_numbers_of_removed_trials_stay_empty(copied: Path) -> None:
    count = len(StudySnapshot.of(copied).trials)
    with edited(copied) as connection:
        connection.execute("DELETE FROM trials WHERE number IN (0, 5, 6)")
    document = show(copied)
    trials = StudySnapshot.of(copied).trials
    assert document["count"] == count
    assert [trial.number for trial in trials] == list(range(count))
    assert [trial.number for trial in trials if trial.user_attrs.get("failure", "").endswith("database")] == [0, 5, 6]
    loaded = LoadedStudy(StudyPlace.of_folder(copied))
    cursor = loaded.reader.read().cursor
    assert not loaded.reader.read(cursor).trials


def test_a_trial_with_too_few_values_has_none(copied: Path) -> None:
    before = [trial.number for trial in StudySnapshot.of(copied).trials if trial.values is None]
    with edited(copied) as connection:
        connection.execute("DELETE FROM trial_values WHERE objective = 1 AND trial_id = ?", (ODD + 1,))
    show(copied)
    assert [trial.number for trial in StudySnapshot.of(copied).trials if trial.values is None] == sorted([*before, ODD])


def test_values_that_fit_stay() -> None:
    assert trial_value("curve", [{"val_accuracy": 0.5, "wall_s": None, "new": "text"}]) is not None
    assert trial_value("segments", [{"start": 1.5, "end": None, "worker": 3}]) is not None
    assert trial_value("segments", [{"end": 1.5}]) is None
    assert trial_value("not ours", "text") == "text"
    assert study_value("pins", [1, True, -1, "a", 2]) == [1, 2]
    assert study_value("notes", {"1": "text", "x": "text", "2": 3, "9" * 5000: "text"}) == {"1": "text"}
    assert study_value("config", {"train": 3, "limits": {"macs": "x"}, "seed": 1}) == {"seed": 1}
