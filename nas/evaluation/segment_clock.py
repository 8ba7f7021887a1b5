"""Times a segment in a worker: measuring, training steps, validation."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nas.study.segments import Segment
from trainers.training.epoch import Epoch


def worker_name(device: str) -> str:
    """The name of this process as a worker on `device`: "HOST/DEVICE/PID".

    A process that sees only some GPUs counts them from 0; the name has the number that the machine gives the GPU.
    """
    return f"{socket.gethostname()}/{_machine_device(device)}/{os.getpid()}"


def _machine_device(device: str) -> str:
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return kind
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    number = int(index or 0)
    return f"cuda:{visible[number]}" if number < len(visible) else f"cuda:{number}"


class SegmentClock:
    """Times one segment, which starts now.

    Args:
        worker: the name of the worker (`worker_name`).
        until: the epoch up to which it trains; None without a scheduler.
    """

    def __init__(self, worker: str, until: int | None) -> None:
        self.worker = worker
        self.until = until
        self.start = time.time()
        self._start_s = time.perf_counter()
        self._measure_s = self._train_s = self._validate_s = 0.0

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count the time of the block as measuring, also if it raises."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._measure_s += time.perf_counter() - start_s

    def add(self, epoch: Epoch) -> None:
        """Count an epoch that this segment has trained."""
        self._train_s += epoch.train_s
        self._validate_s += max(0.0, epoch.wall_s - epoch.train_s)

    def started(self) -> Segment:
        """The segment at its start."""
        return Segment(self.worker, self.start, until=self.until)

    def ended(self, outcome: str) -> Segment:
        """The segment, which ends now with `outcome`. A change of the machine's clock in between does not matter."""
        end = self.start + time.perf_counter() - self._start_s
        times = (self._measure_s, self._train_s, self._validate_s)
        return Segment(self.worker, self.start, end, *times, self.until, outcome)
