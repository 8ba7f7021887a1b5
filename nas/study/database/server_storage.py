"""Optuna studies in a PostgreSQL database, which several drivers may share."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import optuna
import sqlalchemy

from nas.errors import StorageAwayError, UsageError
from nas.objectives import Direction
from nas.study.database.optuna_storage import StudyStorage
from nas.study.database.server import POSTGRESQL_ARGUMENTS, create_engine, message_of
from nas.study.database.storage_errors import DATABASE_ERRORS, cause, is_away
from nas.study.database.storage_url import StoragePlace, StorageUrl

READ_ONLY = " -c default_transaction_read_only=on"
TABLES_LOCK = 0x6D697866  # "mixf": the advisory lock of those who create Optuna's tables
DRAFT_LOCK = 0x6D697868  # the first key of the advisory locks of those who create a study
DRAFT = " (draft "
"""What follows the name of a study while it is being created."""
VERSION_TABLE = "alembic_version"
"""The last table that Optuna creates."""


def server_study_exists(place: StoragePlace) -> bool:
    """True if the database has the study.

    Raises:
        UsageError: the database cannot be read.
    """
    with _reading(place.url):
        engine = create_engine(place.url.to_sqlalchemy())
        try:
            with engine.connect() as connection:
                if not sqlalchemy.inspect(connection).has_table(VERSION_TABLE):
                    return False
                rows = connection.execute(
                    sqlalchemy.text("SELECT study_id FROM studies WHERE study_name = :name"), {"name": place.name}
                )
                return rows.first() is not None
        finally:
            engine.dispose()


def open_server_study(place: StoragePlace) -> optuna.Study:
    """Open the study, to continue it.

    Raises:
        UsageError: the database has no such study, or cannot be read.
        StorageAwayError: its server is away.
    """
    _check_exists(place)
    with _reading(place.url):
        return optuna.load_study(study_name=place.name, storage=StudyStorage(_storage(place.url)))


def read_server_study(place: StoragePlace) -> optuna.Study:
    """Open the study, to read it. It refuses to be changed.

    Raises:
        UsageError: the database has no such study, or cannot be read.
    """
    _check_exists(place)
    with _reading(place.url):
        return optuna.load_study(study_name=place.name, storage=StudyStorage(_storage(place.url, READ_ONLY)))


def create_server_study(
    place: StoragePlace, directions: list[Direction], fill: Callable[[optuna.Study], None]
) -> optuna.Study:
    """Create the study, or open it if another driver creates it meanwhile.

    It gets its name at the end, when it is whole, so that others never see a part of it. Until then it is a draft, and a lock of
    its creator's session says that it is being made: drafts without one were left by drivers that were killed, and are removed.

    Args:
        place: where.
        directions: of its objectives.
        fill: sets its attributes and enqueues its first trials.
    """
    with _creating_tables(place.url):
        storage = _storage(place.url)
    draft = f"{place.name}{DRAFT}{uuid.uuid4().hex})"
    with _holding_draft(storage.engine, draft):
        _remove_left_drafts(storage, place)
        fill(optuna.create_study(storage=storage, study_name=draft, directions=directions))
        rename = sqlalchemy.text("UPDATE studies SET study_name = :name WHERE study_name = :draft")
        try:
            with storage.engine.begin() as connection:
                connection.execute(rename, {"name": place.name, "draft": draft})
        except sqlalchemy.exc.IntegrityError:  # another driver was faster
            optuna.delete_study(study_name=draft, storage=storage)
    return open_server_study(place)


@contextmanager
def _holding_draft(engine: sqlalchemy.Engine, draft: str) -> Iterator[None]:
    """Hold the lock of `draft` within the block; the server frees it when the session ends, in whatever way."""
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:lock, hashtext(:draft))"), _lock_of(draft))
        connection.commit()
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:lock, hashtext(:draft))"), _lock_of(draft))


def _remove_left_drafts(storage: optuna.storages.RDBStorage, place: StoragePlace) -> None:
    """Remove the drafts of the study whose creators are gone."""
    for name in optuna.get_all_study_names(storage):
        if not name.startswith(place.name + DRAFT):
            continue
        with storage.engine.connect() as connection:
            is_left = sqlalchemy.text("SELECT pg_try_advisory_lock(:lock, hashtext(:draft))")
            if connection.execute(is_left, _lock_of(name)).scalar():
                with suppress(KeyError):  # another driver was faster
                    optuna.delete_study(study_name=name, storage=storage)
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock_all()"))


def _lock_of(draft: str) -> dict[str, object]:
    return {"lock": DRAFT_LOCK, "draft": draft}


def _check_exists(place: StoragePlace) -> None:
    if not server_study_exists(place):
        raise UsageError(f"{place.url}: holds no study {place.name!r}; `nas search --storage {place.url}` starts one")


def _storage(url: StorageUrl, options: str = "") -> optuna.storages.RDBStorage:
    arguments = {**POSTGRESQL_ARGUMENTS, "options": POSTGRESQL_ARGUMENTS["options"] + options}
    text = url.to_sqlalchemy().render_as_string(hide_password=False)
    text = text.replace("{", "{{").replace("}", "}}")  # Optuna takes it for a template
    storage = optuna.storages.RDBStorage(text, {"pool_pre_ping": True, "connect_args": arguments})
    weakref.finalize(storage, storage.engine.dispose)
    return storage


@contextmanager
def _creating_tables(url: StorageUrl) -> Iterator[None]:
    """Within the block no other driver creates Optuna's tables."""
    engine = create_engine(url.to_sqlalchemy())
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": TABLES_LOCK})
            connection.commit()
            yield
    finally:
        engine.dispose()  # closes the connection, and so frees the lock


@contextmanager
def _reading(url: StorageUrl) -> Iterator[None]:
    """Raise an error of the database as one line, without the password."""
    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as error:
        kind = StorageAwayError if is_away(error) else UsageError
        raise kind(url.redact(f"{url}: cannot be read: {message_of(error)}")) from None
    except (*DATABASE_ERRORS, RuntimeError) as error:
        if is_away(error):
            raise StorageAwayError(url.redact(f"{url}: cannot be read: {cause(error)}")) from None
        raise UsageError(url.redact(f"{url}: cannot be read as a study: {cause(error)}")) from None
