"""The file of a study's columns, which a dashboard writes for the next one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from gzip import decompress
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.analysis import columns_cache
from nas.analysis.columns import StudyColumns
from nas.dashboard.places import StudyPlace
from nas.dashboard.study_answers import StudyAnswers
from nas.dashboard.study_feed import StudyFeed
from nas.study.database.storage import open_study
from nas.study.layout import COLUMNS

Writer = Callable[..., Path]


@pytest.fixture
def folder(digits_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of 37 trials, the last of which runs; it is large enough for the file."""
    monkeypatch.setattr(columns_cache, "MIN_SAVED_TRIALS", 20)
    return shutil.copytree(digits_study, tmp_path / "study")


def open_feed(folder: Path) -> StudyFeed:
    feed = StudyFeed(StudyPlace(key="digits", folder=folder, storage=None, name="digits"))
    feed.poll()
    assert feed.problem == ""
    return feed


def document_of(feed: StudyFeed) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(decompress(StudyAnswers(feed).document()))
    return plain


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the trials that were read from databases."""
    numbers: list[int] = []
    original = StudyColumns.update

    def update(columns: StudyColumns, trials: Any) -> list[int]:
        changed = original(columns, trials)
        numbers.extend(changed)
        return changed

    monkeypatch.setattr(StudyColumns, "update", update)
    return numbers


def test_the_next_dashboard_reads_only_what_is_new(folder: Path, read: list[int]) -> None:
    first = document_of(open_feed(folder))
    assert (read, (folder / COLUMNS).is_file()) == (list(range(37)), True)
    read.clear()
    assert document_of(open_feed(folder)) == first
    assert read == [36]
    written = (folder / COLUMNS).read_bytes()
    open_study(folder).add_trial(optuna.trial.create_trial(values=[0.99, 1e3, 1e6]))
    read.clear()
    feed = open_feed(folder)
    assert read == [36, 37]
    assert (folder / COLUMNS).read_bytes() == written  # a trial more is not worth it
    (folder / COLUMNS).unlink()
    assert document_of(feed) == document_of(open_feed(folder))


def test_it_is_written_again_when_the_study_has_grown(folder: Path) -> None:
    feed = open_feed(folder)
    written = (folder / COLUMNS).read_bytes()
    open_study(folder).add_trials([optuna.trial.create_trial(values=[0.9, 1e3, 1e6])] * 10)
    feed.poll()
    assert (folder / COLUMNS).read_bytes() != written


def test_a_file_of_a_longer_study_is_ignored(folder: Path, tmp_path: Path, read: list[int]) -> None:
    earlier = shutil.copytree(folder, tmp_path / "earlier")
    open_study(folder).add_trials([optuna.trial.create_trial(values=[0.9, 1e3, 1e6])] * 3)
    open_feed(folder)
    shutil.copy(folder / COLUMNS, earlier)
    read.clear()
    assert document_of(open_feed(earlier))["count"] == 37
    assert read == list(range(37))


def test_small_studies_have_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_cache, "MIN_SAVED_TRIALS", 38)
    open_feed(folder)
    assert not (folder / COLUMNS).exists()


def test_a_folder_that_cannot_be_written_to(folder: Path) -> None:
    (folder / COLUMNS).mkdir()  # also where this process may write anywhere
    before = sorted(folder.rglob("*"))
    assert document_of(open_feed(folder))["count"] == 37
    assert sorted(folder.rglob("*")) == before
