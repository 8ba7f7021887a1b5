"""One study that is read again and again: its page, what changed for each browser, and what is wrong if it cannot be read.

All methods block and may be called by several threads, one of which reads at a time. A study that cannot be read, or is gone,
keeps the page that it had, and is read again as soon as it can be.
"""

from __future__ import annotations

import gzip
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.analysis.columns_cache import identity_of, is_worth_saving, load_columns, save_columns
from nas.dashboard.places import StudyPlace, without_password
from nas.dashboard.responses import COMPRESSION_LEVEL, RequestError, json_bytes
from nas.dashboard.summary import count_trials, summary_of
from nas.errors import StudyError, UsageError, reason
from nas.page.channels import channel_pictures
from nas.page.data import study_contact_sheet
from nas.page.detail import StudyContext, trial_detail
from nas.page.document import PageState
from nas.page.live_document import LiveDocument, Position
from nas.page.parts import known_architecture
from nas.study.annotations import Annotations
from nas.study.info import StudyInfo
from nas.study.layout import COLUMNS, DATABASE, ERROR, may_write, trial_folder
from nas.study.lock import is_locked
from nas.study.reader import START, Cursor, StudyReader

logger = logging.getLogger(__name__)

LOCK_INTERVAL_S = 1.0
"""The lock of a folder is looked at this often: a look holds it for a moment."""
CONTEXT_AGE_S = 30.0
"""Operator tables, which details of trials need, are read again after this time."""
MAX_SHARED_CHANGES = 8
"""Browsers that are equally far share a change."""
MAX_ERROR_BYTES = 1_000_000


@dataclass
class _Loaded:
    """What is known of a study that could be read."""

    reader: StudyReader
    page: LiveDocument
    cursor: Cursor = START
    inode: int = 0
    identity: str = ""
    saved_count: int = 0
    """Number of trials in the file of the columns."""


