"""Storages by URL, as Optuna names them: SQLite files, and database servers through SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy

from nas.errors import UsageError
from nas.study.connections import Database, FileDatabase, Query, Row
from nas.study.snapshot import Signature

CONNECT_TIMEOUT_S = 10
Result = TypeVar("Result")


def open_database(url: str) -> Database:
    """The storage at `url`, such as `postgresql://USER:PASSWORD@HOST/DATABASE` or `sqlite:///FILE`.

    Raises:
        UsageError: it is no URL of a storage, or the package that reads it is not installed.
    """
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        rule = "must be a URL such as sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        raise UsageError(f"storage: {rule}, found {_without_password(url)!r}") from None
    if parsed.get_backend_name() != "sqlite":
        return ServerDatabase(parsed)
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise UsageError(f"storage: must name a file, sqlite:///FILE, found {url!r}")
    return FileDatabase(Path(parsed.database))


class ServerDatabase:
    """A database that SQLAlchemy reads, in transactions that see one state.

    Args:
        url: where it is.
    """

    def __init__(self, url: sqlalchemy.URL) -> None:
        self.place = url.render_as_string(hide_password=True)
        try:
            self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True, isolation_level="REPEATABLE READ")
        except ImportError as error:
            package = str(getattr(error, "name", None) or error)
            raise UsageError(f"{self.place}: needs the package {package}; `pip install {package}`") from None
        except sqlalchemy.exc.NoSuchModuleError:
            rule = f"storage: no such kind of database, found {url.drivername!r}"
            raise UsageError(f"{rule} (postgresql, mysql and sqlite are known)") from None

    def signature(self) -> Signature | None:
        """None: a server says no more than a read does."""
        return None

    def read(self, transaction: Callable[[Query], Result]) -> Result:
        """Call `transaction` in a read-only transaction."""
        try:
            with self._engine.connect() as connection, connection.begin():
                return transaction(lambda sql, parameters: _query(connection, sql, parameters))
        except sqlalchemy.exc.SQLAlchemyError as error:
            text = _without_password(str(getattr(error, "orig", None) or error).strip().partition("\n")[0])
            raise UsageError(f"{self.place}: cannot be read: {text}") from None


def _query(connection: sqlalchemy.Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    """Run `sql`, in which `?` marks `parameters`."""
    names = [f"p{index}" for index in range(len(parameters))]
    parts = sql.split("?")
    text = "".join(f"{part}:{name}" for part, name in zip(parts, names, strict=False)) + parts[-1]
    rows = connection.execute(sqlalchemy.text(text), dict(zip(names, parameters, strict=True)))
    return [tuple(row) for row in rows]


def _without_password(text: str) -> str:
    return re.sub(r"(://[^/\s:@]*):[^/\s@]*@", r"\1:***@", text)
