"""Errors of the database and of the machine, in one line and with what to do next."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy

from nas.errors import MachineError, StorageError
from nas.study.database.storage_url import without_password
from nas.study.layout import holds_study, place_file

DATABASE_ERRORS = (
    sqlite3.DatabaseError,
    sqlalchemy.exc.SQLAlchemyError,
    optuna.exceptions.StorageInternalError,
)
"""What Optuna's storage raises if the database cannot be read or written."""


def cause(error: BaseException) -> str:
    """The message of the database, in one line."""
    inner = error.__cause__ or error
    return str(getattr(inner, "orig", None) or inner).strip().partition("\n")[0]


_AWAY = re.compile(r"locked|lock timeout|connect|server|shutting down|starting up|terminat|timed? ?out|closed", re.I)


def is_away(error: BaseException) -> bool:
    """True if the storage is locked or its server is away; False if it is full or broken."""
    return _AWAY.search(cause(error)) is not None


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Raise an error of the database of the study in `folder` as a `StorageError` of one line."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StorageError(f"{place_file(folder)}: cannot be written: {without_password(cause(error))}") from error


@contextmanager
def machine_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the machine during the search in `folder` as a `MachineError` that says how to go on.

    These are errors of the database, of files (`OSError`) and of memory, and the failures that ended the trials of workers.
    """
    try:
        with storage_errors(folder):
            yield
    except MachineError as error:
        raise MachineError(f"{error}{_how_to_go_on(folder)}") from error
    except BrokenPipeError:  # the reader of the output has gone, such as `head`
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise MachineError(f"{place}{error.strerror or error}{_how_to_go_on(folder)}") from error
    except MemoryError as error:
        raise MachineError(f"the driver is out of memory{_how_to_go_on(folder)}") from error


def _how_to_go_on(folder: Path) -> str:
    if not holds_study(folder):
        return ""
    return f"; nothing that was recorded is lost: the same command continues {folder}"
