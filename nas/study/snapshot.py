"""A copy in memory of the database of a study, made without writing to the folder that holds it.

Commands that only read use it: the folder may be read-only, and no file appears, goes or is written in it.
The copy is consistent even while a search writes. What SQLite allows depends on the files beside the database:

- none: no other process has the database open, so it is read as immutable. The other modes would create files.
- `-wal` and `-shm`: a search has the database open. SQLite reads the write-ahead log too, and locks in `-shm`, where it may,
  that it reads. (`readonly_shm` would leave that file as it is, but then no other connection of this process could write.)
- `-wal` without `-shm`, or `-journal`: left by a crash, or copied. SQLite would have to write, so it gets a private copy.

The first and the last are repeated if the files change meanwhile.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

MAX_ATTEMPTS = 20
RETRY_DELAY_S = 0.05
SUFFIXES = ("-wal", "-shm", "-journal")
"""Of SQLite's own files beside a database."""

_Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


def copy_to_memory(database: Path) -> sqlite3.Connection:
    """A connection to a copy of `database` in memory, which any thread may use.

    Raises:
        sqlite3.DatabaseError: it is no database, or it changes too often to be read.
        OSError: it cannot be read.
    """
    for _ in range(MAX_ATTEMPTS):
        before = _signature(database)
        memory = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            is_consistent = _copy(database, memory)
        except (sqlite3.DatabaseError, OSError):
            memory.close()
            if _signature(database) == before:
                raise
        else:
            if is_consistent or _signature(database) == before:
                return memory
            memory.close()
        time.sleep(RETRY_DELAY_S)
    raise sqlite3.OperationalError("it changes while it is read; try again")


def _copy(database: Path, memory: sqlite3.Connection) -> bool:
    """Copy `database`; returns True if SQLite's locks make sure that the copy is consistent."""
    wal, shm, journal = (_beside(database, suffix).exists() for suffix in SUFFIXES)
    if wal and shm:
        _backup(database, "mode=ro", memory)
        return True
    if not wal and not journal:
        _backup(database, "mode=ro&immutable=1", memory)
        return False
    with tempfile.TemporaryDirectory(prefix="mixfront-") as folder:
        for suffix in ("", "-wal", "-journal"):
            if (file := _beside(database, suffix)).exists():
                shutil.copyfile(file, _beside(Path(folder) / "copy.db", suffix))
        _backup(Path(folder) / "copy.db", "mode=rw", memory)
    return False


def _backup(database: Path, query: str, memory: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?{query}", uri=True)) as source:
        source.backup(memory)


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _signature(database: Path) -> _Signature:
    """Changes whenever one of the files is written, created or removed; shared memory changes without being written."""
    return tuple(_stat(_beside(database, suffix)) for suffix in ("", "-wal", "-journal"))


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
