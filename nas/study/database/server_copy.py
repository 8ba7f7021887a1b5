"""Copies a study from a database server into a new SQLite file: all rows as they are, read in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import optuna

from nas.study.database.connections import Query, Row
from nas.study.database.drivers import DRIVERS
from nas.study.database.server import open_place
from nas.study.database.storage_url import StoragePlace
from nas.study.database.tables import chunks, find_study

STUDY_TABLES: Final = ("studies", "study_directions", "study_user_attributes", "study_system_attributes")
TRIAL_TABLES: Final = (
    "trials",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
)
"""Optuna's tables of the schema `nas.study.database.tables.SCHEMA_VERSION`, those that others refer to first."""


def copy_server_study(place: StoragePlace, file: Path) -> None:
    """Copy the study at `place` into the new SQLite `file`, as it is at one moment. The drivers of the study are left out.

    Raises:
        UsageError: the database cannot be read, or has no such study.
    """
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")  # creates the tables
    storage.remove_session()
    storage.engine.dispose()
    with closing(sqlite3.connect(file)) as copy, copy:
        columns = {table: _columns(copy, table) for table in (*STUDY_TABLES, *TRIAL_TABLES)}

        def write(query: Query) -> None:
            for table, rows in _rows(query, find_study(query, str(place), place.name)[0], columns):
                marks = ", ".join("?" * len(columns[table]))
                copy.executemany(f"INSERT INTO {table} ({', '.join(columns[table])}) VALUES ({marks})", rows)

        open_place(place).read(write)


def _columns(copy: sqlite3.Connection, table: str) -> list[str]:
    return [str(name) for _, name, *_ in copy.execute(f"PRAGMA table_info({table})")]


def _rows(query: Query, study: int, columns: dict[str, list[str]]) -> Iterator[tuple[str, list[Row]]]:
    """Table and rows of the study with the id `study`, a few trials at a time."""
    for table in STUDY_TABLES:
        rows = query(f"SELECT {', '.join(columns[table])} FROM {table} WHERE study_id = ?", (study,))
        key = columns[table].index("key") if table == "study_user_attributes" else None
        yield table, [_plain(row) for row in rows if key is None or not str(row[key]).startswith(DRIVERS)]
    numbers = [row[0] for row in query("SELECT trial_id FROM trials WHERE study_id = ? ORDER BY trial_id", (study,))]
    for chosen in chunks(numbers):
        marks = ", ".join("?" * len(chosen))
        for table in TRIAL_TABLES:
            sql = f"SELECT {', '.join(columns[table])} FROM {table} WHERE trial_id IN ({marks})"
            yield table, [_plain(row) for row in query(sql, chosen)]


def _plain(row: Sequence[Any]) -> Row:
    """The row as SQLite holds it: SQLAlchemy writes times as text."""
    return tuple(
        value.isoformat(sep=" ", timespec="microseconds") if isinstance(value, datetime) else value for value in row
    )
