"""The request of a driver that its workers stop; they look for it between two training steps."""

from __future__ import annotations

import time
from collections.abc import Callable


class StopRequest:
    """Whether the driver has asked its workers to stop; called between two steps.

    Args:
        look: looks whether it has; it may take milliseconds.
        interval_s: seconds between two looks; a call between them takes a tenth of a microsecond.
    """

    def __init__(self, look: Callable[[], bool], interval_s: float) -> None:
        self._look = look
        self._interval_s = interval_s
        self._look_at_s = 0.0
        self._is_requested = False

    def __call__(self) -> bool:
        """True once the driver has asked."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s and not self._is_requested:
            self._is_requested = self._look()
            self._look_at_s = now_s + self._interval_s
        return self._is_requested
