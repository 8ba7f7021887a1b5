"""Reads the trials of a study by plain SQL: all of them, or those that are new or have changed since a cursor.

    reader = StudyReader.of_folder(folder)
    changes = reader.read()                     # everything
    while ...:
        if reader.changed():
            changes = reader.read(changes.cursor)   # new trials, and those that had not ended and have changed

Optuna never changes a trial that has ended, so the cost of the second read does not depend on the number of trials. Nothing is
written: `nas/study/database/connections.py` says how. All queries of one read see one state of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from nas.errors import UsageError
from nas.study.attribute_types import is_index, study_value
from nas.study.database.connections import Database, FileDatabase, Query, Row
from nas.study.database.drivers import DRIVERS, DriverRecord, drivers_of
from nas.study.database.snapshot import Signature
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.tables import (
    TrialTables,
    chunks,
    find_study,
    studies,
    trial_rows,
    trial_rows_of,
    trial_rows_of_ids,
)
from nas.study.layout import DATABASE
from nas.study.trial_record import TrialRecord, decode, removed_trial

TRIALS_PER_BATCH = 500
MAX_REMOVED = 100_000
"""Trials in a row that may be missing from the database."""
OPEN_STATES = ("RUNNING", "WAITING")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cursor:
    """How far a study was read: all trials below `next_number` were, of which those in `open` had not ended.

    Its text is `"120;118,119"`. A cursor that `StudyReader.read` returns also knows in which state the open trials were, so that
    they are read again only if they have changed; after one that was parsed from text, they are read again in any case.

    Args:
        next_number: the number of the first trial that was not read.
        open: the numbers of trials that were running or waiting, ascending.
    """

    next_number: int = 0
    open: tuple[int, ...] = ()
    last_id: int | None = field(default=None, compare=False, repr=False)
    """The id of the last trial that was read, in the storage; None: not known."""
    digests: Mapping[int, int] = field(default_factory=dict, compare=False, repr=False)
    """Id of an open trial -> its digest (`TrialTables.digest`)."""
    attributes_digest: int | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.next_number};{','.join(map(str, self.open))}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of `str`.

        Raises:
            UsageError: `text` is no cursor.
        """
        number, separator, numbers = text.partition(";")
        parts = numbers.split(",") if numbers else []
        rule = "must look like '120;118,119', the number of trials and those of them that have not ended"
        if not separator or not all(_is_number(part) for part in (number, *parts)):
            raise UsageError(f"cursor: {rule}, found {text[:80]!r}")
        opened = tuple(sorted({int(part) for part in parts}))
        if opened and opened[-1] >= int(number):
            raise UsageError(f"cursor: {rule}, found {text[:80]!r}")
        return cls(int(number), opened)


START = Cursor()
"""Nothing was read."""


@dataclass(frozen=True)
class StudyChanges:
    """What a read returns.

    Args:
        cursor: to read on from.
        trials: new trials, and those that had not ended and have changed, by number.
        attributes: the user attributes of the study (`nas.study.database.storage` lists them) if they have changed, else None.
        is_last: False if a limit left further trials to read.
        drivers: the drivers that the study announces now, by their ids.
    """

    cursor: Cursor
    trials: Sequence[TrialRecord]
    attributes: Mapping[str, Any] | None
    is_last: bool = True
    drivers: Mapping[str, DriverRecord] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.trials) or self.attributes is not None


