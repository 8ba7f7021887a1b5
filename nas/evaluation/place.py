"""Where a worker finds the files of its study: it looks whether it sees the study's folder, and opens what it needs if not.

A path may exist on two machines that do not share it, so a worker looks for the file whose random name its driver has chosen.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from pathlib import Path

from nas.errors import StudyError
from nas.evaluation.driver_store import DriverStore
from nas.evaluation.image_cache import cached_images
from nas.evaluation.settings import EvaluationSettings, StudyPlace
from nas.evaluation.trial_files import SharedTrialFiles, StoredTrialFiles, TrialFiles
from nas.evaluation.work_folder import create_work_folder
from nas.execution.driver_files import DriverFiles, FolderFiles
from nas.study.file_store import FileStore, data_name, fingerprint_name
from nas.study.layout import WORKERS
from nas.study.url_store import UrlStore
from trainers.data.description import describe
from trainers.errors import DataError

logger = logging.getLogger(__name__)


def open_trial_files(settings: EvaluationSettings, files: DriverFiles | None) -> TrialFiles:
    """The files of the trials for this worker.

    Args:
        settings: of the study.
        files: those of the driver's folder, for a worker that does not see it; None: there is no way to them.

    Raises:
        StudyError: the worker has no way to the files.
        OSError: the machine's disk has no room, or the place cannot be reached.
        DataError: the decoded images are missing or damaged.
    """
    place = settings.place
    if place is None:
        return SharedTrialFiles(settings.data_file, settings.measuring.reference_file)
    sees = sees_folder(place)
    if sees and place.url is None:
        return SharedTrialFiles(settings.data_file, settings.measuring.reference_file, place.folder / place.workers)
    files = FolderFiles(place.folder) if sees else files
    driver = None if files is None else DriverStore(files)
    store = driver if place.url is None else _open_url(place.url, place.nonce)
    if store is None:
        rule = "must be on a disk that all machines share, or the study must have a URL for its `files`"
        raise StudyError(f"{place.folder}: {rule}; machine {socket.gethostname()} does not see it")
    images = settings.data_file if sees else _fetch_images(settings.data_file, place, store)
    logger.info("trials work in a folder of this machine; their files are kept by %s", type(store).__name__)
    return StoredTrialFiles(store, images, create_work_folder(), driver, place.workers)


def obtain_images(data_file: Path, fingerprint: str, files: DriverFiles | None) -> Path:
    """The file of decoded images for a worker that needs no other file: `data_file`, or a copy on this machine.

    Args:
        data_file: the file, as the driver sees it, in its folder of decoded images.
        fingerprint: of the images.
        files: the files of the driver's folder; None: there is no way to them.

    Raises:
        DataError: the images are missing or damaged.
        OSError: the machine's disk has no room, or the driver's files cannot be reached.
    """
    if files is None:
        return data_file
    with suppress(DataError):
        if describe(data_file).fingerprint == fingerprint:
            return data_file
    return cached_images(DriverStore(files), data_name(data_file.name), fingerprint)


def sees_folder(place: StudyPlace) -> bool:
    """Whether this machine sees the folder of the study that the driver sees."""
    return (place.folder / place.workers / place.nonce).is_file()


def _fetch_images(data_file: Path, place: StudyPlace, store: FileStore) -> Path:
    name = data_name(data_file.name) if place.url is None else fingerprint_name(place.fingerprint)
    return cached_images(store, name, place.fingerprint)


def _open_url(url: str, nonce: str) -> UrlStore:
    """The store at the URL of the study, which must be the one that the driver has written to."""
    store = UrlStore(url)
    if store.size(f"{WORKERS}/{nonce}") is None:
        host = socket.gethostname()
        raise StudyError(f"files: must be the same place for all machines, found another at {url} on {host}")
    return store
