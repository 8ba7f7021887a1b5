"""Ctrl-C and SIGTERM end a search at the next step, even where the exception itself is lost.

A KeyboardInterrupt that is raised within a finaliser or a callback of a library may be printed and dropped there. So the
signal is also stored, and the driver calls `check` at every step.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Remembers that a stop was requested."""

    def __init__(self) -> None:
        self.caught = False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal was received."""
        if self.caught:
            raise KeyboardInterrupt

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
