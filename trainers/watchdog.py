"""Ends a process whose work makes no progress, and keeps the stacks of one that hangs or crashes. No torch.

Training steps, batches of a validation, timed passes, and waiting for a device call `report_progress`. Where that does not
happen for the set time, `faulthandler` writes the stacks of all threads to a file and ends the process with status 1. It does so
from a thread of its own that needs no interpreter lock, so an endless loop in C is ended, too. Signals that end a process for a
crash, such as a segmentation fault, write the stack to the same file first.
"""

from __future__ import annotations

import faulthandler
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from trainers.input_files import open_regular

REARM_SHARE = 0.05
"""The timer is set again after this share of the longest silence: setting it starts a thread."""
MAX_REARM_S = 5.0


class _Timer:
    """The timer of this process; `faulthandler` has only one."""

    def __init__(self) -> None:
        self.file: TextIO | None = None
        self.max_silence_s = math.inf
        self.next_s = math.inf  # when to set the timer again, by the monotonic clock

    def start(self) -> None:
        """End the process after `max_silence_s` from now."""
        if self.file is None or self.max_silence_s == math.inf:
            return
        faulthandler.dump_traceback_later(self.max_silence_s, exit=True, file=self.file)
        self.next_s = time.monotonic() + min(MAX_REARM_S, REARM_SHARE * self.max_silence_s)

    def stop(self) -> None:
        """Set no timer any more."""
        faulthandler.cancel_dump_traceback_later()
        self.file, self.max_silence_s, self.next_s = None, math.inf, math.inf


_timer = _Timer()


def report_progress() -> None:
    """Report that this process makes progress. It takes a tenth of a microsecond and may be called at each step."""
    if time.monotonic() >= _timer.next_s:
        _timer.start()


@contextmanager
def watch(stacks: Path, max_silence_s: float | None = None) -> Iterator[None]:
    """Watch the block; blocks are not nested.

    Args:
        stacks: the file that gets the stacks if the process hangs or crashes; it is removed at the end of the block.
        max_silence_s: seconds without reported progress after which the process ends; None: never.
    """
    crashes_were_written = faulthandler.is_enabled()
    stacks.parent.mkdir(parents=True, exist_ok=True)
    stacks.unlink(missing_ok=True)  # what a link leads to is not ours
    with os.fdopen(open_regular(stacks, os.O_WRONLY | os.O_CREAT), "w", encoding="utf-8") as file:
        faulthandler.enable(file, all_threads=False)
        _timer.file = file
        _timer.max_silence_s = math.inf if max_silence_s is None else max_silence_s
        _timer.start()
        try:
            yield
        finally:
            _timer.stop()
            faulthandler.disable()
            if crashes_were_written and sys.__stderr__ is not None:
                faulthandler.enable(sys.__stderr__, all_threads=False)
            stacks.unlink(missing_ok=True)
