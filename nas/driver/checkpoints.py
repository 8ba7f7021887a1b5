"""Where a driver finds the checkpoints and weights of trials: in their folders, or at the URL of the study (the key `files`).

The driver also publishes what workers need at such a URL, and removes there what they do not need any more.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nas.errors import ConfigError, MachineError, UsageError
from nas.evaluation.settings import StudyPlace
from nas.study.config import StudyConfig
from nas.study.events import Event, Observer, TrialRecorded
from nas.study.file_store import fingerprint_name, trial_name
from nas.study.layout import CHECKPOINT, WEIGHTS, WORKERS
from nas.study.outcomes.records import Stopped
from nas.study.url_store import UrlStore

logger = logging.getLogger(__name__)


def check_files(config: StudyConfig) -> None:
    """Check that the files of the study can be written to their URL, if it has one.

    Raises:
        ConfigError: they cannot, or a package is missing.
    """
    if config.files is None:
        return
    try:
        UrlStore(config.files).check()
    except UsageError as error:
        raise ConfigError(config.where("files"), str(error)) from None


class Checkpoints(Observer, Protocol):
    """The checkpoints and weights of trials; an observer that removes files of stopped trials where nobody else does."""

    def mark_of(self, number: int) -> str | None:
        """A text that changes whenever the checkpoint of the trial `number` does; None if it has none."""

    def has_weights(self, number: int, file: str) -> bool:
        """True if the `file` of weights of the trial `number` is there."""


@dataclass(frozen=True)
class FolderCheckpoints:
    """The checkpoints and weights in the folders of trials.

    Args:
        folder_of: maps the number of a trial to the folder of its files.
    """

    folder_of: Callable[[int], Path]

    def mark_of(self, number: int) -> str | None:
        """As `Checkpoints.mark_of`: size and time of the file."""
        try:
            status = (self.folder_of(number) / CHECKPOINT).stat()
        except OSError:
            return None
        return f"{status.st_size}/{status.st_mtime_ns}"

    def has_weights(self, number: int, file: str) -> bool:
        """As `Checkpoints.has_weights`."""
        return (self.folder_of(number) / file).is_file()

    def notify(self, event: Event) -> None:
        """Do nothing: `nas.driver.record` removes files in folders."""


@dataclass(frozen=True)
class StoredCheckpoints:
    """The checkpoints and weights at the URL of a study, where no worker removes those of stopped trials.

    Args:
        store: the files at the URL.
    """

    store: UrlStore

    def mark_of(self, number: int) -> str | None:
        """As `Checkpoints.mark_of`."""
        return self.store.mark(trial_name(number, CHECKPOINT))

    def has_weights(self, number: int, file: str) -> bool:
        """As `Checkpoints.has_weights`."""
        try:
            return self.store.size(trial_name(number, file)) is not None
        except OSError as error:
            logger.info("the weights of trial %d cannot be looked for: %s", number, error)
            return False

    def notify(self, event: Event) -> None:
        """Remove the files of a trial that was stopped."""
        if isinstance(event, TrialRecorded) and isinstance(event.outcome, Stopped):
            try:
                for name in (CHECKPOINT, WEIGHTS):
                    self.store.remove(trial_name(event.number, name))
            except OSError as error:
                logger.info("files of trial %d are left: %s", event.number, error)


@contextmanager
def published(images: Path, place: StudyPlace, folder_of: Callable[[int], Path]) -> Iterator[Checkpoints]:
    """Within this block the decoded `images` are at the study's URL, if it has one, and a file by which workers recognise it.

    Yields the checkpoints there, or else those in the folders of trials (`folder_of`).

    Raises:
        MachineError: the URL cannot be reached or has no room.
    """
    if place.url is None:
        yield FolderCheckpoints(folder_of)
        return
    store, name, mark = UrlStore(place.url), fingerprint_name(place.fingerprint), f"{WORKERS}/{place.nonce}"
    try:
        with tempfile.NamedTemporaryFile() as empty:
            store.publish(mark, Path(empty.name))
        if store.size(name) != images.stat().st_size:
            store.publish(name, images)
    except OSError as error:
        raise MachineError(f"files: {error}") from error
    try:
        yield StoredCheckpoints(store)
    finally:
        try:
            store.remove(mark)
        except OSError as error:
            logger.info("%s is left: %s", mark, error)


def move_stored_checkpoint(url: str, source: int, target: int) -> None:
    """Move the checkpoint of the trial `source`, if there is one at `url`, to the trial `target`. It only saves time.

    Raises:
        UsageError: the package that reads such URLs is missing.
    """
    store, name = UrlStore(url), trial_name(source, CHECKPOINT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / CHECKPOINT
            if store.fetch(name, copy):
                store.publish(trial_name(target, CHECKPOINT), copy)
                store.remove(name)
    except OSError as error:
        logger.info("trial %d starts afresh: %s", target, error)
