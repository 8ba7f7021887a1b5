"""One driver at a time: a lock file in the study's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from nas.errors import UsageError
from nas.study.layout import DATA, LOCK


def existing_parent(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that exists."""
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())


def check_folder(folder: Path) -> None:
    """Check that `folder` can be written to, or created, without creating it.

    Raises:
        UsageError: it or a folder above it is a file, or may not be written to.
    """
    place = existing_parent(folder)
    rule = f"{folder}: must be a folder that can be written to"
    if not place.is_dir():
        raise UsageError(f"{rule}: {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{rule}: {place} is not")


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock `folder`, which is created if it does not exist. The lock is released when the process ends, even by a kill.

    If the block raises and has written nothing else, the lock file and the folders that were created are removed.

    Raises:
        UsageError: another process holds the lock, or the folder cannot be written to.
    """
    created = [place for place in (folder, *folder.parents) if not place.exists()]
    is_new = not (folder / LOCK).exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _open_locked(folder)
    except OSError as error:
        raise UsageError(f"{folder}: must be a folder that can be written to: {error.strerror}") from None
    with file:
        with suppress(OSError):  # a full disk: only the message of `_open_locked` lacks the number
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        try:
            yield
        except BaseException:
            if is_new:
                _remove_traces(folder, created)
            raise


def _open_locked(folder: Path) -> TextIO:
    """The lock file of `folder`, locked.

    Raises:
        UsageError: another process holds the lock.
        OSError: the file cannot be created.
    """
    while True:
        file = (folder / LOCK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
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
    """Remove the lock file and `created` folders, the inner ones first, if `folder` holds nothing else."""
    with suppress(OSError):
        (folder / DATA).rmdir()  # if it is empty
    if {entry.name for entry in folder.iterdir()} != {LOCK}:
        return
    (folder / LOCK).unlink()
    with suppress(OSError):  # somebody else uses one of them
        for place in created:
            place.rmdir()
