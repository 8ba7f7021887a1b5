"""Reads the images of a study in a thread: it looks where they are, and then decodes them, while the executor starts.

What is wrong with most data shows at once, so the caller waits for a moment before it starts or writes anything. Long work
goes on beside the start of the executor, and ends early if the block ends, as by Ctrl-C.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.images import check_room, locate_images, prepare_images, restore_images
from nas.study.stored import StoredStudy
from trainers.data.description import DatasetInfo
from trainers.data.types import READING_VERSION, LocatedData, Progress

LISTING_WAIT_S = 1.0
"""Longest wait for the list of images; tens of thousands of files take less."""
DECODING_WAIT_S = 0.25
"""Longest wait for decoded images; a few thousand small ones, or any that are decoded already, take less."""
CANCELLED_POLL_S = 0.1
"""Interval between two looks at whether the block has ended, after which a list of images is not waited for."""

Result = TypeVar("Result")
DecodedImages = tuple[Path, DatasetInfo]


class ImageReader:
    """Reads the images of a study; a context manager.

    Args:
        config: the configuration of the study.
        cache: the folder of decoded images.
        reading_version: of the rules by which folders are read.
    """

    def __init__(self, config: StudyConfig, cache: Path, reading_version: int = READING_VERSION) -> None:
        self.config = config
        self.cache = cache
        self.reading_version = reading_version
        self.study: StoredStudy | None = None
        """The study that is continued."""
        self._located: Future[LocatedData] | None = None
        self._decoded: Future[DecodedImages] | None = None
        self._before: frozenset[Path] = frozenset()  # files in the cache
        self._at_once = False
        self._cancelled = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the work; nothing writes to the cache afterwards."""
        self._cancelled.set()
        if self._decoded is not None:
            wait([self._decoded])

    def continue_study(self, config: StudyConfig, study: StoredStudy) -> None:
        """Read the images of a `study` that exists with its `config`; those that it has decoded serve if others are gone."""
        self.config = config
        self.study = study
        self.reading_version = study.reading_version

    def locate(self) -> None:
        """Look where the images are, unless that was done; a list of very many images may go on in the thread.

        Raises:
            ConfigError: they are missing or not in the layout of the source, or the disk has too little room for them.
        """
        if self._located is None:
            self._located = _run_in_thread(self._locate)
        if wait([self._located], LISTING_WAIT_S).done:
            self._located.result()

    def decode(self, progress: Progress | None = None) -> bool:
        """Start to decode the images; True if they are decoded after a moment.

        Args:
            progress: called with the number of images decoded and the total number.

        Raises:
            ConfigError: an image is broken, or there are too few.
        """
        if self.study is None:
            self.locate()
        self._before = frozenset(self.cache.glob("*"))
        self._decoded = _run_in_thread(lambda: self._decode(progress))
        if wait([self._decoded], DECODING_WAIT_S).done:
            self._decoded.result()
            self._at_once = True
        return self._at_once

    def result(self) -> DecodedImages:
        """Wait for the decoded images; returns their file and its description. Call after `decode`.

        Raises:
            ConfigError: as `locate` and `decode`.
        """
        if self._decoded is None:
            raise RuntimeError("`decode` must be called before `result`")
        return self._decoded.result()

    def check_study(self) -> None:
        """Check that the images are those of the study that is continued; others are removed again.

        Raises:
            ConfigError: they are not.
        """
        if self.study is None:
            return
        file, dataset = self.result()
        try:
            self.study.check_images(self.config, dataset)
        except ConfigError:
            file.unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Remove the images if this reader has decoded them at once; what takes longer is kept for the next attempt."""
        if not self._at_once:
            return
        for file in set(self.cache.glob("*")) - self._before:
            file.unlink(missing_ok=True)

    def _locate(self) -> LocatedData:
        located = locate_images(self.config, self.reading_version)
        check_room(self.config, located, self.cache)
        return located

    def _decode(self, progress: Progress | None) -> DecodedImages:
        def report(done: int, total: int) -> None:
            if self._cancelled.is_set():
                raise _CancelledError
            if progress is not None:
                progress(done, total)

        if self.study is None:
            located = None if self._located is None else self._wait_for(self._located).result()
            return prepare_images(self.config, self.cache, report, located, self.reading_version)
        listing = self._wait_for(_run_in_thread(lambda: locate_images(self.config, self.reading_version)))
        located = None if listing.exception() else listing.result()  # an error is raised again where it is handled
        return restore_images(self.config, self.cache, self.study.fingerprint, report, located, self.reading_version)

    def _wait_for(self, listing: Future[LocatedData]) -> Future[LocatedData]:
        """Wait for `listing` as long as it is needed; it writes nothing, so it may go on in its thread."""
        while not wait([listing], CANCELLED_POLL_S).done:
            if self._cancelled.is_set():
                raise _CancelledError
        return listing


class _CancelledError(Exception):
    """The images are not needed any more."""


def _run_in_thread(function: Callable[[], Result]) -> Future[Result]:
    """Call `function` in a thread that does not keep the process alive."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # raised again by `Future.result`
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
