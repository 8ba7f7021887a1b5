"""The columns of a study that follow its database: read once, then kept up to date at the cost of what has changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.analysis.columns import StudyColumns
from nas.analysis.columns_cache import CachedColumns, load_columns, save_columns
from nas.errors import UsageError
from nas.study.info import StudyInfo
from nas.study.reader import START, StudyReader

logger = logging.getLogger(__name__)

MIN_CACHED_TRIALS = 500
"""So many trials are read as fast as a file of their columns."""


@dataclass(frozen=True)
class ColumnChanges:
    """What an update changed.

    Args:
        trials: the numbers of the trials that are new or have changed, ascending.
        attributes: True if the user attributes of the study have changed.
    """

    trials: list[int]
    attributes: bool

    def __bool__(self) -> bool:
        return bool(self.trials) or self.attributes


class TrackedColumns:
    """The columns and the attributes of a study, as they were at the last update.

    Args:
        reader: reads the study.
        folder: the folder of the study; None for a study in another storage.
        cache: the file of the columns (`nas.analysis.columns_cache`); None: no file is read or written.

    Raises:
        UsageError: the study cannot be read.
    """

    def __init__(self, reader: StudyReader, folder: Path | None = None, cache: Path | None = None) -> None:
        self.reader = reader
        self.folder = folder
        self.cache = cache
        first = reader.read(START, limit=1)
        self._set_attributes(first.attributes or {})
        self.columns = StudyColumns(self._info.objectives)
        self.columns.update(first.trials)
        self.cursor = first.cursor
        self._saved_count = 0
        self._start_from_cache()

    @property
    def info(self) -> StudyInfo:
        """The user attributes of the study as typed values."""
        return self._info

    def changed(self) -> bool:
        """True if the study may have changed since the last update (`StudyReader.changed`)."""
        return self.reader.changed()

    def update(self) -> ColumnChanges:
        """Read what has changed.

        Raises:
            UsageError: the study cannot be read, or was replaced by another one.
        """
        changed: set[int] = set()
        has_attributes = False
        for changes in self.reader.batches(self.cursor):
            self.cursor = changes.cursor
            changed.update(self.columns.update(changes.trials))
            if changes.attributes is not None:
                has_attributes = True
                self._set_attributes(changes.attributes)
        changed.update(self.columns.set_test_accuracy(self._info.test_accuracy))
        return ColumnChanges(sorted(changed), has_attributes)

    def save(self) -> None:
        """Write the columns to the file, if there is one to write and it lacks many trials; a failure is logged."""
        if self.cache is None or self.columns.count - self._saved_count < MIN_CACHED_TRIALS:
            return
        self._saved_count = self.columns.count
        try:
            save_columns(self.cache, self.columns, self.cursor, self._identity())
        except OSError as error:
            logger.info("%s is not written: %s", self.cache, error)

    def _start_from_cache(self) -> None:
        """Read the trials, those that the file holds from the file."""
        first_trial, first_cursor = self.columns, self.cursor
        cached = self._load()
        if cached is not None:
            self.columns, self.cursor = cached.columns, cached.cursor
            self._saved_count = cached.columns.count
        try:
            self.update()
        except UsageError as error:
            if cached is None:
                raise
            logger.info("%s is ignored: %s", self.cache, error)  # the database has fewer trials
            self.columns, self.cursor, self._saved_count = first_trial, first_cursor, 0
            self.update()

    def _load(self) -> CachedColumns | None:
        if self.cache is None or not self.columns.count:
            return None
        return load_columns(self.cache, self._info.objectives, self._identity())

    def _identity(self) -> str:
        """The name of the study and the time of its first trial, which neither a copy nor further trials change."""
        return f"{self.reader.name} of {float(self.columns.numbers['started'].first(1)[0])}"

    def _set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._info = StudyInfo(self.folder, self.reader.name, attributes, len(self.reader.directions))
