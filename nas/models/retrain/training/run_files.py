"""The files of full trainings in a worker, which works in a folder and does not know whether its driver sees that folder.

`SharedRunFiles` is the driver's folder itself: nothing is copied. `StoredRunFiles` is a folder of this machine: a checkpoint is
fetched from the driver's folder before the training, and what is written is published there while it trains and at its end.
Files have the same names below the driver's folder as on its disk (`nas.study.retrained`).
"""

from __future__ import annotations

import logging
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from nas.errors import StudyError
from nas.evaluation.driver_store import DriverStore
from nas.evaluation.place import obtain_images, sees_folder
from nas.evaluation.publication import Publication
from nas.evaluation.trial_files import LOCAL_INTERVAL_S, REMOTE_INTERVAL_S
from nas.evaluation.work_folder import create_work_folder
from nas.execution.driver_files import DriverFiles
from nas.models.retrain.plan.jobs import RetrainSettings
from nas.models.retrain.training.progress import PROGRESS
from nas.study.file_store import FileStore
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.retrained import RESULT, RETRAINED, STOP

logger = logging.getLogger(__name__)


class RunFiles(Protocol):
    """The files of the runs of one worker, which trains one network after the other."""

    @property
    def images(self) -> Path:
        """The file of decoded images."""

    @property
    def stop_interval_s(self) -> float:
        """Seconds between two calls of `is_stop_requested` that are worth their time."""

    def opened(self, folder: Path) -> AbstractContextManager[Path]:
        """A context with the folder to work in for the run in the driver's `folder`; it has the run's checkpoint, if any."""

    def weights_folder(self, folder: Path) -> Path:
        """A folder on this machine with the weights in the driver's `folder`.

        Raises:
            OSError: they cannot be fetched.
        """

    def on_progress(self) -> None:
        """Called when the progress of the open run, and maybe its checkpoint, were written. No failure of this is an error."""

    def keep_checkpoint(self) -> None:
        """Called when the open run stops before its end, and its checkpoint is written.

        Raises:
            OSError: it cannot be kept.
        """

    def keep_result(self) -> None:
        """Called when the weights of the open run and then its record are written.

        Raises:
            OSError: they cannot be kept.
        """

    def is_stop_requested(self) -> bool:
        """Whether the driver asks its workers to stop. No failure of this is an error."""


class SharedRunFiles:
    """The files in the driver's folder, which this worker sees; a `RunFiles` that copies nothing.

    Args:
        images: the file of decoded images.
        stop_file: a file whose existence asks the workers to stop.
        on_progress: called when the progress of the open run was written.
    """

    stop_interval_s = LOCAL_INTERVAL_S

    def __init__(self, images: Path, stop_file: Path, on_progress: Callable[[], None] = lambda: None) -> None:
        self.images = images
        self.stop_file = stop_file
        self._on_progress = on_progress

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Path]:
        """As `RunFiles.opened`."""
        folder.mkdir(parents=True, exist_ok=True)
        yield folder

    def weights_folder(self, folder: Path) -> Path:
        """As `RunFiles.weights_folder`."""
        return folder

    def on_progress(self) -> None:
        """As `RunFiles.on_progress`."""
        self._on_progress()

    def keep_checkpoint(self) -> None:
        """Nothing is to do."""

    def keep_result(self) -> None:
        """Nothing is to do."""

    def is_stop_requested(self) -> bool:
        """As `RunFiles.is_stop_requested`."""
        return self.stop_file.exists()


