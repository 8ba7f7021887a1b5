"""How far a run is: a small file in its folder, which its driver reads to estimate the time left. Needs no torch.

Its worker writes it early, and then every few seconds (`ProgressWriter`).
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.study.attribute_types import is_number
from trainers.input_files import read_input
from trainers.json_text import parse_json

PROGRESS = "progress.json"
MAX_BYTES = 65_536

FIRST_AFTER_S = 1.0
INTERVAL_S = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Args:
        epochs: that are finished, with the share of the running one whose steps are done.
        own_epochs: those that the process has trained that says so, from the end of its first step on.
        own_s: its seconds for these, validation included.
    """

    epochs: float = 0.0
    own_epochs: float = 0.0
    own_s: float = 0.0


def write_progress(folder: Path, progress: RunProgress | None) -> None:
    """Write how far the run in `folder` is; None: it has ended. No failure is an error."""
    file = folder / PROGRESS
    try:
        if progress is None:
            file.unlink(missing_ok=True)
            return
        temporary = file.with_name(f".{PROGRESS}.tmp")
        temporary.write_text(json.dumps(asdict(progress)), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        logger.info("%s: %s", file, error)


def read_progress(folder: Path) -> RunProgress:
    """How far the run in `folder` is; zeros if that is not known."""
    try:
        content = parse_json(read_input(folder / PROGRESS, MAX_BYTES))
    except (OSError, ValueError):
        return RunProgress()
    names = RunProgress.__dataclass_fields__
    values = (
        [float(content[name]) for name in names if is_number(content.get(name))] if isinstance(content, dict) else []
    )
    if len(values) != len(names) or not all(0 <= value < math.inf for value in values):
        return RunProgress()
    return RunProgress(*values)


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
