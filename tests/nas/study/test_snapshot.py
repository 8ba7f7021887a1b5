"""Copies of a database in memory: whole, current, and without a trace in the folder."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from nas.errors import UsageError
from nas.study.database.snapshot import copy_to_memory
from nas.study.database.storage import create_study, open_study, read_study
from nas.study.stored import StoredStudy


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a write-ahead log, closed: one table with one row."""
    file = tmp_path / "50% of #1?{x}" / "study.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE numbers (value INTEGER)")
        connection.execute("INSERT INTO numbers VALUES (1)")
        connection.commit()
    return file


@pytest.fixture
def writer(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """File -> time of its last change, and content; that of the shared memory is no more than locks and an index."""
    return {
        file.name: (0, b"") if file.suffix == ".db-shm" else (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.iterdir()
    }


def values(database: Path) -> list[int]:
    with closing(copy_to_memory(database)) as memory:
        return [value for (value,) in memory.execute("SELECT value FROM numbers ORDER BY value")]


def insert(connection: sqlite3.Connection, value: int) -> None:
    connection.execute("INSERT INTO numbers VALUES (?)", (value,))
    connection.commit()


def test_a_closed_database_is_read_and_nothing_is_left(database: Path) -> None:
    before = state_of(database.parent)
    assert values(database) == [1]
    assert state_of(database.parent) == before


def test_what_a_search_has_written_is_seen_and_what_it_is_writing_is_not(
    database: Path, writer: sqlite3.Connection
) -> None:
    insert(writer, 2)
    writer.execute("INSERT INTO numbers VALUES (3)")
    before = state_of(database.parent)
    assert set(before) == {"study.db", "study.db-wal", "study.db-shm"}
    assert values(database) == [1, 2]
    assert state_of(database.parent) == before


@pytest.mark.parametrize("missing", ["", "study.db-shm"])
def test_what_a_crash_left_is_read_and_stays(database: Path, writer: sqlite3.Connection, missing: str) -> None:
    insert(writer, 2)
    crashed = shutil.copytree(database.parent, database.parent.with_name("crashed"))
    (crashed / (missing or "none")).unlink(missing_ok=True)
    before = state_of(crashed)
    assert values(crashed / "study.db") == [1, 2]
    assert state_of(crashed) == before


def test_a_rollback_journal_that_a_crash_left_is_applied(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("CREATE TABLE numbers (value INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(5000)])
        connection.commit()
        connection.execute("PRAGMA cache_size=1")  # so that pages are written before the end of the transaction
        connection.execute("UPDATE numbers SET value = -1")
        crashed = shutil.copytree(tmp_path, tmp_path.with_name("crashed"))
        connection.rollback()
    assert (crashed / "study.db-journal").exists()
    before = state_of(crashed)
    assert values(crashed / "study.db") == list(range(5000))
    assert state_of(crashed) == before


def test_every_copy_is_whole_while_another_thread_writes(database: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 2
        while not stop.is_set():
            with closing(sqlite3.connect(database, timeout=60)) as connection:  # the last to close removes the log
                connection.execute("PRAGMA synchronous=OFF")
                connection.executemany("INSERT INTO numbers VALUES (?)", [(number,), (number + 1,)])
                connection.commit()
            number += 2

    thread = threading.Thread(target=write)
    thread.start()
    try:
        lengths = [
            len(found) for found in (values(database) for _ in range(50)) if found == [*range(1, len(found) + 1)]
        ]
    finally:
        stop.set()
        thread.join()
    assert len(lengths) == 50
    assert all(length % 2 for length in lengths)  # a row at the start, then two in each transaction
    assert lengths == sorted(lengths)


def test_a_study_that_is_read_refuses_to_be_changed(tmp_path: Path) -> None:
    create_study(tmp_path, "mine", ["maximize"], {"a": 1}, ["accuracy"])
    study = read_study(tmp_path)
    assert (study.study_name, study.user_attrs, study.metric_names) == ("mine", {"a": 1}, ["accuracy"])
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.set_user_attr("a", 2)
    assert open_study(tmp_path).user_attrs == {"a": 1}


def test_test_accuracies_are_stored_through_a_study_that_was_read(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    create_study(tmp_path / "made", "mine", ["maximize"], {})
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(tmp_path / "made" / "study.db", folder)
    StoredStudy.read(folder).set_test_results({"0": 0.5}, {})
    assert StoredStudy.read(folder).test_accuracy == {"0": 0.5}
    assert [file.name for file in folder.iterdir()] == ["study.db"]


def test_a_study_of_a_later_optuna_is_refused_in_one_line(tmp_path: Path) -> None:
    create_study(tmp_path, "mine", ["maximize"], {})
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.9.9'")
        connection.commit()
    for read in (read_study, open_study):
        with pytest.raises(
            UsageError, match=r"cannot be read as a study: The runtime optuna version .* upda"
        ) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)