class StoredRunFiles:
    """The files in the driver's folder, which this worker does not see; a `RunFiles`.

    Args:
        store: the driver's folder.
        root: where that folder is on the driver's machine.
        images: the file of decoded images, on this machine.
        work: a folder of this process alone, on this machine.
    """

    stop_interval_s = REMOTE_INTERVAL_S

    def __init__(self, store: FileStore, root: Path, images: Path, work: Path) -> None:
        self.store = store
        self.root = root
        self.images = images
        self.work = work
        self._publication = Publication(store)
        self._run = Path()  # the driver's folder of the open run

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Path]:
        """As `RunFiles.opened`."""
        self._run = folder
        own = self._own(folder)
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        try:
            try:
                self.store.fetch(self._name(folder, CHECKPOINT), own / CHECKPOINT)
            except OSError as error:
                logger.warning("%s starts afresh, without its checkpoint: %s", folder.name, error)
            self._publication.has(own / CHECKPOINT)
            yield own
        finally:
            self._publication.wait()
            shutil.rmtree(own, ignore_errors=True)

    def weights_folder(self, folder: Path) -> Path:
        """As `RunFiles.weights_folder`."""
        own = self._own(folder)
        if not self.store.fetch(self._name(folder, WEIGHTS), own / WEIGHTS):
            raise FileNotFoundError(2, "the weights are missing", str(folder / WEIGHTS))
        return own

    def on_progress(self) -> None:
        """Publish the progress and, in the background, the checkpoint, if it is new and that takes next to no time."""
        with suppress(OSError):
            self._publish(PROGRESS)
        self._publication.offer_if_new(self._name(self._run, CHECKPOINT), self._own(self._run) / CHECKPOINT)

    def keep_checkpoint(self) -> None:
        """As `RunFiles.keep_checkpoint`."""
        self._publication.wait()
        if (self._own(self._run) / CHECKPOINT).is_file():
            self._publish(CHECKPOINT)

    def keep_result(self) -> None:
        """As `RunFiles.keep_result`. The record comes last, so that a run with a record is complete."""
        self._publication.wait()
        for file in (WEIGHTS, RESULT):
            self._publish(file)
        for file in (CHECKPOINT, PROGRESS):
            self.store.remove(self._name(self._run, file))

    def is_stop_requested(self) -> bool:
        """As `RunFiles.is_stop_requested`."""
        try:
            return self.store.size(f"{RETRAINED}/{STOP}") is not None
        except OSError:
            return False

    def _publish(self, file: str) -> None:
        self.store.publish(self._name(self._run, file), self._own(self._run) / file)

    def _own(self, folder: Path) -> Path:
        """The folder on this machine for the driver's `folder`."""
        return self.work / folder.relative_to(self.root)

    def _name(self, folder: Path, file: str) -> str:
        return (folder.relative_to(self.root) / file).as_posix()


class UnkeptRunFiles(SharedRunFiles):
    """The files of a process that trains together with others, the first of which keeps the results; a `RunFiles`.

    Args:
        images: the file of decoded images.
        work: a folder of this process alone.
    """

    def __init__(self, images: Path, work: Path) -> None:
        super().__init__(images, work / STOP)
        self.work = work

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Path]:
        """As `RunFiles.opened`; the folder has no checkpoint, which the first process reads for all."""
        yield self.work


def open_run_files(settings: RetrainSettings, files: DriverFiles | None) -> RunFiles:
    """The files of the runs for this worker.

    Args:
        settings: of the runs.
        files: those of the driver's folder, for a worker that does not see it; None: there is no way to them.

    Raises:
        StudyError: the worker has no way to the files.
        OSError: the machine's disk has no room, or the place cannot be reached.
        DataError: the decoded images are missing or damaged.
    """
    place = settings.place
    if place is None or sees_folder(place):
        return SharedRunFiles(settings.data_file, settings.stop_file)
    host = socket.gethostname()
    if files is None:
        raise StudyError(f"{place.folder}: must be on a disk that all machines share; machine {host} does not see it")
    if not settings.data_file.is_relative_to(place.folder):
        rule = "must be on a disk that all machines share, or be the folder of the study"
        raise StudyError(f"--out: {rule}; machine {host} does not see {place.folder}")
    images = obtain_images(settings.data_file, settings.fingerprint, files)
    return StoredRunFiles(DriverStore(files), place.folder, images, create_work_folder())
