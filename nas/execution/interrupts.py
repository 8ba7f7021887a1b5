"""Ctrl-C and SIGTERM end a search at the next step, even where the exception itself is lost.

A KeyboardInterrupt that is raised within a finaliser or a callback of some library is printed and forgotten there. So the
signal is also remembered, and whoever drives the trials asks `check` at every step.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Remembers that the user wants to stop."""

    def __init__(self) -> None:
        self.caught = False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal has come."""
        if self.caught:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.caught = True
        raise KeyboardInterrupt

    def arm(self) -> None:
        """Handle SIGINT and SIGTERM, from the main thread; again after a library has put its own handlers there, as Ray does."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM within the block. Call from the main thread."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.arm()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
