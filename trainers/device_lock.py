"""A lock for each device: measurements have the device to themselves, and trainings pause meanwhile.

It is a readers-writer lock between processes, by two lock files of the machine (`flock`): processes that know nothing of one
another agree, whatever starts them, and a killed process releases its locks.

- `NAME.busy`: trainings hold it shared while they run steps; a measurement holds it exclusively.
- `NAME.turn`: a measurement takes it first. Between two steps a training checks whether it is free (a microsecond). If not,
  the training finishes the work it gave to the device, releases `busy`, and waits.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from trainers.device import synchronise
from trainers.files import open_regular

MIN_LOGGED_WAIT_S = 0.001  # free locks are taken in microseconds

log = logging.getLogger(__name__)


class DeviceLock:
    """The lock of one device, for this process.

    Args:
        device: "cpu", "cuda" or "cuda:1".
        folder: of the lock files; None: a folder of the user in the machine's temporary folder.
    """

    def __init__(self, device: torch.device | str, folder: Path | None = None) -> None:
        self.device = torch.device(device)
        if folder is None:
            folder = Path(tempfile.gettempdir()) / f"mixfront-{os.getuid()}"
        _create_private(folder)
        name = _machine_wide_name(self.device)
        self._busy = _open_lock_file(self, folder / f"{name}.busy")
        self._turn = _open_lock_file(self, folder / f"{name}.turn")
        self.paused_s = 0.0
        """Seconds that trainings of this process have waited for measurements."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Within the block nothing else trains or measures on the device. Not to be used within `shared`."""
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._busy, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._busy, fcntl.LOCK_UN)
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    @contextmanager
    def shared(self) -> Iterator[Callable[[], None]]:
        """Within the block training steps may run. Yields a function to call between two steps: it pauses if it must."""
        self._acquire_busy()
        try:
            yield self._pause_if_requested
        finally:
            self._release_busy()

    def clock(self) -> float:
        """Seconds from an arbitrary start, without those in which this process was paused."""
        return time.perf_counter() - self.paused_s

    def _pause_if_requested(self) -> None:
        try:
            fcntl.flock(self._turn, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release_busy()
            self._acquire_busy()
        else:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _release_busy(self) -> None:
        """Release `busy` when the device has finished its work, or has failed."""
        try:
            synchronise(self.device)
        finally:
            fcntl.flock(self._busy, fcntl.LOCK_UN)

    def _acquire_busy(self) -> None:
        """Take `busy` when no measurement has the device or waits for it."""
        start = time.perf_counter()
        fcntl.flock(self._turn, fcntl.LOCK_SH)
        fcntl.flock(self._busy, fcntl.LOCK_SH)
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        waited_s = time.perf_counter() - start
        self.paused_s += waited_s
        if waited_s >= MIN_LOGGED_WAIT_S:
            log.debug("paused %.3f s for a measurement on %s", waited_s, self.device)


def _create_private(folder: Path) -> None:
    """Create `folder`, which must be this user's alone: others could hold its locks, or put links there.

    Raises:
        PermissionError: it is a link or belongs to another user, or others may write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    is_own = status.st_uid in (os.getuid(), os.geteuid())
    if stat.S_ISDIR(status.st_mode) and is_own and not status.st_mode & 0o022:
        return
    found = "a link" if folder.is_symlink() else f"owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}"
    rule = f"must be a folder of user {os.geteuid()} that nobody else may write to, found {found}"
    raise PermissionError(errno.EPERM, f"{rule}; TMPDIR names another place", str(folder))


def _open_lock_file(owner: object, file: Path) -> int:
    """A descriptor of `file`, closed when `owner` is deleted, which releases its lock."""
    descriptor = open_regular(file, os.O_RDWR | os.O_CREAT, 0o600)
    weakref.finalize(owner, os.close, descriptor)
    return descriptor


def _machine_wide_name(device: torch.device) -> str:
    """A name of the device that is the same in all processes, whatever its number in this process."""
    if device.type == "cuda":
        return f"cuda-{torch.cuda.get_device_properties(device).uuid}"
    return device.type
