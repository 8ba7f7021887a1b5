"""Folders and files that hold no study: an error in one line, as wrong use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.study.database.storage import open_study


def test_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        open_study(tmp_path)


@pytest.mark.parametrize("content", [b"no database at all, but text\n", b"SQLite format 3\0" + bytes(200)])
def test_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.db").write_bytes(content)
    with pytest.raises(UsageError, match=r"study\.db: cannot be read as a study: ") as caught:
        open_study(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "study.db").read_bytes() == content


def test_an_empty_file_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    with pytest.raises(UsageError, match=r"study\.db: holds no study; remove the folder and search again"):
        open_study(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.commit()
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(UsageError, match=r"study\.db: holds no study"):
        open_study(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_folder_whose_name_is_special_in_a_url(tmp_path: Path, study_writer: Callable[..., Path]) -> None:
    folder = study_writer(tmp_path / "50% of #1", name="mine")
    assert open_study(folder).study_name == "mine"
