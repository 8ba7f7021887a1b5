"""Ctrl-C, SIGTERM, SIGHUP and the end of a time budget end a search at the next step, even where the exception itself is lost.

A KeyboardInterrupt that is raised within a finaliser or a callback of a library may be printed and dropped there. So the
signal is also stored, and the driver calls `check` at every step.

While trials run, the first signal only asks the workers to stop: they write their checkpoints, which takes a second. The search
ends when they have, or after `PATIENCE_S`; a second signal ends it at once.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 15.0
"""Workers that have not stopped after this time, for they compile, measure or hang, are ended. Clusters give 30 seconds."""


class TimeBudgetExceeded(Exception):
    """The time budget of a search is used up. It ends like an interrupted one: trials that run continue with the next call."""


class Interrupts:
    """Remembers that a stop was requested.

    Args:
        time_budget: the time from now after which `check` raises `TimeBudgetExceeded`; None: never.
        patience_s: the longest time from a request within `gently` to its end.
    """

    def __init__(self, time_budget: timedelta | None = None, patience_s: float = PATIENCE_S) -> None:
        self.caught = False
        self.patience_s = patience_s
        self._end_s = None if time_budget is None else time.monotonic() + time_budget.total_seconds()
        self._request: Callable[[], None] | None = None  # within `gently`
        self._reason: BaseException | None = None  # why the block `gently` is to end
        self._requested_s: float | None = None  # when `_request` was called
        self._terminals: list[int] = []

    @property
    def is_stopping(self) -> bool:
        """True within `gently` once a stop was requested: no further task is to be started."""
        return self._reason is not None

    @property
    def is_out_of_time(self) -> bool:
        """True within `gently` if the stop is that of the time budget."""
        return isinstance(self._reason, TimeBudgetExceeded)

    @property
    def remaining_s(self) -> float:
        """The time that is left of the budget, in seconds; infinite without one."""
        return math.inf if self._end_s is None else self._end_s - time.monotonic()

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal was received, `TimeBudgetExceeded` if the time budget is used up.

        Within `gently`, ask the workers to stop first.
        """
        self.check_signals()
        is_over = self._end_s is not None and time.monotonic() > self._end_s
        if is_over and self._request is None:
            raise TimeBudgetExceeded
        if is_over and self._reason is None:
            self._reason = TimeBudgetExceeded()
        if self._reason is None or self._request is None:
            return
        if self._requested_s is None:
            self._requested_s = time.monotonic()
            self._request()
        elif time.monotonic() - self._requested_s > self.patience_s:
            raise self._reason

    def check_signals(self) -> None:
        """Raise `KeyboardInterrupt` if a signal was received."""
        if self.caught:
            raise KeyboardInterrupt

    @contextmanager
    def gently(self, request: Callable[[], None]) -> Iterator[None]:
        """Within the block a first signal, or the end of the time budget, makes `check` call `request` instead of raising.

        At the end of the block, or after `patience_s`, the exception is raised. A second signal raises it at once.
        """
        self._request = request
        try:
            yield
            if self._reason is not None:
                raise self._reason
        finally:
            self._request = self._reason = self._requested_s = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._leave_terminals()
        if self._request is not None and self._reason is None:
            self._reason = KeyboardInterrupt()
            return
        self.caught = True
        raise KeyboardInterrupt

    def _leave_terminals(self) -> None:
        """Write no more to a terminal that was closed: it raises an error."""
        if self._terminals:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in self._terminals:
                os.dup2(nowhere, descriptor)
            os.close(nowhere)

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle `SIGNALS` within the block, in the main thread; another thread, as of a notebook, can handle none.

        SIGHUP stays ignored where it was before, as under `nohup`.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        is_kept = previous[signal.SIGHUP] == signal.SIG_IGN
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
        for number in SIGNALS:
            if number != signal.SIGHUP or not is_kept:
                signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
