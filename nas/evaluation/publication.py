"""Publishes checkpoints in the background, such that it takes a bounded share of the time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nas.study.file_store import FileStore

MAX_PUBLISH_SHARE = 0.02
"""The share of time in which checkpoints are on their way. It is more than `MAX_SAVE_SHARE` of their writing, since the
training goes on meanwhile."""

ASSUMED_PUBLISH_S = 0.1
"""Seconds that the first publication is assumed to take."""

logger = logging.getLogger(__name__)


class Publication:
    """Publishes one file at a time in a thread.

    Args:
        store: where to.
        clock: seconds from any start.
    """

    def __init__(self, store: FileStore, clock: Callable[[], float] = time.perf_counter) -> None:
        self.store = store
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._ended_at = clock()
        self._publish_s = ASSUMED_PUBLISH_S
        self._published: object = None  # the version of the file that the store has or gets

    def has(self, source: Path) -> None:
        """Take the store to have `source` as it is now."""
        self._published = _version(source)

    def offer_if_new(self, name: str, source: Path) -> None:
        """Offer `source`, if it exists and is not what was published, or was taken to be there, last."""
        version = _version(source)
        if version is not None and version != self._published and self.offer(name, source):
            self._published = version

    def offer(self, name: str, source: Path) -> bool:
        """Start to publish `source` as `name`; False if the last file is still on its way, or its time is not yet earned."""
        is_due = self._clock() - self._ended_at >= self._publish_s / MAX_PUBLISH_SHARE
        if (self._thread is not None and self._thread.is_alive()) or not is_due:
            return False
        self._thread = threading.Thread(target=self._publish, args=(name, source), daemon=True)
        self._thread.start()
        return True

    def wait(self) -> None:
        """Wait until nothing is on its way."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _publish(self, name: str, source: Path) -> None:
        start = self._clock()
        try:
            self.store.publish(name, source)
        except Exception as error:  # it only saves time; what must be kept is published in the worker's own thread
            logger.info("%s cannot be published; the training goes on: %s", name, error)
        self._ended_at = self._clock()
        self._publish_s = self._ended_at - start


def _version(file: Path) -> object:
    """Changes whenever `file` is replaced; None if it does not exist."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