@dataclass
class _Encoded:
    """JSON of one version of the page."""

    version: int
    document: bytes | None = None
    changes: dict[tuple[str, int | None], bytes] = field(default_factory=dict)


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
        self._encoded = _Encoded(-1)
        self._summary: dict[str, Any] = {"state": "reading"}
        self._has_lock = False
        self._lock_seen_s = -LOCK_INTERVAL_S
        self._context: StudyContext | None = None
        self._context_read_s = 0.0

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

    @property
    def trials_stamp(self) -> tuple[int, int]:
        """How often the study was loaded, and the version in which its trials last changed; -1 if it is not loaded."""
        loaded = self._loaded
        return self._loads, -1 if loaded is None else loaded.page.trials_version

    def glance(self) -> bool:
        """`poll`, but a study that was released stays so unless it has changed."""
        with self._lock:
            released = self._released
            if released is None or _has_changed(released):
                return self.poll()
            return False

    def release(self) -> None:
        """Forget the page of a study that nobody looks at, but not its summary."""
        with self._lock:
            if self._loaded is not None and not self._loaded.page.state.is_searching:
                self._released, self._loaded, self._context = self._loaded.reader, None, None
                self._encoded = _Encoded(-1)

    def _read(self) -> None:
        if self._loaded is None or self._loaded.inode != self._inode():
            self._replace(self._load())
            return
        loaded = self._loaded
        if not loaded.reader.changed() and self._is_searched(loaded.page) == loaded.page.state.is_searching:
            return
        try:
            self._read_on(loaded)
        except UsageError:
            self._replace(self._load())  # fewer trials, or others, than were read; or an error, as before

    def _replace(self, loaded: _Loaded) -> None:
        self._loaded, self._released = loaded, None
        self._loads += 1
        self._encoded = _Encoded(-1)

    def _load(self) -> _Loaded:
        """Read the whole study."""
        folder, inode = self.place.folder, self._inode()
        if folder is not None:
            reader = StudyReader.of_folder(folder)
        else:
            reader = StudyReader.of_storage(self.place.storage or "", self.place.name)
        first = reader.read(START, limit=1)
        info = StudyInfo(folder, reader.name, first.attributes or {}, len(reader.directions))
        state = self._page_state(START, is_searching=False)
        identity = identity_of(reader.name, first.trials[0]) if first.trials else ""
        cached = None if folder is None else load_columns(folder / COLUMNS, info.objectives, identity)
        if cached is not None:
            page = LiveDocument(info, state, cached.columns)
            loaded = _Loaded(reader, page, cached.cursor, inode, identity, cached.columns.count)
            try:
                self._read_on(loaded)
                return loaded
            except UsageError as error:  # the database has fewer trials
                logger.info("%s is ignored: %s", COLUMNS, error)
        loaded = _Loaded(reader, LiveDocument(info, state), START, inode, identity)
        self._read_on(loaded)
        return loaded

    def _read_on(self, loaded: _Loaded) -> None:
        """Read what `loaded` does not have, not much at a time."""
        attributes = None
        for changes in loaded.reader.batches(loaded.cursor):
            loaded.page.add(changes.trials)
            loaded.cursor = changes.cursor
            attributes = changes.attributes or attributes
        is_searching = self._is_searched(loaded.page)
        loaded.page.settle(attributes, self._page_state(loaded.cursor, is_searching=is_searching))
        info = loaded.page.info
        self._summary = {"name": info.name} | summary_of(loaded.page.columns, _target(info), is_searching=is_searching)
        self._save(loaded)

    def _save(self, loaded: _Loaded) -> None:
        """Write the columns to the folder of the study for the next dashboard, if they have grown enough."""
        folder, columns = self.place.folder, loaded.page.columns
        if folder is None or not is_worth_saving(columns.count, loaded.saved_count) or not may_write(folder):
            return
        loaded.saved_count = columns.count
        try:
            save_columns(folder / COLUMNS, columns, loaded.cursor, loaded.identity)
        except OSError as error:
            logger.info("%s is not written: %s", folder / COLUMNS, error)

    def _page_state(self, cursor: Cursor, *, is_searching: bool) -> PageState:
        folder = self.place.folder
        return PageState(
            key=self.place.key,
            cursor=str(cursor),
            is_live=True,
            is_writable=folder is None or (may_write(folder) and may_write(folder / DATABASE)),
            is_searching=is_searching,
        )

    def _is_searched(self, page: LiveDocument) -> bool:
        """True if a search runs: it holds the lock of the folder; in a storage, a trial runs."""
        return (
            count_trials(page.columns, "running") > 0
            if self.place.folder is None
            else self._is_locked(self.place.folder)
        )

    def _is_locked(self, folder: Path) -> bool:
        now_s = time.monotonic()
        if now_s - self._lock_seen_s >= LOCK_INTERVAL_S:
            self._lock_seen_s = now_s
            self._has_lock = is_locked(folder)
        return self._has_lock

    # Answers

    def summary(self) -> dict[str, Any]:
        """The entry of the start page as plain JSON, without waiting for a read that is under way.

        `state` is "reading", "searching", "interrupted", "finished", "empty", or "gone" or "unreadable" with its `problem`.
        """
        shown = without_password(self.place.storage) if self.place.storage else str(self.place.folder)
        entry = {"key": self.place.key, "name": self.place.name, "folder": shown, **self._summary}
        if self.problem:
            entry |= {"state": "gone" if self.is_gone else "unreadable", "problem": self.problem}
        return entry

    def document(self) -> bytes:
        """The whole study as compressed JSON, made once for each version.

        Raises:
            RequestError: it cannot be read.
        """
        with self._lock:
            page, encoded = self._page(), self._encoded_now()
            if encoded.document is None:
                encoded.document = gzip.compress(json_bytes(page.document()), COMPRESSION_LEVEL, mtime=0)
            return encoded.document

    def change(self, position: Position) -> tuple[Position, bytes] | None:
        """What changed since `position` as JSON, and the position after it; None: the study must be loaded again.

        Raises:
            RequestError: it cannot be read.
        """
        with self._lock:
            page, encoded = self._page(), self._encoded_now()
            share = (position.cursor if position.version is None else "", position.version)
            if share not in encoded.changes:
                change = page.change(position)
                if change is None:
                    return None
                if len(encoded.changes) >= MAX_SHARED_CHANGES:
                    encoded.changes.clear()
                encoded.changes[share] = json_bytes(change)
            return page.position, encoded.changes[share]

    def detail(self, number: int) -> bytes:
        """Trial `number` in detail as JSON.

        Raises:
            RequestError: there is no such trial, or it cannot be read.
        """
        with self._lock:
            page = self._page()
            self._check_trial(number)
            try:
                record = self._reader.trial(number)
                return json_bytes(trial_detail(record, self._current_context(page.info)))
            except (StudyError, OSError) as error:
                raise RequestError(503, f"Trial {number} cannot be read: {error}") from None

    def pictures(self, number: int) -> bytes:
        """The drawings of the channel dependencies of trial `number` as JSON, in the order of `channels` of its detail.

        Raises:
            RequestError: there is no such trial, or it cannot be read.
        """
        with self._lock:
            self._check_trial(number)
            try:
                known = known_architecture(self._reader.trial(number).user_attrs.get("architecture"))
            except (StudyError, OSError) as error:
                raise RequestError(503, f"Trial {number} cannot be read: {error}") from None
        return json_bytes([] if known is None else channel_pictures(known))

    def contact_sheet(self) -> bytes:
        """A few images of each class as JSON; null if the study's decoded images are not there.

        Raises:
            RequestError: the study cannot be read.
        """
        return json_bytes(study_contact_sheet(self._page().info))

    def error_text(self, number: int) -> bytes:
        """The traceback of the failed trial `number` as JSON, at most its last million bytes.

        Raises:
            RequestError: there is none.
        """
        self._check_trial(number)
        if self.place.folder is None:
            raise RequestError(
                404, "A study in a storage has no files; its trials keep the reason of their failure alone."
            )
        try:
            with (trial_folder(self.place.folder, number) / ERROR).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - MAX_ERROR_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError as error:
            raise RequestError(404, f"Trial {number} has no traceback that can be read: {error.strerror}.") from None
        return json_bytes({"text": text})

    def write_note(self, number: int, text: str) -> None:
        """Write the note of trial `number`; an empty `text` removes it.

        Raises:
            RequestError: there is no such trial, or the study cannot be written to.
        """
        with self._annotating(number) as annotations:
            annotations.set_note(number, text)

    def write_pin(self, number: int, *, is_pinned: bool) -> None:
        """Pin trial `number`, or remove its pin.

        Raises:
            RequestError: there is no such trial, too many are pinned, or the study cannot be written to.
        """
        with self._annotating(number) as annotations:
            (annotations.pin if is_pinned else annotations.unpin)(number)

    @contextmanager
    def _annotating(self, number: int) -> Iterator[Annotations]:
        self._check_trial(number)
        folder, url = self.place.folder, self.place.storage
        if not self._page_state(START, is_searching=False).is_writable:
            raise RequestError(
                403, f"{folder or self.place.name}: is read-only, so that notes and pins cannot be stored."
            )
        try:
            yield Annotations.of_folder(folder) if folder else Annotations.of_storage(url or "", self.place.name)
        except UsageError as error:
            raise RequestError(400, f"{error}.") from None
        except (StudyError, OSError) as error:
            raise RequestError(503, f"The database cannot be written now: {error}.") from None

    def set_analysis(self, analysis: dict[str, Any]) -> None:
        """Set the findings that take a while."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.page.set_analysis(analysis)

    @property
    def stamp(self) -> tuple[int, int]:
        """How often the study was loaded (a browser that has an earlier one must load it again), and the version of its page."""
        loaded = self._loaded
        return self._loads, -1 if loaded is None else loaded.page.version

    def _page(self) -> LiveDocument:
        if self._loaded is None:
            text = self.problem or "The study has not been read yet."
            raise RequestError(410 if self.is_gone else 503, text)
        return self._loaded.page

    @property
    def _reader(self) -> StudyReader:
        if self._loaded is None:
            raise RequestError(503, self.problem)
        return self._loaded.reader

    def _encoded_now(self) -> _Encoded:
        version = self._page().version
        if self._encoded.version != version:
            self._encoded = _Encoded(version)
        return self._encoded

    def _check_trial(self, number: int) -> None:
        count = self._page().columns.count
        if number >= count:
            known = f"the numbers 0 to {count - 1}" if count else "none yet"
            raise RequestError(404, f"There is no trial {number} in this study; it has {known}.")

    def _current_context(self, info: StudyInfo) -> StudyContext:
        now_s = time.monotonic()
        if self._context is None or now_s - self._context_read_s > CONTEXT_AGE_S:
            self._context, self._context_read_s = StudyContext.of(info.folder, info.attributes), now_s
        return self._context

    def _inode(self) -> int:
        """Identifies the file of the database: another number is another study, or a copy that was put there."""
        folder = self.place.folder
        return 0 if folder is None else (folder / DATABASE).stat().st_ino


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
