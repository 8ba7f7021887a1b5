"""What browsers ask of one study, as JSON. All methods block and may be called by several threads."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nas.dashboard.loaded_study import LoadedStudy
from nas.dashboard.responses import COMPRESSION_LEVEL, RequestError
from nas.dashboard.study_feed import StudyFeed
from nas.errors import StudyError, UsageError
from nas.page.channels import channel_pictures
from nas.page.data import study_contact_sheet
from nas.page.detail import StudyContext, trial_detail
from nas.page.live_document import Position
from nas.page.packing import json_bytes
from nas.page.parts import known_architecture
from nas.study.annotations import Annotations
from nas.study.info import StudyInfo
from nas.study.layout import ERROR, trial_folder
from nas.study.trial_record import TrialRecord
from trainers.input_files import open_input

CONTEXT_AGE_S = 30.0
"""Operator tables, which details of trials need, are read again after this time."""
MAX_SHARED_CHANGES = 8
"""Browsers that are equally far share a change."""
MAX_ERROR_BYTES = 1_000_000


@dataclass
class _Encoded:
    """JSON of one version of a page, made once."""

    stamp: tuple[int, int]
    document: bytes | None = None
    changes: dict[tuple[str, int | None], bytes] = field(default_factory=dict)


class StudyAnswers:
    """Answers about one study. Each method raises `RequestError` if it cannot be answered.

    Args:
        feed: the study.
    """

    def __init__(self, feed: StudyFeed) -> None:
        self._feed = feed
        self._encoded = _Encoded((-1, -1))
        self._context: StudyContext | None = None
        self._context_read_s = 0.0

    def document(self) -> bytes:
        """The whole study as compressed JSON."""
        with self._feed.reading() as loaded:
            encoded = self._encoded_now()
            if encoded.document is None:
                encoded.document = gzip.compress(json_bytes(loaded.page.document()), COMPRESSION_LEVEL, mtime=0)
            return encoded.document

    def change(self, position: Position) -> tuple[Position, bytes] | None:
        """What changed since `position`, and the position after it; None: the study must be loaded again."""
        with self._feed.reading() as loaded:
            encoded = self._encoded_now()
            share = (position.cursor if position.version is None else "", position.version)
            if share not in encoded.changes:
                change = loaded.page.change(position)
                if change is None:
                    return None
                if len(encoded.changes) >= MAX_SHARED_CHANGES:
                    encoded.changes.clear()
                encoded.changes[share] = json_bytes(change)
            return loaded.page.position, encoded.changes[share]

    def _encoded_now(self) -> _Encoded:
        if self._encoded.stamp != self._feed.stamp:
            self._encoded = _Encoded(self._feed.stamp)
        return self._encoded

    # Trials and data

    def detail(self, number: int) -> bytes:
        """Trial `number` in detail."""
        with self._feed.reading() as loaded:
            record = _record(loaded, number)
            try:
                return json_bytes(trial_detail(record, self._current_context(loaded.page.info)))
            except (StudyError, OSError) as error:
                raise RequestError(503, f"Trial {number} cannot be read: {error}") from None

    def pictures(self, number: int) -> bytes:
        """The drawings of the channel dependencies of trial `number`, in the order of `channels` of its detail."""
        with self._feed.reading() as loaded:
            known = known_architecture(_record(loaded, number).user_attrs.get("architecture"))
        return json_bytes([] if known is None else channel_pictures(known))

    def error_text(self, number: int) -> bytes:
        """The traceback of the failed trial `number`, at most its last million bytes."""
        with self._feed.reading() as loaded:
            check_trial(loaded, number)
        folder = self._feed.place.folder
        if folder is None:
            raise RequestError(
                404, "A study in a storage has no files; its trials keep the reason of their failure alone."
            )
        try:
            with open_input(trial_folder(folder, number) / ERROR) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_ERROR_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError as error:
            raise RequestError(404, f"Trial {number} has no traceback that can be read: {error.strerror}.") from None
        return json_bytes({"text": text})

    def contact_sheet(self) -> bytes:
        """A few images of each class; null if the study's decoded images are not there."""
        with self._feed.reading() as loaded:
            info = loaded.page.info
        return json_bytes(study_contact_sheet(info))

    def _current_context(self, info: StudyInfo) -> StudyContext:
        now_s = time.monotonic()
        if self._context is None or now_s - self._context_read_s > CONTEXT_AGE_S:
            self._context, self._context_read_s = StudyContext.of(info.folder, info.attributes), now_s
        return self._context

    # Notes and pins

    def write_note(self, number: int, text: str) -> None:
        """Write the note of trial `number`; an empty `text` removes it."""
        with self._annotating(number) as annotations:
            annotations.set_note(number, text)

    def write_pin(self, number: int, *, is_pinned: bool) -> None:
        """Pin trial `number`, or remove its pin."""
        with self._annotating(number) as annotations:
            (annotations.pin if is_pinned else annotations.unpin)(number)

    @contextmanager
    def _annotating(self, number: int) -> Iterator[Annotations]:
        with self._feed.reading() as loaded:
            check_trial(loaded, number)
            is_writable = loaded.is_writable
        place = self._feed.place
        if not is_writable:
            raise RequestError(
                403, f"{place.folder or place.name}: is read-only, so that notes and pins cannot be stored."
            )
        try:
            if place.folder is None:
                yield Annotations.of_storage(place.storage or "", place.name)
            else:
                yield Annotations.of_folder(place.folder)
        except UsageError as error:
            raise RequestError(400, f"{error}.") from None
        except (StudyError, OSError) as error:
            raise RequestError(503, f"The database cannot be written now: {error}.") from None


def check_trial(loaded: LoadedStudy, number: int) -> None:
    """Raise `RequestError` unless the study has a trial `number`."""
    count = loaded.page.columns.count
    if number >= count:
        known = f"the numbers 0 to {count - 1}" if count else "none yet"
        raise RequestError(404, f"There is no trial {number} in this study; it has {known}.")


def _record(loaded: LoadedStudy, number: int) -> TrialRecord:
    check_trial(loaded, number)
    try:
        return loaded.reader.trial(number)
    except (StudyError, OSError) as error:
        raise RequestError(503, f"Trial {number} cannot be read: {error}") from None
