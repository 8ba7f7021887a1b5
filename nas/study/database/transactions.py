"""Transactions of a driver on the database of its study: alone among all drivers, or beside them.

A driver makes a decision that must not collide with those of others (is this architecture new? who promotes this trial?) within
one transaction that locks the study: it reads what the others have written, decides, and writes. If the connection is lost, or
the driver is stopped for too long, the database drops the transaction and with it the lock.
"""

from __future__ import annotations

import sqlite3
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy

from nas.errors import StorageError
from nas.study.database.attribute_writer import Merge, replace_attribute
from nas.study.database.connections import Query, Row
from nas.study.database.server import create_engine, message_of, query_of
from nas.study.database.storage_url import StoragePlace
from nas.study.database.tables import find_study
from nas.study.database.write_ahead_log import move_log

Result = TypeVar("Result")

STEPS_LOCK = 0x6D697867  # the advisory lock of a driver that does something in several transactions

BUSY_TIMEOUT_S = 5.0
"""Longest wait of SQLite for another process that writes; the driver repeats what has failed (`nas.driver.storage_retry`)."""


class StudyTransactions(ABC):
    """Transactions on one study.

    Args:
        study: the id of the study.
        name: the name of the study.
        directions: of its objectives.
    """

    study: int
    name: str
    directions: Sequence[str]

    @abstractmethod
    def locked(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction` while no other driver is in such a one. It may be called again.

        Raises:
            StorageError: the database cannot be read or written; nothing, or all, was written.
        """

    @abstractmethod
    def unlocked(self, transaction: Callable[[Query], Result]) -> Result:
        """Likewise, beside those of other drivers."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Within the block no other driver is in such a block; for what takes several transactions.

        Raises:
            StorageError: the database cannot be read or written.
        """

    @abstractmethod
    def now_s(self, query: Query) -> float:
        """The time in seconds since 1970, by a clock that is the same for all drivers."""

    @abstractmethod
    def to_time(self, moment: datetime) -> Any:
        """The UTC time `moment` as a parameter of SQL."""


class FileTransactions(StudyTransactions):
    """Transactions on an SQLite file, by the only driver of the study.

    Args:
        file: the file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._connection: sqlite3.Connection | None = None
        self.study, self.name, self.directions = self.unlocked(lambda query: find_study(query, str(file), None))

    def locked(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction`, which excludes other writers."""
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = transaction(partial(_query, connection))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result
        except sqlite3.DatabaseError as error:
            raise StorageError(f"{self.file}: cannot be written: {error}") from error

    def unlocked(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction`, each statement of which is on its own."""
        try:
            return transaction(partial(_query, self._open()))
        except sqlite3.DatabaseError as error:
            raise StorageError(f"{self.file}: cannot be read: {error}") from error

    def move_log(self) -> None:
        """Move what was written to the file itself, as far as others do not read it."""
        if self._connection is not None:
            move_log(self._connection)

    def alone(self) -> AbstractContextManager[None]:
        """There is no other driver."""
        return nullcontext()

    def now_s(self, query: Query) -> float:
        """The time of this machine."""
        return time.time()

    def to_time(self, moment: datetime) -> str:
        """As SQLAlchemy stores times in SQLite."""
        return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            url = f"{self.file.resolve().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(
                url, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._connection.close)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
        return self._connection


class ServerTransactions(StudyTransactions):
    """Transactions on a PostgreSQL database that drivers share.

    Args:
        place: the study.
    """

    def __init__(self, place: StoragePlace) -> None:
        self.place = place
        self._engine = create_engine(place.url.to_sqlalchemy())
        weakref.finalize(self, self._engine.dispose)
        self.study, self.name, self.directions = self.unlocked(
            lambda query: find_study(query, str(place.url), place.name)
        )

    def locked(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction` with the row of the study locked: it excludes other drivers, and Optuna's creation of trials."""

        def run(query: Query) -> Result:
            query("SELECT study_id FROM studies WHERE study_id = ? FOR UPDATE", (self.study,))
            return transaction(query)

        return self.unlocked(run)

    def unlocked(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction`, each statement of which sees what was committed before it."""
        with storage_error(self.place), self._engine.begin() as connection:
            return transaction(query_of(connection))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold an advisory lock of the database."""
        with storage_error(self.place), self._engine.connect() as connection:
            query_of(connection)("SELECT pg_advisory_xact_lock(?, ?)", (STEPS_LOCK, self.study))
            yield

    def now_s(self, query: Query) -> float:
        """The time of the server."""
        return float(query("SELECT EXTRACT(EPOCH FROM clock_timestamp())", ())[0][0])

    def to_time(self, moment: datetime) -> datetime:
        """The moment without its time zone, as Optuna stores it."""
        return moment.replace(tzinfo=None)


def merge_attribute(transactions: StudyTransactions, key: str, merge: Merge) -> Any:
    """Replace the user attribute `key` of a study by what `merge` makes of it, while no other driver does; returns the new value.

    Raises:
        StorageError: the database cannot be read or written.
    """
    return transactions.locked(lambda query: replace_attribute(query, transactions.study, key, merge))


@contextmanager
def storage_error(place: StoragePlace) -> Iterator[None]:
    """Raise an error of the server as a `StorageError` of one line, without the password."""
    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise StorageError(place.url.redact(f"{place.url}: {message_of(error)}")) from None


def _query(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    return connection.execute(sql, parameters).fetchall()
