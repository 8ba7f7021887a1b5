"""Writes the progress of a run, early and every few seconds, so that its driver can estimate the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nas.models.retrain.progress_file import RunProgress, write_progress

FIRST_AFTER_S = 1.0
INTERVAL_S = 2.0


class ProgressWriter:
    """Writes the progress of one run.

    Args:
        folder: that the run works in.
        on_written: called after each writing.
        clock: seconds from any start.
    """

    def __init__(
        self, folder: Path, on_written: Callable[[], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._folder = folder
        self._on_written = on_written
        self._clock = clock
        self._initial: float | None = None  # epochs before this process
        self._start_epochs = 0.0
        self._start_s: float | None = None  # the end of the first step, which compiles and fills caches
        self._write_at_s = 0.0

    def on_step(self, finished_epochs: float) -> None:
        """Write the number of `finished_epochs`, if the interval is over."""
        now_s = self._clock()
        if self._initial is None:
            self._initial = finished_epochs
        elif self._start_s is None and finished_epochs > self._initial:
            self._start_epochs, self._start_s, self._write_at_s = finished_epochs, now_s, now_s + FIRST_AFTER_S
        elif self._start_s is not None and now_s >= self._write_at_s:
            self.write(finished_epochs)

    def write(self, finished_epochs: float) -> None:
        """Write the number of `finished_epochs`."""
        now_s = self._clock()
        self._write_at_s = now_s + INTERVAL_S
        is_timed = self._start_s is not None and finished_epochs > self._start_epochs
        own = (finished_epochs - self._start_epochs, now_s - (self._start_s or 0.0)) if is_timed else (0.0, 0.0)
        write_progress(self._folder, RunProgress(finished_epochs, *own))
        self._on_written()
