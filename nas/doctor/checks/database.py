"""The database as SQLite sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from nas.doctor.database_changes import changing, take_row
from nas.doctor.defect import Defect, Repair
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.removed import RemovedFiles
from nas.errors import UsageError
from nas.study.database.connections import FileDatabase
from nas.study.layout import DATABASE

MAX_MESSAGES = 20
_OF_INDEX = re.compile(r"row \d+ missing from index|wrong # of entries in index|non-unique entry in index")
ROWS_FILE = "rows.jsonl"
"""The file in `DIR/removed-DATE/` with rows of the database."""


@check("database-unreadable", "error")
def find_unreadable_database(study: ExaminedStudy) -> Iterator[Defect]:
    """A database that no command can read: damaged, of another version of Optuna, or without a study."""
    if study.content is None:
        yield Defect(study.place_file.name, study.failure.removeprefix(f"{study.place_file}: "))


@check("database-damaged", "error")
def find_damage(study: ExaminedStudy) -> Iterator[Defect]:
    """What `PRAGMA integrity_check` finds. Indices are made again; for the rest there are backups."""
    database = study.database
    if database is None:
        return  # a server looks after its files
    try:
        rows = FileDatabase(database).read(lambda query: query(f"PRAGMA integrity_check({MAX_MESSAGES})", ()))
    except UsageError as error:
        if study.content is not None:
            yield Defect(DATABASE, str(error).removeprefix(f"{database}: "))
        return
    messages = [" ".join(str(text).split()) for (text,) in rows if text != "ok"]
    if not messages:
        return
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    text = f"SQLite finds it damaged: {messages[0]}{more}; a backup may be whole"
    if all(map(_OF_INDEX.match, messages)):
        yield Defect(DATABASE, text, Repair("makes its indices again", lambda removed: _reindex(database)))
    else:
        yield Defect(DATABASE, text)


def _reindex(database: Path) -> None:
    with changing(database) as connection:
        connection.execute("REINDEX")


@check("rows-without-trial", "warning")
def find_rows_without_trial(study: ExaminedStudy) -> Iterator[Defect]:
    """Rows whose trial or study was removed from the database."""
    database = study.database
    if study.content is None or database is None:
        return
    try:
        rows = FileDatabase(database).read(lambda query: query("PRAGMA foreign_key_check", ()))
    except UsageError:
        return  # `database-damaged` reports it
    found = sorted({(str(table), int(row_id)) for table, row_id, *_ in rows})
    if not found:
        return

    def take(removed: RemovedFiles) -> None:
        with changing(database) as connection:
            taken = [take_row(connection, table, row_id) for table, row_id in found]
            removed.keep_rows(ROWS_FILE, [row for row in taken if row is not None])

    text = f"{len(found)} rows belong to no trial or study, the first in the table {found[0][0]}"
    yield Defect(DATABASE, text, Repair(f"moves them to {ROWS_FILE} in removed-DATE", take))
