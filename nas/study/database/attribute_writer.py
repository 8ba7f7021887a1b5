"""Changes one user attribute of a study in one transaction, which Optuna's interface cannot: it reads and writes apart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from nas.errors import MachineError, UsageError
from nas.study.database.connections import FileDatabase, Query, Row, missing_study
from nas.study.database.tables import find_study
from nas.study.database.write_ahead_log import move_log
from nas.study.layout import may_write
from trainers.json_text import parse_json

BUSY_TIMEOUT_S = 60  # the longest time that SQLite waits for another process that writes
Merge = Callable[[Any], Any]
"""Maps the stored value of an attribute (None: there is none) to the new one, both plain JSON."""


class AttributeWriter(Protocol):
    """Changes user attributes of one study."""

    def update(self, key: str, merge: Merge, trial: int) -> Any:
        """Replace the attribute `key` by what `merge` makes of it; returns the new value.

        Args:
            key: the user attribute of the study.
            merge: computes the new value.
            trial: the number of the trial that the change is about, which must exist.

        Raises:
            UsageError: there is no such study or trial, or `merge` refuses.
            MachineError: the database cannot be written.
        """
        ...


class FileWriter:
    """Changes attributes of a study in a file, and closes the file, which then has all that was written.

    Args:
        file: the SQLite file.
        name: the name of the study; None: the first one.
    """

    def __init__(self, file: Path, name: str | None = None) -> None:
        self.file = file
        self.name = name

    def update(self, key: str, merge: Merge, trial: int) -> Any:
        """Replace the attribute `key` (see `AttributeWriter`)."""
        if not self.file.is_file():
            raise missing_study(self.file)
        if not (may_write(self.file) and may_write(self.file.parent)):
            raise UsageError(f"{self.file.parent}: is read-only; notes and pins cannot be stored")
        study = FileDatabase(self.file).read(lambda query: find_study(query, str(self.file), self.name)[0])
        url = f"{self.file.resolve().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # as a search does: readers and writers do not wait
                connection.execute("BEGIN IMMEDIATE")
                value = replace_attribute(partial(_query, connection), study, key, merge, trial)
                connection.execute("COMMIT")
                move_log(connection)
                return value
        except sqlite3.DatabaseError as error:
            raise MachineError(f"{self.file}: cannot be written: {error}") from error


def _query(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    return connection.execute(sql, parameters).fetchall()


def replace_attribute(
    query: Query, study: int, key: str, merge: Merge, trial: int | None = None, key_column: str = "key"
) -> Any:
    """Replace the user attribute `key` of the study with the id `study`, within a transaction that excludes other writers.

    Args:
        query: runs SQL.
        study: the id of the study.
        key: the attribute.
        merge: computes the new value.
        trial: the number of a trial, which must exist; None: the change is about none.
        key_column: the column `key`, quoted where that is a word of SQL.
    """
    if trial is not None and not query("SELECT trial_id FROM trials WHERE study_id = ? AND number = ?", (study, trial)):
        raise UsageError(f"trial {trial}: the study has no such trial")
    table, where = "study_user_attributes", f"WHERE study_id = ? AND {key_column} = ?"
    rows = query(f"SELECT value_json FROM {table} {where}", (study, key))
    try:
        stored = parse_json(rows[0][0]) if rows else None
    except (ValueError, TypeError):
        raise UsageError(f"the attribute {key} of the study is damaged; nothing was written") from None
    value = merge(stored)
    text = json.dumps(value)
    if rows:
        query(f"UPDATE {table} SET value_json = ? {where}", (text, study, key))
    else:
        query(f"INSERT INTO {table} (study_id, {key_column}, value_json) VALUES (?, ?, ?)", (study, key, text))
    return value
