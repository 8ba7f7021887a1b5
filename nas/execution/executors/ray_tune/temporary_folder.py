"""The temporary folder of a private Ray: short, readable by its user alone, and removed at the end.

Ray keeps its sockets below its temporary folder, and the path of a socket has at most 107 bytes. It also makes that folder
readable and writable for everybody, and never removes it. So a private Ray gets a new folder within one of mode 0700, in the
first folder for temporary files whose path is short enough. A search that is killed leaves it; the next one that starts or ends
removes it. The folder is locked while its search lives, whatever the process number, so that searches in containers that share a
folder for temporary files leave one another alone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nas.errors import UsageError

PREFIX = "nas-ray-"
RAY_FOLDER = "r"
"""Name of Ray's own folder, which Ray opens to everybody, within the private one."""

MAX_SOCKET_PATH_BYTES = 107
LONGEST_SOCKET_NAME = f"/{PREFIX}12345678/{RAY_FOLDER}/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
MAX_PARENT_BYTES = MAX_SOCKET_PATH_BYTES - len(LONGEST_SOCKET_NAME)
"""Longest path of a folder in which the private folder can be created."""

VARIABLES = ("RAY_TMPDIR", "TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR")
SYSTEM_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
REMOVAL_ATTEMPTS = 20  # processes of Ray that are still ending may write to the folder

logger = logging.getLogger(__name__)


@contextmanager
def session_folder() -> Iterator[Path]:
    """Yield a new private folder with a short path, which is removed at the end.

    Folders that killed searches of this user have left are removed, too, first and at the end: another driver of the same study
    may have been killed meanwhile, and nothing be left for it to do.

    Raises:
        UsageError: no folder for temporary files has a short path and can be written to.
    """
    folder, lock = _create()
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)
        _remove_abandoned(folder.parent)


def candidate_parents() -> list[Path]:
    """The folders for temporary files of this user and this machine, those that the user named first."""
    names = [*(os.environ.get(variable) for variable in VARIABLES), *SYSTEM_FOLDERS]
    return list(dict.fromkeys(Path(name).absolute() for name in names if name))


def _create() -> tuple[Path, int]:
    """A new private folder, and the descriptor that holds its lock."""
    for parent in candidate_parents():
        if len(os.fsencode(parent)) > MAX_PARENT_BYTES:
            logger.info("%s: its path is too long for the sockets of Ray", parent)
            continue
        try:
            _remove_abandoned(parent)
            return _create_in(parent)
        except OSError as error:
            logger.info("%s: cannot hold the temporary files of Ray (%s)", parent, error.strerror or error)
    tried = ", ".join(map(str, candidate_parents()))
    raise UsageError(
        f"Ray needs a folder for temporary files that can be written to and has a path of at most {MAX_PARENT_BYTES} bytes"
        f" (TMPDIR names one; resources.executor=local needs none), found {tried}"
    )


def _create_in(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # its mode is 0700, whatever the umask
        try:
            lock = _lock(folder)
        except OSError:
            folder.rmdir()
            raise
        if lock is not None:
            return folder, lock
        # Another search has just taken it for abandoned, before it was locked.


def _remove_abandoned(parent: Path) -> None:
    """Remove the private folders of this user in `parent` that no living process has locked."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            status = folder.lstat()
            lock = _lock(folder) if status.st_uid == os.geteuid() else None
        except OSError:
            continue
        if lock is not None:
            logger.info("%s: left by a search that was killed, removed", folder)
            _remove(folder)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that locks `folder` until it is closed; None if another process has locked or removed it.

    Raises:
        OSError: `folder` is no folder, or its file system has no locks.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_current = os.path.samestat(os.fstat(descriptor), folder.lstat())
        except (BlockingIOError, FileNotFoundError):
            return None
        if is_current:
            stack.pop_all()
            return descriptor
    return None


def _remove(folder: Path) -> None:
    """Remove `folder` with all its content."""
    for _ in range(REMOVAL_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    logger.warning("%s: could not be removed", folder)
