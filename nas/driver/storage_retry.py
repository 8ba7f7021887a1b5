"""Repeats what fails while the storage of a study is full, locked or away; workers go on training meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from nas.errors import StorageError
from nas.formatting import duration
from nas.study.storage_errors import is_full

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 15.0
AWAY_S = 600.0
"""A server that is away, or a file that is locked, for longer ends the search."""
FULL_S = 10.0
"""A disk that is full for longer ends the search: workers need it, too."""

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class StorageRetry:
    """Attempts at what needs the storage, with longer and longer pauses while it fails.

    Args:
        show: shows a line to the user.
        clock: a monotonic clock, in seconds.
        away_s: see `AWAY_S`.
    """

    def __init__(
        self,
        show: Callable[[str], None] = logger.warning,
        clock: Callable[[], float] = time.perf_counter,
        away_s: float = AWAY_S,
    ) -> None:
        self.show = show
        self.clock = clock
        self.away_s = away_s
        self._since_s: float | None = None  # the first failure
        self._delay_s = FIRST_DELAY_S
        self._next_s = 0.0  # the time of the next attempt

    @property
    def is_away(self) -> bool:
        """True if the last attempt has failed."""
        return self._since_s is not None

    def attempt(self, action: Callable[[], Result], otherwise: Result) -> Result:
        """Call `action` unless it is too early after a failure; `otherwise` if it is, or if the storage fails.

        Raises:
            StorageError: the storage has failed for too long.
        """
        if self._since_s is not None and self.clock() < self._next_s:
            return otherwise
        try:
            result = action()
        except StorageError as error:
            self._failed(error)
            return otherwise
        self._worked()
        return result

    def wait_for(self, action: Callable[[], None], tick: Callable[[], None]) -> None:
        """Call `action` until it works, and `tick` several times a second meanwhile.

        Raises:
            StorageError: as `attempt`.
        """
        done = False

        def act() -> bool:
            action()
            return True

        while not done:
            done = self.attempt(act, False)
            if not done:
                tick()
                time.sleep(0.05)

    def _failed(self, error: StorageError) -> None:
        now_s = self.clock()
        limit_s = min(FULL_S, self.away_s) if is_full(error) else self.away_s
        if self._since_s is None:
            self._since_s, self._delay_s = now_s, FIRST_DELAY_S
            self.show(f"{error}; trying again for {duration(limit_s)}, the trainings go on")
        elif now_s - self._since_s >= limit_s:
            raise error
        self._next_s = min(now_s + self._delay_s, self._since_s + limit_s)
        self._delay_s = min(2 * self._delay_s, MAX_DELAY_S)

    def _worked(self) -> None:
        if self._since_s is not None:
            self.show(f"the storage is back after {duration(self.clock() - self._since_s)}")
            self._since_s = None
