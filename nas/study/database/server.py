"""Storages by URL, as Optuna names them: SQLite files, and database servers through SQLAlchemy."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy

from nas.errors import MachineError, UsageError
from nas.study.database.attribute_writer import AttributeWriter, FileWriter, Merge, replace_attribute
from nas.study.database.connections import Database, FileDatabase, Query, Row
from nas.study.database.snapshot import Signature
from nas.study.database.storage_url import StoragePlace, without_password
from nas.study.database.tables import find_study

Result = TypeVar("Result")

POSTGRESQL_ARGUMENTS: Mapping[str, Any] = {
    "connect_timeout": 10,
    "options": "-c lock_timeout=60000 -c idle_in_transaction_session_timeout=60000",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that is gone, or a network that is cut, is an error within 30 s. A driver that is stopped while it holds a lock loses
it, with its transaction, after 60 s."""

_STUDY_COLUMN = sqlalchemy.table("studies", sqlalchemy.column("study_id")).c.study_id


def open_place(place: StoragePlace) -> Database:
    """The database of a study on a server."""
    return ServerDatabase(place.url.to_sqlalchemy().set(drivername="postgresql"))


def open_database(url: str) -> Database:
    """The storage at `url`, such as `postgresql://USER:PASSWORD@HOST/DATABASE` or `sqlite:///FILE`.

    Raises:
        UsageError: it is no URL of a storage, or the package that reads it is not installed.
    """
    parsed = _parse(url)
    return FileDatabase(_file_of(parsed)) if _is_file(parsed) else ServerDatabase(parsed)


class ServerDatabase:
    """A database that SQLAlchemy reads, in transactions that see one state.

    Args:
        url: where it is.
        isolation_level: of a transaction that sees one state.
    """

    def __init__(self, url: sqlalchemy.URL, isolation_level: str = "REPEATABLE READ") -> None:
        self.place = without_password(url.render_as_string(hide_password=True))
        self._engine = create_engine(url).execution_options(isolation_level=isolation_level)
        weakref.finalize(self, self._engine.dispose)

    def now_s(self) -> float:
        """The time of the server."""
        return self.read(lambda query: float(query("SELECT EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)", ())[0][0]))

    def signature(self) -> Signature | None:
        """None: a server says no more than a read does."""
        return None

    def read(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction` in a read-only transaction."""
        try:
            with self._engine.connect() as connection, connection.begin():
                return transaction(query_of(connection))
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise UsageError(f"{self.place}: cannot be read: {message_of(error)}") from None


class ServerWriter:
    """Changes attributes of a study on a database server.

    Args:
        url: where the server is.
        name: the name of the study.
    """

    def __init__(self, url: sqlalchemy.URL, name: str) -> None:
        self.place = without_password(url.render_as_string(hide_password=True))
        self.name = name
        self._engine = create_engine(url)
        weakref.finalize(self, self._engine.dispose)

    def update(self, key: str, merge: Merge, trial: int) -> Any:
        """Replace the attribute `key` (see `nas.study.database.attribute_writer.AttributeWriter`)."""
        try:
            with self._engine.begin() as connection:
                query = query_of(connection)
                study = find_study(query, self.place, self.name)[0]
                connection.execute(
                    sqlalchemy.select(_STUDY_COLUMN).where(sqlalchemy.literal(study) == _STUDY_COLUMN).with_for_update()
                )  # others wait
                column = connection.dialect.identifier_preparer.quote("key")
                return replace_attribute(query, study, key, merge, trial, column)
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise MachineError(f"{self.place}: cannot be written: {message_of(error)}") from None


def writer_of(url: str, name: str) -> AttributeWriter:
    """What changes attributes of the study `name` in the storage at `url`.

    Raises:
        UsageError: as `open_database`.
    """
    parsed = _parse(url)
    return FileWriter(_file_of(parsed), name) if _is_file(parsed) else ServerWriter(parsed, name)


def _parse(url: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        rule = "must be a URL such as sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        raise UsageError(f"storage: {rule}, found {without_password(url)!r}") from None


def _is_file(url: sqlalchemy.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _file_of(url: sqlalchemy.URL) -> Path:
    """The file that an SQLite `url` names."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise UsageError(f"storage: must name a file, sqlite:///FILE, found {url}")
    return Path(url.database)


def create_engine(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    """An engine for the database at `url`.

    Raises:
        UsageError: there is no such kind of database, or the package that reads it is not installed.
    """
    place = without_password(url.render_as_string(hide_password=True))
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    arguments = POSTGRESQL_ARGUMENTS if url.drivername == "postgresql+psycopg" else {}
    try:
        return sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=dict(arguments))
    except ImportError as error:
        package = str(getattr(error, "name", None) or error)
        extra = "'mixfront[postgresql]'" if package == "psycopg" else package
        raise UsageError(f"{place}: needs the package {package}; `pip install {extra}`") from None
    except sqlalchemy.exc.NoSuchModuleError:
        rule = f"storage: no such kind of database, found {url.drivername!r}"
        raise UsageError(f"{rule} (postgresql, mysql and sqlite are known)") from None


def query_of(connection: sqlalchemy.Connection) -> Query:
    """Runs SQL on `connection`, in which `?` marks parameters."""
    return partial(_query, connection)


def _query(connection: sqlalchemy.Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    """Run `sql`, in which `?` marks `parameters`."""
    names = [f"p{index}" for index in range(len(parameters))]
    parts = sql.split("?")
    text = "".join(f"{part}:{name}" for part, name in zip(parts, names, strict=False)) + parts[-1]
    result = connection.execute(sqlalchemy.text(text), dict(zip(names, parameters, strict=True)))
    return [tuple(row) for row in result] if result.returns_rows else []


def message_of(error: sqlalchemy.exc.SQLAlchemyError) -> str:
    """The message of the driver, in one line."""
    return without_password(str(getattr(error, "orig", None) or error).strip().partition("\n")[0])