class StudyReader:
    """Reads one study. It keeps no connection open and may be used by several threads.

    Args:
        database: the database.
        name: the name of the study; None: the first one.

    Raises:
        UsageError: there is no such study, or the database cannot be read.
    """

    def __init__(self, database: Database, name: str | None = None) -> None:
        self._database = database
        self._signature: Signature | None = None
        self._id, self.name, self.directions = self._transact(lambda query: find_study(query, database.place, name))

    @classmethod
    def of_folder(cls, folder: Path, storage: StorageUrl | None = None) -> StudyReader:
        """The study in `folder`, or on the server that the folder names.

        Args:
            folder: the folder of the study.
            storage: the URL of that server, with a password; None: as the folder names it.
        """
        place = StoragePlace.of_folder(folder)
        if place is None:
            return cls(FileDatabase(folder / DATABASE))
        place = place if storage is None else replace(place, url=storage)
        from nas.study.database.server import open_place  # here, since it imports SQLAlchemy

        return cls(open_place(place), place.name)

    @classmethod
    def of_storage(cls, url: str, name: str) -> StudyReader:
        """The study `name` in the storage at `url`, such as `postgresql://USER@HOST/DATABASE` or `sqlite:///FILE`."""
        from nas.study.database.server import open_database  # here, since it imports SQLAlchemy

        return cls(open_database(url), name)

    def now_s(self) -> float:
        """The time by the clock of the storage, in seconds since 1970.

        Raises:
            UsageError: the database cannot be read.
        """
        return self._database.now_s()

    def changed(self) -> bool:
        """True if the study may have changed since the last read began; costs no more than looking at the files.

        Raises:
            UsageError: the study was deleted.
        """
        signature = self._database.signature()
        return signature is None or signature != self._signature

    def read(self, cursor: Cursor = START, limit: int | None = None) -> StudyChanges:
        """Read what `cursor` has not seen.

        Args:
            cursor: how far the study was read.
            limit: the highest number of new trials to read; None: all.

        Raises:
            UsageError: the database cannot be read, or holds another study than before.
        """
        signature = self._database.signature()
        changes = self._transact(lambda query: self._changes(query, cursor, limit))
        self._signature = signature
        return changes

    def batches(self, cursor: Cursor = START, limit: int = TRIALS_PER_BATCH) -> Iterator[StudyChanges]:
        """Read what `cursor` has not seen in several reads of at most `limit` new trials, so that few are in memory at once."""
        while True:
            changes = self.read(cursor, limit)
            yield changes
            if changes.is_last:
                return
            cursor = changes.cursor

    def trial(self, number: int) -> TrialRecord:
        """The trial `number`.

        Raises:
            UsageError: there is no such trial.
        """

        def read(query: Query) -> list[TrialRecord]:
            rows = trial_rows_of(query, self._id, [number])
            return [self._record(TrialTables(query, rows), row) for row in rows]

        trials = self._transact(read)
        if not trials:
            raise UsageError(f"trial {number}: study {self.name} has no such trial")
        return trials[0]

    def _changes(self, query: Query, cursor: Cursor, limit: int | None) -> StudyChanges:
        reopened, last_id = self._open_rows(query, cursor), self._last_id(query, cursor)
        new = trial_rows(query, self._id, last_id, None if limit is None else limit + 1)
        is_last = limit is None or len(new) <= limit
        new = new if is_last else new[:limit]
        records: list[TrialRecord] = []
        digests: dict[int, int] = {}
        for rows in chunks([*reopened, *new]):
            tables = TrialTables(query, rows)
            for row in rows:
                if row[2] in OPEN_STATES:
                    digests[row[0]] = tables.digest(row)
                if row[0] not in digests or cursor.digests.get(row[0]) != digests[row[0]]:
                    records.append(self._record(tables, row))
        stored = self._attribute_rows(query)
        attributes, attributes_digest = self._attributes(stored, cursor)
        opened = tuple(row[1] for row in (*reopened, *new) if row[0] in digests)
        next_number, last_id = (new[-1][1] + 1, new[-1][0]) if new else (cursor.next_number, last_id)
        self._check_numbers(cursor, new)
        records += _removed_trials(range(cursor.next_number, next_number), new)
        following = Cursor(next_number, opened, last_id, digests, attributes_digest)
        records.sort(key=lambda record: record.number)
        return StudyChanges(following, records, attributes, is_last, self._drivers(stored))

    def _record(self, tables: TrialTables, row: Row) -> TrialRecord:
        """The trial of `row`; without values if it has more or fewer than the study has objectives."""
        record = tables.record(row)
        is_whole = record.values is None or len(record.values) == len(self.directions)
        return record if is_whole else replace(record, values=None)

    def _open_rows(self, query: Query, cursor: Cursor) -> list[Row]:
        """The rows of the trials that had not ended at `cursor`."""
        if cursor.digests.keys() and len(cursor.digests) == len(cursor.open):
            rows = trial_rows_of_ids(query, list(cursor.digests))
        else:
            rows = trial_rows_of(query, self._id, cursor.open)
        if [row[1] for row in rows] != list(cursor.open):
            raise self._replaced(cursor)
        return rows

    def _last_id(self, query: Query, cursor: Cursor) -> int:
        """The id of the last trial that `cursor` has seen; smaller than any if it has seen none."""
        if cursor.next_number == 0:
            return -1
        number = cursor.next_number - 1
        if cursor.last_id is None:
            rows = trial_rows_of(query, self._id, [number])
        else:
            rows = trial_rows_of_ids(query, [cursor.last_id])
        if [row[1] for row in rows] != [number]:
            raise self._replaced(cursor)
        return int(rows[0][0])

    def _attribute_rows(self, query: Query) -> list[Row]:
        """The names and the JSON of the user attributes of the study."""
        return query(
            "SELECT a.key, a.value_json FROM study_user_attributes a WHERE a.study_id = ? ORDER BY a.key", (self._id,)
        )

    def _attributes(self, rows: Sequence[Row], cursor: Cursor) -> tuple[Mapping[str, Any] | None, int]:
        """The user attributes in `rows` unless `cursor` has seen them, and their digest."""
        digest = hash(tuple(row for row in rows if not row[0].startswith(DRIVERS)))  # heartbeats are no news
        if digest == cursor.attributes_digest:
            return None, digest
        return {name: study_value(name, self._decode(name, text)) for name, text in rows}, digest

    def _drivers(self, rows: Sequence[Row]) -> dict[str, DriverRecord]:
        """The drivers in the user attributes in `rows`."""
        return drivers_of({name: self._decode(name, text) for name, text in rows if name.startswith(DRIVERS)})

    def _decode(self, name: str, text: str) -> Any:
        try:
            return decode(name, text)
        except UsageError as error:
            raise UsageError(f"{self._database.place}: {error}") from None

    def _check_numbers(self, cursor: Cursor, new: Sequence[Row]) -> None:
        """Raise `UsageError` unless the trials of the rows `new` have the numbers that follow `cursor`, with few gaps."""
        last = cursor.next_number - 1
        for row in new:
            if not is_index(row[1]) or not 0 < row[1] - last <= MAX_REMOVED + 1:
                rule = f"the number of a trial must follow that of the one before, {last}, found {row[1]!r}"
                raise UsageError(f"{self._database.place}: is damaged: {rule}")
            last = row[1]

    def _replaced(self, cursor: Cursor) -> UsageError:
        rule = f"study {self.name} must have the trials that were read ({cursor.next_number}), found fewer or others"
        return UsageError(f"{self._database.place}: {rule}; was it replaced by another study?")

    def _transact(self, transaction: Callable[[Query], Result]) -> Result:
        """Run `transaction`; what Optuna cannot have written is an error of the database."""
        try:
            return self._database.read(transaction)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, UsageError):
                raise
            text = f"{type(error).__name__}: {error}"
            raise UsageError(f"{self._database.place}: is damaged: {text}") from error


def _removed_trials(numbers: range, rows: Sequence[Row]) -> Iterator[TrialRecord]:
    """What stands for those of the trials `numbers` that have none of the `rows`."""
    if len(rows) < len(numbers):
        yield from map(removed_trial, sorted(set(numbers) - {row[1] for row in rows}))


def list_studies(url: str) -> list[str]:
    """The names of the studies in the storage at `url`, in the order of their creation.

    Raises:
        UsageError: it cannot be read, or is no storage of Optuna.
    """
    from nas.study.database.server import open_database  # here, since it imports SQLAlchemy

    database = open_database(url)
    return database.read(lambda query: [name for _, name in studies(query, database.place)])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
