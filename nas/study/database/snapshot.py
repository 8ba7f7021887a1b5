"""How the database of a study is read without writing to the folder that holds it, and a copy of it in memory.

Commands that only read use it: the folder may be read-only, and no file appears, goes or is written in it.
What is read is consistent even while a search writes. What SQLite allows depends on the files beside the database:

- none: no other process has the database open, so it is read as immutable. The other modes would create files.
- `-wal` and `-shm`: a search has the database open. SQLite reads the write-ahead log too, and locks in `-shm`, where it may,
  that it reads. (`readonly_shm` would leave that file as it is, but then no other connection of this process could write.)
- `-wal` without `-shm`, or `-journal`: left by a crash, or copied. SQLite would have to write, so it gets a private copy.

The first and the last are repeated if the files change meanwhile.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeAlias

MAX_ATTEMPTS = 20
RETRY_DELAY_S = 0.05
SUFFIXES = ("-wal", "-shm", "-journal")
"""Of SQLite's own files beside a database."""

TABLE_PREFIXES = ("studies", "study_", "trials", "trial_", "alembic_", "version_")
"""Of the names of Optuna's tables."""

NO_FILE_ERRNOS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""There is no file of that name, and can be none."""

Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of the last change in nanoseconds of the database, its write-ahead log and its journal, if they exist."""
Access: TypeAlias = Literal["locking", "immutable", "copy"]
"""How a database is read: SQLite's locks keep it consistent, the file is taken as immutable, or a private copy is read."""


def copy_to_memory(database: Path) -> sqlite3.Connection:
    """A connection to a copy of `database` in memory, which any thread may use.

    Raises:
        sqlite3.DatabaseError: it is no database, or it changes too often to be read.
        OSError: it cannot be read.
    """
    return _copy_consistently(database, lambda: sqlite3.connect(":memory:", check_same_thread=False))


def copy_to_file(database: Path, file: Path) -> None:
    """Write a copy of `database` to the new `file`: one file without a write-ahead log, which SQLite has checked.

    Raises:
        sqlite3.DatabaseError: it is no database, is damaged, or changes too often to be read.
        OSError: it cannot be read.
    """
    with closing(_copy_consistently(database, lambda: sqlite3.connect(file))) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")
        ((verdict,), *_) = copy.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(" ".join(str(verdict).split()))


def _copy_consistently(database: Path, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Copy `database` into what `connect` opens, and return that connection."""
    for _ in range(MAX_ATTEMPTS):
        before = signature_of(database)
        target = connect()
        try:
            is_consistent = _copy(database, target)
        except (sqlite3.DatabaseError, OSError):
            target.close()
            if signature_of(database) == before:
                raise
        else:
            if is_consistent or signature_of(database) == before:
                return target
            target.close()
        time.sleep(RETRY_DELAY_S)
    raise sqlite3.OperationalError("it changes while it is read; try again")


def check_no_views(connection: sqlite3.Connection) -> None:
    """Check that no view has the name of one of Optuna's tables: the query of a view may go on without end.

    Raises:
        sqlite3.DatabaseError: one has.
    """
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name").fetchall()
    for (name,) in rows:
        if str(name).lower().startswith(TABLE_PREFIXES):
            raise sqlite3.DatabaseError(f"{name} must be a table, found a view")


def access_to(database: Path) -> Access:
    """How `database` can be read now."""
    wal, shm, journal = (_beside(database, suffix).exists() for suffix in SUFFIXES)
    if wal and shm:
        return "locking"
    return "copy" if wal or journal else "immutable"


def connect_read_only(database: Path, access: Access) -> sqlite3.Connection:
    """A connection to `database`, which cannot write; not for the access "copy"."""
    query = "mode=ro&immutable=1" if access == "immutable" else "mode=ro"
    return sqlite3.connect(f"{database.resolve().as_uri()}?{query}", uri=True)


def private_copy(database: Path, folder: Path) -> Path:
    """Copy the files of `database` into `folder`; returns the copy, which SQLite may write to."""
    copy = folder / "copy.db"
    for suffix in ("", "-wal", "-journal"):
        if (file := _beside(database, suffix)).exists():
            shutil.copyfile(file, _beside(copy, suffix))
    return copy


def _copy(database: Path, target: sqlite3.Connection) -> bool:
    """Copy `database`; returns True if SQLite's locks make sure that the copy is consistent."""
    access = access_to(database)
    if access != "copy":
        with closing(connect_read_only(database, access)) as source:
            source.backup(target)
        return access == "locking"
    with (
        tempfile.TemporaryDirectory(prefix="mixfront-") as folder,
        closing(sqlite3.connect(private_copy(database, Path(folder)))) as source,
    ):
        source.backup(target)
    return False


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def signature_of(database: Path) -> Signature:
    """Changes whenever one of the files is written, created or removed; shared memory changes without being written."""
    return tuple(_stat(_beside(database, suffix)) for suffix in ("", "-wal", "-journal"))


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except OSError as error:
        if error.errno in NO_FILE_ERRNOS:
            return None
        raise
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
