"""Ctrl-C, SIGTERM and the end of a time budget end a search at the next step, even where the exception itself is lost.

A KeyboardInterrupt that is raised within a finaliser or a callback of a library may be printed and dropped there. So the
signal is also stored, and the driver calls `check` at every step.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TimeBudgetExceeded(Exception):
    """The time budget of a search is used up. It ends like an interrupted one: trials that run continue with the next call."""


class Interrupts:
    """Remembers that a stop was requested.

    Args:
        time_budget: the time from now after which `check` raises `TimeBudgetExceeded`; None: never.
    """

    def __init__(self, time_budget: timedelta | None = None) -> None:
        self.caught = False
        self._end_s = None if time_budget is None else time.monotonic() + time_budget.total_seconds()

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal was received, `TimeBudgetExceeded` if the time budget is used up."""
        if self.caught:
            raise KeyboardInterrupt
        if self._end_s is not None and time.monotonic() > self._end_s:
            raise TimeBudgetExceeded

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.caught = True
        raise KeyboardInterrupt

    def arm(self) -> None:
        """Install the handlers of SIGINT and SIGTERM. Call from the main thread, and again after Ray has replaced them."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM within the block. Call from the main thread."""
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        self.arm()
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
