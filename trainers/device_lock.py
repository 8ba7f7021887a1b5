"""Measurements have a device to themselves: while one is taken, the trainings on that device stand still.

Two files of the machine are locked (`flock`), so that processes that know nothing of one another agree, whatever starts
them, and so that a killed process lets go:

- `NAME.busy` is shared by all trainings in the midst of their steps, and exclusive to a measurement.
- `NAME.turn` is what a measurement takes first. Between two steps a training looks whether it is free (a microsecond); if
  it is not, the training finishes what it has begun on the device, lets go of `busy`, and waits.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from trainers.device import synchronise


class DeviceLock:
    """One process' share of a device.

    Args:
        device: "cpu", "cuda", "cuda:1".
        folder: of the lock files; by default one of the user's own in the machine's temporary folder.
    """

    def __init__(self, device: torch.device | str, folder: Path | None = None) -> None:
        self.device = torch.device(device)
        if folder is None:
            folder = Path(tempfile.gettempdir()) / f"mixfront-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = _name(self.device)
        self._busy = _opened(self, folder / f"{name}.busy")
        self._turn = _opened(self, folder / f"{name}.turn")
        self.paused_s = 0.0
        """Seconds that trainings of this process have stood still for others' measurements."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing trains or measures on the device within this block. Not within `shared`."""
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
        """Training steps are taken within this block; call what it gives between two steps: that stands still if it must."""
        self._wait()
        try:
            yield self._step_aside
        finally:
            self._let_go()

    def clock(self) -> float:
        """Seconds, those of standing still left out."""
        return time.perf_counter() - self.paused_s

    def _step_aside(self) -> None:
        try:
            fcntl.flock(self._turn, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            self._let_go()
            self._wait()
        else:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _let_go(self) -> None:
        """Give `busy` back when the device is done, or broken."""
        try:
            synchronise(self.device)
        finally:
            fcntl.flock(self._busy, fcntl.LOCK_UN)

    def _wait(self) -> None:
        """Take `busy` when no measurement has or wants the device."""
        start = time.perf_counter()
        fcntl.flock(self._turn, fcntl.LOCK_SH)
        fcntl.flock(self._busy, fcntl.LOCK_SH)
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        self.paused_s += time.perf_counter() - start


def _opened(owner: object, file: Path) -> int:
    """A descriptor of `file`, closed with its `owner`: a lock goes with it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    weakref.finalize(owner, os.close, descriptor)
    return descriptor


def _name(device: torch.device) -> str:
    """The device's name on this machine, whatever number it has in this process."""
    if device.type == "cuda":
        return f"cuda-{torch.cuda.get_device_properties(device).uuid}"
    return device.type
