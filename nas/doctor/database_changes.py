"""Changes of the database of a study by SQL, for what Optuna's interface cannot reach. Each is one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from nas.errors import MachineError

BUSY_TIMEOUT_S = 60  # the longest time that SQLite waits for another process that writes


@contextmanager
def changing(database: Path) -> Iterator[sqlite3.Connection]:
    """Yields a connection in a transaction that excludes other writers, committed at the end of the block.

    Raises:
        MachineError: the database cannot be written.
    """
    url = f"{database.resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise MachineError(f"{database}: cannot be repaired: {error}") from error


def take_row(connection: sqlite3.Connection, table: str, row_id: int) -> dict[str, Any] | None:
    """Delete the row `row_id` of `table`; returns its content, or None if there is none."""
    quoted = '"' + table.replace('"', '""') + '"'
    row = connection.execute(f"SELECT * FROM {quoted} WHERE rowid = ?", (row_id,)).fetchone()
    if row is None:
        return None
    connection.execute(f"DELETE FROM {quoted} WHERE rowid = ?", (row_id,))
    return {"table": table, **dict(row)}


def trial_id(connection: sqlite3.Connection, study_name: str, number: int) -> int:
    """The id of the trial `number` of the study `study_name`."""
    sql = "SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = ? AND number = ?"
    (found,) = connection.execute(sql, (study_name, number)).fetchone()
    return int(found)


def attribute_row(connection: sqlite3.Connection, trial: int, name: str) -> int | None:
    """The row of the user attribute `name` of the trial with the id `trial`."""
    sql = "SELECT rowid FROM trial_user_attributes WHERE trial_id = ? AND key = ?"
    row = connection.execute(sql, (trial, name)).fetchone()
    return None if row is None else int(row[0])


def add_attribute(connection: sqlite3.Connection, trial: int, name: str, value: Any) -> None:
    """Add the user attribute `name` to the trial with the id `trial`, which has none."""
    sql = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)"
    connection.execute(sql, (trial, name, json.dumps(value)))


def replace_values(connection: sqlite3.Connection, trial: int, values: Sequence[float]) -> list[dict[str, Any]]:
    """Replace the values of the trial with the id `trial`; returns the rows of the old ones."""
    old = connection.execute("SELECT * FROM trial_values WHERE trial_id = ?", (trial,)).fetchall()
    connection.execute("DELETE FROM trial_values WHERE trial_id = ?", (trial,))
    for objective, value in enumerate(values):
        sql = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')"
        connection.execute(sql, (trial, objective, value))
    return [{"table": "trial_values", **dict(row)} for row in old]
