"""Decoded images on a machine that does not see the study's folder: fetched once, whatever the number of workers and searches.

The cache is in the machine's temporary folder (`TMPDIR` names another), one file for each fingerprint. While a worker fetches,
the others wait. Images of other studies are removed, the least recently used first, until few are left and the new ones fit;
workers that use them go on, since they have mapped the file.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import time
from pathlib import Path

from nas.study.file_store import FileStore
from trainers.data.description import describe
from trainers.data.verification import verify
from trainers.errors import DataError
from trainers.files import remove_temporary_files
from trainers.node_folder import node_folder

MAX_OTHER_FILES = 2
"""Images of other studies that stay in the cache."""

MIN_FREE_BYTES = 256 << 20
"""Room that is left on the disk."""

_SUFFIX = ".safetensors"

logger = logging.getLogger(__name__)


def cached_images(store: FileStore, name: str, fingerprint: str, folder: Path | None = None) -> Path:
    """The file with the decoded images of `fingerprint` on this machine; fetched from `store` if it is missing or damaged.

    Args:
        store: has the images.
        name: of their file there.
        fingerprint: of the images.
        folder: the cache; None: that of this user on this machine.

    Raises:
        OSError: the disk has no room, or the store cannot be reached.
        DataError: the images are missing from the store, or damaged there.
    """
    folder = node_folder("images") if folder is None else folder
    target = folder / f"{fingerprint}{_SUFFIX}"
    if not _is_intact(target, fingerprint):
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_intact(target, fingerprint):  # another worker has not fetched it meanwhile
                _fetch(store, name, fingerprint, target)
    os.utime(target)  # the most recently used
    return target


def _fetch(store: FileStore, name: str, fingerprint: str, target: Path) -> None:
    size = store.size(name)
    if size is None:
        raise DataError(name, "the decoded images are missing from the place that workers fetch them from")
    target.unlink(missing_ok=True)
    _make_room(target.parent, size)
    start = time.perf_counter()
    if not store.fetch(name, target):
        raise DataError(name, "the decoded images are missing from the place that workers fetch them from")
    logger.info("fetched %s (%.0f MB) in %.1f s", name, size / 1e6, time.perf_counter() - start)
    if (found := describe(target).fingerprint) != fingerprint:
        raise DataError(name, f"must have the fingerprint {fingerprint}", found)
    verify(target)


def _is_intact(file: Path, fingerprint: str) -> bool:
    if not file.is_file():
        return False
    try:
        found = describe(file).fingerprint
        verify(file)
        return found == fingerprint
    except DataError as error:
        logger.warning("%s; it is fetched again", error)
        return False


def _make_room(folder: Path, size: int) -> None:
    """Remove images of other studies until few are left, and until `size` bytes fit.

    Raises:
        OSError: they do not fit.
    """
    remove_temporary_files(folder)
    others = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda file: file.stat().st_mtime)
    while others and (len(others) > MAX_OTHER_FILES or not _fits(folder, size)):
        others.pop(0).unlink(missing_ok=True)
    if not _fits(folder, size):
        free = shutil.disk_usage(folder).free
        rule = (
            f"the decoded images need {size / 1e9:.2f} GB, found {free / 1e9:.2f} GB free (TMPDIR names another folder)"
        )
        raise OSError(errno.ENOSPC, rule, str(folder))


def _fits(folder: Path, size: int) -> bool:
    return shutil.disk_usage(folder).free >= size + MIN_FREE_BYTES
