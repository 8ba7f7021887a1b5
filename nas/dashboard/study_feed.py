"""One study that is read again and again: its page, and what is wrong if it cannot be read.

All methods block and may be called by several threads, one of which reads at a time. A study that cannot be read, or is gone,
keeps the page that it had, and is read again as soon as it can be.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.analysis.tracked_columns import ColumnChanges, TrackedColumns
from nas.dashboard.places import StudyPlace, without_password
from nas.dashboard.responses import RequestError
from nas.dashboard.summary import count_trials, summary_of
from nas.errors import StudyError, UsageError, reason
from nas.page.document import PageState
from nas.page.live_document import LiveDocument
from nas.study.info import StudyInfo
from nas.study.layout import COLUMNS, DATABASE, may_write
from nas.study.lock import is_locked
from nas.study.reader import StudyReader

LOCK_INTERVAL_S = 1.0
"""The lock of a folder is looked at this often: a look holds it for a moment."""
NO_CHANGES = ColumnChanges([], attributes=False)


@dataclass(frozen=True)
class _Loaded:
    """A study that was read.

    Args:
        page: its page.
        inode: of the file of its database; another number is another study, or a copy that was put there.
    """

    page: LiveDocument
    inode: int


class StudyFeed:
    """A study, and the state of its page.

    Args:
        place: where the study is.
    """

    def __init__(self, place: StudyPlace) -> None:
        self.place = place
        self.problem = ""
        self.is_gone = False
        self._lock = threading.RLock()
        self._loaded: _Loaded | None = None
        self._released: StudyReader | None = None
        self._loads = 0
        self._summary: dict[str, Any] = {"state": "reading"}
        self._has_lock = False
        self._lock_seen_s = -LOCK_INTERVAL_S

    # Reading

    def poll(self) -> bool:
        """Read what changed; returns True if there is anything new to send."""
        with self._lock:
            before = (self.problem, self.is_gone, self.stamp)
            try:
                self._read()
                self.problem, self.is_gone = "", False
            except (StudyError, OSError, MemoryError) as error:
                self.problem = str(error) if isinstance(error, StudyError) else reason(error)
                self.is_gone = self.place.folder is not None and not _exists(self.place.folder / DATABASE)
            except Exception as error:  # a damaged study must not end the others
                self.problem = f"{self.place.folder or self.place.name}: cannot be shown: {reason(error)}"
            return (self.problem, self.is_gone, self.stamp) != before

    def glance(self) -> bool:
        """`poll`, but a study that was released stays so unless it has changed."""
        with self._lock:
            return self.poll() if self._released is None or _has_changed(self._released) else False

    def release(self) -> None:
        """Forget the page of a study that nobody looks at, but not its summary."""
        with self._lock:
            if self._loaded is not None and not self._loaded.page.state.is_searching:
                self._released, self._loaded = self._loaded.page.tracked.reader, None

    def _read(self) -> None:
        if self._loaded is None or self._loaded.inode != self._inode():
            self._load()
            return
        page = self._loaded.page
        has_changed = page.tracked.changed()
        if not has_changed and self._is_searched(page.tracked) == page.state.is_searching:
            return
        try:
            changes = page.tracked.update() if has_changed else NO_CHANGES
        except UsageError:
            self._load()  # fewer trials, or others, than were read; or an error, as before
            return
        page.settle(changes, self._page_state(page.tracked))
        self._summarise(page.tracked)

    def _load(self) -> None:
        """Read the whole study, as far as its file of columns has it from there."""
        folder, inode = self.place.folder, self._inode()
        if folder is None:
            tracked = TrackedColumns(StudyReader.of_storage(self.place.storage or "", self.place.name))
        else:
            tracked = TrackedColumns(StudyReader.of_folder(folder), folder, folder / COLUMNS)
        self._loaded, self._released = _Loaded(LiveDocument(tracked, self._page_state(tracked)), inode), None
        self._loads += 1
        self._summarise(tracked)

    def _summarise(self, tracked: TrackedColumns) -> None:
        numbers = summary_of(tracked.columns, _target(tracked.info), is_searching=self._is_searched(tracked))
        self._summary = {"name": tracked.info.name} | numbers
        tracked.save()

    def _page_state(self, tracked: TrackedColumns) -> PageState:
        return PageState(
            key=self.place.key,
            is_live=True,
            is_writable=self.is_writable,
            is_searching=self._is_searched(tracked),
        )

    def _is_searched(self, tracked: TrackedColumns) -> bool:
        """True if a search runs: it holds the lock of the folder; in a storage, a trial runs."""
        if self.place.folder is None:
            return count_trials(tracked.columns, "running") > 0
        now_s = time.monotonic()
        if now_s - self._lock_seen_s >= LOCK_INTERVAL_S:
            self._lock_seen_s, self._has_lock = now_s, is_locked(self.place.folder)
        return self._has_lock

    def _inode(self) -> int:
        return 0 if self.place.folder is None else (self.place.folder / DATABASE).stat().st_ino

    # What is known

    @contextmanager
    def reading(self) -> Iterator[LiveDocument]:
        """Within the block the page does not change.

        Raises:
            RequestError: the study was not read, or cannot be.
        """
        with self._lock:
            if self._loaded is None:
                text = self.problem or "The study has not been read yet."
                raise RequestError(410 if self.is_gone else 503, text)
            yield self._loaded.page

    @property
    def stamp(self) -> tuple[int, int]:
        """How often the study was loaded (a browser that has an earlier one must load it again), and the version of its page."""
        loaded = self._loaded
        return self._loads, -1 if loaded is None else loaded.page.version

    @property
    def trials_stamp(self) -> tuple[int, int]:
        """How often the study was loaded, and the version in which its trials last changed; -1 if it is not loaded."""
        loaded = self._loaded
        return self._loads, -1 if loaded is None else loaded.page.trials_version

    @property
    def is_writable(self) -> bool:
        """True if notes and pins can be stored."""
        folder = self.place.folder
        return folder is None or (may_write(folder) and may_write(folder / DATABASE))

    def summary(self) -> dict[str, Any]:
        """The entry of the start page as plain JSON, without waiting for a read that is under way.

        `state` is "reading", "searching", "interrupted", "finished", "empty", or "gone" or "unreadable" with its `problem`.
        """
        shown = without_password(self.place.storage) if self.place.storage else str(self.place.folder)
        entry = {"key": self.place.key, "name": self.place.name, "folder": shown, **self._summary}
        if self.problem:
            entry |= {"state": "gone" if self.is_gone else "unreadable", "problem": self.problem}
        return entry

    def set_analysis(self, analysis: Mapping[str, Any]) -> None:
        """Set the findings that take a while."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.page.set_analysis(analysis)


def _has_changed(reader: StudyReader) -> bool:
    try:
        return reader.changed()
    except (StudyError, OSError):
        return True


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return True  # it may be there: this process may not look


def _target(info: StudyInfo) -> int | None:
    """The number of trials that the study is to have, if it says."""
    target = (info.attributes.get("target") or {}).get("trials") or info.config.get("trials")
    return target if isinstance(target, int) else None
