"""A study that was read, and is read on from there: its columns, its page, and the file of its columns."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from nas.analysis.columns_cache import CachedColumns, identity_of, is_worth_saving, load_columns, save_columns
from nas.analysis.drivers import statuses_of
from nas.dashboard.places import StudyPlace
from nas.dashboard.summary import count_trials
from nas.errors import UsageError
from nas.page.document import PageState
from nas.page.drivers import plain_drivers
from nas.page.live_document import LiveDocument
from nas.page.retrained import NO_STAMP, no_retrained, plain_retrained, retrained_stamp
from nas.study.database.drivers import DriverRecord
from nas.study.database.reader import START, StudyReader
from nas.study.info import StudyInfo
from nas.study.layout import COLUMNS, STORAGE, may_write, place_file
from nas.study.lock import is_locked

logger = logging.getLogger(__name__)

LOCK_INTERVAL_S = 1.0
"""Interval between two looks at the lock of a folder: each holds the lock for a moment."""


class LoadedStudy:
    """A study, read as far as its file of columns goes from there and on from the database.

    Args:
        place: where the study is.

    Raises:
        UsageError: the study cannot be read.
    """

    def __init__(self, place: StudyPlace) -> None:
        self.place = place
        self.inode = inode_of(place)
        self.reader = open_reader(place)
        self._has_lock = False
        self._lock_seen_s = -LOCK_INTERVAL_S
        self._drivers: Mapping[str, DriverRecord] = {}
        self._retrained, self._retrained_stamp = no_retrained(), NO_STAMP
        first = self.reader.read(START, limit=1)
        info = StudyInfo(place.folder, self.reader.name, first.attributes or {}, len(self.reader.directions))
        self._identity = identity_of(self.reader.name, first.trials[0]) if first.trials else ""
        self._start(info, self._cached(info))

    def _start(self, info: StudyInfo, cached: CachedColumns | None) -> None:
        """Read the trials that are not in the file; all of them if the file does not fit the database."""
        self._cursor, self._saved_count = START, 0
        self.page = LiveDocument(info, self._state(is_searching=False), None if cached is None else cached.columns)
        if cached is not None:
            self._cursor, self._saved_count = cached.cursor, cached.columns.count
        try:
            self.read_on()
        except UsageError as error:
            if cached is None:
                raise
            logger.info("%s is ignored: %s", COLUMNS, error)  # the database has fewer trials
            self._start(info, None)

    def has_changed(self) -> bool:
        """True if there may be something to read, a search has started or ended, or a full training has ended."""
        if self.reader.changed() or self._is_searched() != self.page.state.is_searching:
            return True
        return retrained_stamp(self.place.folder) != self._retrained_stamp

    def read_on(self) -> None:
        """Read what is new, not much at a time.

        Raises:
            UsageError: the study cannot be read, or does not have the trials that were read.
        """
        attributes, drivers = None, self._drivers
        for changes in self.reader.batches(self._cursor):
            self.page.add(changes.trials)
            self._cursor = changes.cursor
            attributes = changes.attributes or attributes
            drivers = changes.drivers
        self._drivers = drivers
        self._read_retrained()
        self.page.settle(attributes, self._state(is_searching=self._is_searched()))
        self._save()

    @property
    def is_writable(self) -> bool:
        """True if notes and pins can be stored."""
        folder = self.place.folder
        return folder is None or (may_write(folder) and may_write(place_file(folder)))

    @property
    def target(self) -> int | None:
        """The number of trials that the study is to have, if it says."""
        info = self.page.info
        target = (info.attributes.get("target") or {}).get("trials") or info.config.get("trials")
        return target if isinstance(target, int) else None

    def _state(self, *, is_searching: bool) -> PageState:
        return PageState(
            key=self.place.key,
            cursor=str(self._cursor),
            is_live=True,
            is_writable=self.is_writable,
            is_searching=is_searching,
            drivers=self._plain_drivers(is_searching=is_searching),
            retrained=self._retrained,
        )

    def _read_retrained(self) -> None:
        """Read the full trainings again if one has ended."""
        stamp = retrained_stamp(self.place.folder)
        if stamp != self._retrained_stamp:
            page, self._retrained_stamp = self.page, stamp
            fingerprint = str(page.info.dataset.get("fingerprint"))
            self._retrained = plain_retrained(self.place.folder, fingerprint, page.columns.proxy_accuracies())

    def _plain_drivers(self, *, is_searching: bool) -> list[dict[str, Any]]:
        if not self._drivers:
            return []
        now_s = self.reader.now_s()
        statuses = statuses_of(self._drivers, self.page.columns.drivers, now_s, lambda: is_searching)
        return plain_drivers(statuses, now_s)

    def _is_searched(self) -> bool:
        """True if a search runs: it holds the lock of the folder; in a storage, a trial runs."""
        if self.place.folder is None or (self.place.folder / STORAGE).is_file():
            return count_trials(self.page.columns, "running") > 0
        now_s = time.monotonic()
        if now_s - self._lock_seen_s >= LOCK_INTERVAL_S:
            self._lock_seen_s, self._has_lock = now_s, is_locked(self.place.folder)
        return self._has_lock

    def _cached(self, info: StudyInfo) -> CachedColumns | None:
        folder = self.place.folder
        return None if folder is None else load_columns(folder / COLUMNS, info.objectives, self._identity)

    def _save(self) -> None:
        """Write the columns to the folder of the study for the next dashboard, if they have grown enough."""
        folder, columns = self.place.folder, self.page.columns
        if folder is None or not is_worth_saving(columns.count, self._saved_count) or not may_write(folder):
            return
        self._saved_count = columns.count
        try:
            save_columns(folder / COLUMNS, columns, self._cursor, self._identity)
        except OSError as error:
            logger.info("%s is not written: %s", folder / COLUMNS, error)


def open_reader(place: StudyPlace) -> StudyReader:
    """A reader of the study at `place`.

    Raises:
        UsageError: it cannot be read.
    """
    if place.folder is None:
        return StudyReader.of_storage(place.storage or "", place.name)
    return StudyReader.of_folder(place.folder)


def inode_of(place: StudyPlace) -> int:
    """That of the file of the database: another one is another study, or a copy that was put there. 0 for a storage.

    Raises:
        OSError: there is no such file, or this process may not look.
    """
    return 0 if place.folder is None else place_file(place.folder).stat().st_ino
