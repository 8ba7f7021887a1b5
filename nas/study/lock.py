"""One driver at a time: a lock file in the study's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import UsageError
from nas.study.layout import LOCK


def is_locked(folder: Path) -> bool:
    """True if a process holds the lock of `folder`. The folder may be one that one may only read."""
    try:
        file = (folder / LOCK).open("rb")
    except OSError:
        return False  # no search has run here, as in a copy
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock `folder`, which is created if it does not exist. The lock is released when the process ends, even by a kill.

    Raises:
        UsageError: another process holds the lock, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: must be a folder that can be written to: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UsageError(f"{folder}: it is in use by another process (pid {holder})") from None
        with suppress(OSError):  # a full disk: only the message above lacks the number
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield
