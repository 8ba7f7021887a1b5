"""One study that is read again and again: its page, and what is wrong if it cannot be read.

All methods block and may be called by several threads, one of which reads at a time. A study that cannot be read, or is gone,
keeps the page that it had, and is read again as soon as it can be.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.dashboard.loaded_study import LoadedStudy, inode_of
from nas.dashboard.places import StudyPlace, without_password
from nas.dashboard.responses import RequestError
from nas.dashboard.summary import summary_of
from nas.errors import StudyError, UsageError, reason
from nas.study.database.reader import StudyReader
from nas.study.layout import place_file


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
        self._loaded: LoadedStudy | None = None
        self._released: StudyReader | None = None
        self._loads = 0
        self._summary: dict[str, Any] = {"state": "reading"}

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
                self.is_gone = self.place.folder is not None and not _exists(place_file(self.place.folder))
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
                self._released, self._loaded = self._loaded.reader, None

    def _read(self) -> None:
        if self._loaded is None or self._loaded.inode != inode_of(self.place):
            self._load()
        elif self._loaded.has_changed():
            try:
                self._loaded.read_on()
            except UsageError:
                self._load()  # fewer trials, or others, than were read; or an error, as before
        else:
            return
        self._summarise()

    def _load(self) -> None:
        self._loaded, self._released = LoadedStudy(self.place), None
        self._loads += 1

    def _summarise(self) -> None:
        if self._loaded is not None:
            page = self._loaded.page
            numbers = summary_of(page.columns, self._loaded.target, is_searching=page.state.is_searching)
            self._summary = {"name": page.info.name} | numbers

    # What is known

    @contextmanager
    def reading(self) -> Iterator[LoadedStudy]:
        """Within the block the study does not change.

        Raises:
            RequestError: the study was not read, or cannot be.
        """
        with self._lock:
            if self._loaded is None:
                text = self.problem or "The study has not been read yet."
                raise RequestError(410 if self.is_gone else 503, text)
            yield self._loaded

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
