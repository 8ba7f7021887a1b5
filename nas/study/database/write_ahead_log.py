"""The write-ahead log of a study's file: what is written goes into it first, and is moved to the file later.

SQLite moves it when the last connection is closed. A process that goes on, such as a notebook, may keep one open.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress


def move_log(connection: sqlite3.Connection) -> None:
    """Move what the log holds to the file, so that a copy of the file has it; what somebody still reads stays. Does not wait."""
    with suppress(sqlite3.DatabaseError):  # such as a full disk: the log keeps it
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
