"""Connections that read the database of a study and never write to it.

`FileDatabase` reads an SQLite file and leaves its folder as it is; `nas/study/database/snapshot.py` says which ways SQLite offers
and why. `nas/study/database/server.py` reads a database server. Both offer `read`, a transaction: all its queries see one state.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from nas.errors import UsageError
from nas.formatting import shell_path
from nas.study.database.snapshot import (
    MAX_ATTEMPTS,
    RETRY_DELAY_S,
    Access,
    Signature,
    access_to,
    check_no_views,
    connect_read_only,
    private_copy,
    signature_of,
)

Row: TypeAlias = tuple[Any, ...]
Query: TypeAlias = Callable[[str, Sequence[Any]], list[Row]]
"""Runs SQL, in which `?` marks parameters, and returns all rows."""
Result = TypeVar("Result")

MIN_AGE_S = 0.1
"""A file written within this time may be written again without another time of its last change."""


class Database(Protocol):
    """The database of a study, or of several."""

    @property
    def place(self) -> str:
        """What errors call it; without a password."""
        ...

    def read(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction` with a function that queries one consistent state; it may be called again.

        Raises:
            UsageError: the database cannot be read.
        """
        ...

    def now_s(self) -> float:
        """The time in seconds since 1970 by the clock that drivers use, too (`nas/study/database/leases.py`)."""
        ...

    def signature(self) -> Signature | None:
        """Changes whenever the database does; None: it cannot be known without reading it.

        Raises:
            UsageError: the database is gone.
        """
        ...


@dataclass(frozen=True)
class _Copy:
    """A private copy of the files of a database, valid while they have this signature; its folder goes with it."""

    signature: Signature
    file: Path

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.file.parent, ignore_errors=True)


class FileDatabase:
    """An SQLite file.

    Args:
        file: the file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._copy: _Copy | None = None

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self.file)

    def now_s(self) -> float:
        """The time of this machine."""
        return time.time()

    def signature(self) -> Signature | None:
        """Changes whenever one of the files of the database is written, created or removed."""
        signature = signature_of(self.file)
        if signature[0] is None:
            raise missing_study(self.file)
        newest_s = max(stat[2] for stat in signature if stat is not None) / 1e9
        return signature if time.time() - newest_s > MIN_AGE_S else None

    def read(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction`; again if the file changes meanwhile and SQLite's locks do not prevent it."""
        failure = UsageError(f"{self.file}: cannot be read: it changes while it is read; try again")
        for _ in range(MAX_ATTEMPTS):
            before = signature_of(self.file)
            if before[0] is None:
                raise missing_study(self.file)
            if not self.file.is_file():  # a pipe would wait for its other end
                raise UsageError(f"{self.file}: must be a file, found a folder, a device, a pipe or a socket")
            access = access_to(self.file)
            try:
                result = self._read_once(transaction, access, before)
                if access == "locking" or signature_of(self.file) == before:
                    return result
            except (sqlite3.DatabaseError, OSError) as error:
                failure = _unreadable(self.file, error)
                if signature_of(self.file) == before:
                    break
            except UsageError as error:
                failure = error
                if access == "locking" or signature_of(self.file) == before:
                    break
            time.sleep(RETRY_DELAY_S)
        raise failure

    def _read_once(self, transaction: Callable[[Query], Result], access: Access, signature: Signature) -> Result:
        with closing(self._connect(access, signature)) as connection:
            connection.execute("BEGIN")
            check_no_views(connection)
            return transaction(lambda sql, parameters: connection.execute(sql, parameters).fetchall())

    def _connect(self, access: Access, signature: Signature) -> sqlite3.Connection:
        if access != "copy":
            self._copy = None
            return connect_read_only(self.file, access)
        if self._copy is None or self._copy.signature != signature:
            folder = Path(tempfile.mkdtemp(prefix="mixfront-"))
            self._copy = _Copy(signature, folder / "copy.db")
            private_copy(self.file, folder)
        return sqlite3.connect(self._copy.file)


def missing_study(database: Path) -> UsageError:
    """The error of a folder without the file `database`."""
    hint = f"`nas search --out {shell_path(database.parent)}` starts one"
    return UsageError(f"{database.parent}: holds no study ({database.name} is missing); {hint}")


def _unreadable(file: Path, error: sqlite3.DatabaseError | OSError) -> UsageError:
    if isinstance(error, OSError):
        return UsageError(f"{file}: cannot be read: {error.strerror or error}")
    if "no such table: alembic_version" in str(error):
        return UsageError(f"{file}: holds no study; remove the folder and search again")
    return UsageError(f"{file}: cannot be read as a study: {error}")
