"""One driver at a time: a lock file in the study's folder.

Where the database is on a server, several drivers may run in one folder. They hold the lock one after the other while they start,
when they decode images, create the study and time operators.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from nas.errors import MachineError, UsageError
from nas.formatting import shell_path
from nas.study.layout import DATA, LOCK
from trainers.input_files import IrregularFileError, open_regular

ATTEMPTS = 3
RETRY_S = 0.02


def is_locked(folder: Path) -> bool:
    """True if a process holds the lock of `folder`. The folder may be read-only."""
    try:
        file = os.fdopen(open_regular(folder / LOCK, os.O_RDONLY), "rb")
    except OSError:
        return False  # no search has run here, as in a copy
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@dataclass(frozen=True)
class FolderLock:
    """A lock that is held.

    Args:
        folder: the locked folder.
        file: its lock file.
    """

    folder: Path
    file: TextIO

    def end_start(self) -> None:
        """Other drivers may start; only a shared folder is unlocked."""

    def check(self) -> None:
        """Raise `MachineError` if the folder is not where it was locked: what is written there now would be lost."""
        if not _is_current(self.file, self.folder / LOCK):
            rule = "must stay where it is while a search runs in it; it was moved or removed"
            raise MachineError(f"{self.folder}: {rule}; the same command with its new place continues it")


@contextmanager
def lock_folder(folder: Path) -> Iterator[FolderLock]:
    """Lock `folder`, which is created if it does not exist. The lock is released when the process ends, even by a kill.

    If the block raises, the lock file is removed unless it existed before, and so are created folders that are empty.

    Raises:
        UsageError: another process holds the lock, the folder cannot be written to, or its lock file is a link or a pipe.
    """
    created = [place for place in (folder / DATA, folder, *folder.parents) if not place.exists()]
    is_new = not os.path.lexists(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _open_locked(folder)
    except IrregularFileError as error:
        hint = f"`nas doctor {shell_path(folder)} --repair` moves it away"
        raise UsageError(f"{error.filename}: {error.strerror}; {hint}") from None
    except OSError as error:
        raise UsageError(f"{folder}: must be a folder that can be written to: {error.strerror}") from None
    with file:
        with suppress(OSError):  # a full disk: only the message of `_open_locked` lacks the number
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        try:
            yield FolderLock(folder, file)
        except BaseException:
            if is_new:
                _remove_traces(folder, created)
            raise


class SharedFolderLock(FolderLock):
    """The lock of a folder in which several drivers may run."""

    def end_start(self) -> None:
        """Other drivers may start."""
        fcntl.flock(self.file, fcntl.LOCK_UN)


@contextmanager
def share_folder(folder: Path, wait: Callable[[], None]) -> Iterator[FolderLock]:
    """Lock `folder`, which is created if it does not exist, until the start of this driver has ended.

    Args:
        folder: the folder.
        wait: called again and again while another driver starts.

    Raises:
        UsageError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: must be a folder that can be written to: {error.strerror}") from None
    with file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                wait()
        yield SharedFolderLock(folder, file)


def _open_locked(folder: Path) -> TextIO:
    """The lock file of `folder`, locked.

    Raises:
        UsageError: another process holds the lock.
        OSError: the file cannot be created.
    """
    attempts = 0
    while True:
        descriptor = open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        file = os.fdopen(descriptor, "a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            attempts += 1
            if attempts < ATTEMPTS:  # `is_locked` of a reader holds the lock for a moment
                file.close()
                time.sleep(RETRY_S)
                continue
            with file:
                file.seek(0)
                holder = file.read().strip() or "unknown"
            raise UsageError(f"{folder}: it is in use by another process (pid {holder})") from None
        if _is_current(file, folder / LOCK):
            return file
        file.close()  # a search that failed removed it between the two calls


def _is_current(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove_traces(folder: Path, created: Sequence[Path]) -> None:
    """Remove the lock file, and those of the `created` folders that are empty, the inner ones first."""
    (folder / LOCK).unlink(missing_ok=True)
    for place in created:
        with suppress(OSError):  # it does not exist, or is not empty
            place.rmdir()
