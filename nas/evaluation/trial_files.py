"""The files of trials in a worker: its evaluator works in a folder, and does not know whether others see that folder.

`SharedTrialFiles` is the study's folder itself, which the worker sees: nothing is copied. `StoredTrialFiles` is a folder of
this machine: a trial's checkpoint and weights are fetched from a `FileStore` (the driver's folder, or a URL) before the trial,
and published to it while the trial trains and before its outcome is returned.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from nas.evaluation.publication import Publication
from nas.evaluation.stop_request import StopRequest
from nas.study.file_store import FileStore, trial_name
from nas.study.layout import CHECKPOINT, INHERITED_WEIGHTS, REFERENCE, WEIGHTS, WORKERS, sibling_folder, trial_folder
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.worker_tasks import TrialTask
from nas.study.segments import STOP, Segment, WorkerFiles

LOCAL_INTERVAL_S = 0.25
REMOTE_INTERVAL_S = 2.0
"""Seconds between two looks at whether the driver asks its workers to stop."""

logger = logging.getLogger(__name__)


class TrialFiles(Protocol):
    """The files of the trials of one worker, which evaluates one trial after the other."""

    @property
    def images(self) -> Path:
        """The file of decoded images."""

    @property
    def reference_file(self) -> Path | None:
        """The times of the reference network; None: they are not kept."""

    def announce(self, trial: int, segment: Segment) -> None:
        """Tell the driver that `segment` of the trial number `trial` starts. No failure of this is an error."""

    def opened(self, task: TrialTask) -> AbstractContextManager[Path]:
        """A context with the folder to evaluate `task` in: it has the checkpoint and weights of earlier segments, if any."""

    def on_epoch(self) -> None:
        """Called after each epoch of the open trial, when its checkpoint may have been written."""

    def keep_checkpoint(self) -> None:
        """Called when the open trial pauses: whoever continues it needs the checkpoint that was written.

        Raises:
            OSError: it cannot be kept.
        """

    def is_stop_requested(self) -> bool:
        """Whether the driver asks its workers to stop; called between two steps. No failure of this is an error."""

    def keep_weights(self, file: str = WEIGHTS) -> None:
        """Called when the weights of the open trial are written into `file`, before its outcome is returned.

        Raises:
            OSError: they cannot be kept.
        """

    def weights_of_parent(self, task: TrialTask, inherited: Inheritance) -> Path | None:
        """The file of the weights that the open trial of `task` takes over; None: they are gone.

        Raises:
            OSError: the place where they are cannot be reached.
        """


class SharedTrialFiles:
    """The files in the study's folder, which this worker sees; a `TrialFiles` that copies nothing.

    Args:
        images: the file of decoded images.
        reference_file: the times of the reference network; None: they are not kept.
        workers_folder: where workers announce what they train; None: nowhere.
    """

    def __init__(self, images: Path, reference_file: Path | None = None, workers_folder: Path | None = None) -> None:
        self.images = images
        self.reference_file = reference_file
        self.workers = None if workers_folder is None else WorkerFiles(workers_folder)
        self._stop = StopRequest(self._look_for_stop, LOCAL_INTERVAL_S)

    def announce(self, trial: int, segment: Segment) -> None:
        """As `TrialFiles.announce`."""
        if self.workers is not None:
            self.workers.announce(trial, segment)

    @contextmanager
    def opened(self, task: TrialTask) -> Iterator[Path]:
        """As `TrialFiles.opened`."""
        yield Path(task.folder)

    def on_epoch(self) -> None:
        """Nothing is to do."""

    def keep_checkpoint(self) -> None:
        """Nothing is to do."""

    def is_stop_requested(self) -> bool:
        """As `TrialFiles.is_stop_requested`."""
        return self._stop()

    def _look_for_stop(self) -> bool:
        return self.workers is not None and self.workers.is_stop_requested()

    def keep_weights(self, file: str = WEIGHTS) -> None:
        """Nothing is to do."""

    def weights_of_parent(self, task: TrialTask, inherited: Inheritance) -> Path | None:
        """As `TrialFiles.weights_of_parent`."""
        file = sibling_folder(Path(task.folder), inherited.parent) / inherited.file
        return file if file.is_file() else None


class StoredTrialFiles:
    """The files in a store that is not this machine's disk; a `TrialFiles`.

    Args:
        store: has the checkpoints and weights.
        images: the file of decoded images.
        folder: a folder of this process alone, on this machine.
        driver: the driver's folder, for announcements and the reference network; None: there are none.
        workers: the name of the folder of workers in the driver's folder.
    """

    def __init__(
        self, store: FileStore, images: Path, folder: Path, driver: FileStore | None, workers: str = WORKERS
    ) -> None:
        self.store = store
        self.images = images
        self.folder = folder
        self.driver = driver
        self.workers = workers
        self._stop = StopRequest(self._look_for_stop, REMOTE_INTERVAL_S)
        self.reference_file = folder / REFERENCE
        self._trial = 0
        self._publication = Publication(store)
        self._reference = None if driver is None else self._fetch_reference(driver)

    def announce(self, trial: int, segment: Segment) -> None:
        """As `TrialFiles.announce`."""
        if self.driver is None:
            return
        files = WorkerFiles(self.folder / WORKERS)
        files.folder.mkdir(exist_ok=True)
        files.announce(trial, segment)
        try:
            for file in files.folder.glob("*.json"):
                self.driver.publish(f"{self.workers}/{file.name}", file)
        except OSError as error:
            logger.info("trial %d: its worker cannot be announced: %s", trial, error)

    @contextmanager
    def opened(self, task: TrialTask) -> Iterator[Path]:
        """As `TrialFiles.opened`."""
        folder = trial_folder(self.folder, task.number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._trial = task.number
        try:
            names = (WEIGHTS, CHECKPOINT) if task.inherited is None else (INHERITED_WEIGHTS, CHECKPOINT)
            for file in names:
                try:
                    self.store.fetch(trial_name(task.number, file), folder / file)
                except OSError as error:
                    logger.warning("trial %d starts afresh, without its %s: %s", task.number, file, error)
            self._publication.has(folder / CHECKPOINT)
            yield folder
        finally:
            self._publication.wait()
            self._publish_reference()
            shutil.rmtree(folder, ignore_errors=True)

    def on_epoch(self) -> None:
        """Publish the checkpoint in the background, if it is new and that takes next to no time."""
        self._publication.offer_if_new(trial_name(self._trial, CHECKPOINT), self._checkpoint)

    def is_stop_requested(self) -> bool:
        """As `TrialFiles.is_stop_requested`."""
        return self._stop()

    def _look_for_stop(self) -> bool:
        try:
            return self.driver is not None and self.driver.size(f"{self.workers}/{STOP}") is not None
        except OSError:
            return False

    def keep_checkpoint(self) -> None:
        """As `TrialFiles.keep_checkpoint`."""
        self._publication.wait()
        self.store.publish(trial_name(self._trial, CHECKPOINT), self._checkpoint)

    def keep_weights(self, file: str = WEIGHTS) -> None:
        """As `TrialFiles.keep_weights`. The checkpoint is not needed any more."""
        self._publication.wait()
        self.store.publish(trial_name(self._trial, file), trial_folder(self.folder, self._trial) / file)
        self.store.remove(trial_name(self._trial, CHECKPOINT))

    def weights_of_parent(self, task: TrialTask, inherited: Inheritance) -> Path | None:
        """As `TrialFiles.weights_of_parent`; they are fetched into the folder of the open trial, which is removed with it."""
        copy = trial_folder(self.folder, task.number) / f"parent-{inherited.file}"
        return copy if self.store.fetch(trial_name(inherited.parent, inherited.file), copy) else None

    @property
    def _checkpoint(self) -> Path:
        return trial_folder(self.folder, self._trial) / CHECKPOINT

    def _fetch_reference(self, driver: FileStore) -> bytes | None:
        """The times that the driver has, which this worker uses."""
        try:
            driver.fetch(REFERENCE, self.reference_file)
        except OSError as error:
            logger.info("the times of the reference network cannot be fetched: %s", error)
        return _content(self.reference_file)

    def _publish_reference(self) -> None:
        """Publish the times of the reference network if this worker has measured some."""
        content = _content(self.reference_file)
        if self.driver is None or content is None or content == self._reference:
            return
        try:
            self.driver.publish(REFERENCE, self.reference_file)
            self._reference = content
        except OSError as error:
            logger.info("the times of the reference network cannot be published: %s", error)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
