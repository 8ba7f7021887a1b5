"""A lock for each device: measurements have the device to themselves, and trainings pause meanwhile.

It is a readers-writer lock between processes, by two lock files of the machine (`flock`): processes that know nothing of one
another agree, whatever starts them, and a killed process releases its locks.

- `NAME.busy`: trainings hold it shared while they run steps; a measurement holds it exclusively.
- `NAME.turn`: a measurement takes it first. Between two steps a training checks whether it is free (a microsecond). If not,
  the training finishes the work it gave to the device, releases `busy`, and waits.

A process that is stopped (SIGSTOP) keeps its locks but computes nothing. Others do not wait for it for longer than
`MAX_STOPPED_S`, nor for a process that runs and keeps a lock for `MAX_HELD_S`: they go on without the lock and log it. A
measurement then knows that it is not exclusive.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from trainers.device import synchronise
from trainers.input_files import open_regular
from trainers.lock_holders import Holder, find_holders
from trainers.node_folder import create_private
from trainers.watchdog import report_progress

MIN_LOGGED_WAIT_S = 0.001  # free locks are taken in microseconds
MAX_POLL_S = 0.02
"""Seconds between two attempts at a lock. The first ones follow faster, so that a wait becomes at most a tenth longer."""
LOOK_INTERVAL_S = 1.0
"""Seconds between two looks at which processes hold a lock."""
WARN_AFTER_S = 10.0
"""A process that waits for this time logs which processes it waits for."""
MAX_STOPPED_S = 5.0
MAX_HELD_S = 600.0
"""Longer than any measurement or training step. A process that hangs is usually ended by its own watchdog."""

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
        create_private(folder)
        name = _machine_wide_name(self.device)
        self._busy = _open_lock_file(self, folder / f"{name}.busy")
        self._turn = _open_lock_file(self, folder / f"{name}.turn")
        self._patience = _Patience(self.device)
        self._ignores_turn_until_s = -math.inf  # a stopped process holds `turn`; by the monotonic clock
        self.paused_s = 0.0
        """Seconds that trainings of this process have waited for measurements."""

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Within the block nothing else trains or measures on the device. Not to be used within `shared`.

        Yields False if another process, which is stopped or hangs, may do so after all.
        """
        has_turn = self._acquire(self._turn, fcntl.LOCK_EX)
        try:
            has_device = self._acquire(self._busy, fcntl.LOCK_EX)
            try:
                yield has_turn and has_device
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
            if time.monotonic() >= self._ignores_turn_until_s:
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
        if not self._acquire(self._turn, fcntl.LOCK_SH):
            self._ignores_turn_until_s = time.monotonic() + LOOK_INTERVAL_S
        self._acquire(self._busy, fcntl.LOCK_SH)
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        waited_s = time.perf_counter() - start
        self.paused_s += waited_s
        if waited_s >= MIN_LOGGED_WAIT_S:
            log.debug("paused %.3f s for a measurement on %s", waited_s, self.device)

    def _acquire(self, descriptor: int, mode: int) -> bool:
        """Take a lock; False: go on without it, for those that hold it are stopped or hang."""
        if _try_lock(descriptor, mode):
            return True
        start_s = now_s = time.monotonic()
        look_at_s = now_s + (0.0 if self._patience.is_tried else LOOK_INTERVAL_S)
        while not _try_lock(descriptor, mode):
            report_progress()  # waiting is no hang
            now_s = time.monotonic()
            if now_s >= look_at_s:
                if self._patience.is_over(find_holders(descriptor), now_s, now_s - start_s):
                    return False
                look_at_s = now_s + LOOK_INTERVAL_S
            time.sleep(min(MAX_POLL_S, 1e-4 + (now_s - start_s) / 10))
        self._patience.reset()
        return True


class _Patience:
    """How long this process waits for others that hold the lock of `device`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._held_since_s: dict[int, float] = {}  # process -> when it was first seen to hold the lock
        self._stopped_since_s: dict[int, float] = {}  # process -> when it was first seen stopped
        self._has_warned = False

    @property
    def is_tried(self) -> bool:
        """True if a stopped process was seen."""
        return bool(self._stopped_since_s)

    def reset(self) -> None:
        """Forget the others: the lock was free."""
        self._held_since_s.clear()
        self._stopped_since_s.clear()
        self._has_warned = False

    def is_over(self, holders: tuple[Holder, ...], now_s: float, waited_s: float) -> bool:
        """True if this process should go on without the lock that `holders` have."""
        stopped = {holder.pid for holder in holders if holder.is_stopped}
        self._held_since_s = {holder.pid: self._held_since_s.get(holder.pid, now_s) for holder in holders}
        self._stopped_since_s = {pid: self._stopped_since_s.get(pid, now_s) for pid in stopped}
        names = ", ".join(map(str, holders)) or "a process that this one does not see"
        if all(self._is_to_ignore(holder, now_s) for holder in holders) if holders else waited_s > MAX_HELD_S:
            self._warn("does not wait any longer for the device %s, held by %s", names)
            return True
        if waited_s > WARN_AFTER_S:
            self._warn("waits for the device %s, held by %s", names)
        return False

    def _is_to_ignore(self, holder: Holder, now_s: float) -> bool:
        if now_s - self._stopped_since_s.get(holder.pid, math.inf) >= MAX_STOPPED_S:
            return True
        return now_s - self._held_since_s[holder.pid] >= MAX_HELD_S

    def _warn(self, text: str, names: str) -> None:
        if not self._has_warned or log.isEnabledFor(logging.DEBUG):
            log.warning(text, self._device, names)
        self._has_warned = True


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
