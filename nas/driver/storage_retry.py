"""Repeats what fails while the storage of a study is full, locked or away; workers go on training meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from nas.errors import StorageAwayError, StorageError
from nas.formatting import duration
from nas.study.database.storage_errors import DATABASE_ERRORS, cause, is_away
from nas.study.database.storage_url import without_password

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 15.0
AWAY_S = 600.0
"""A server that is away, or a file that is locked, for longer ends the search."""
FULL_S = 10.0
"""A disk that is full for longer ends the search: workers need it, too."""
TICK_S = 0.05

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
        self._show = show
        self._action: Callable[[], None] | None = None  # what has failed
        self._since_s = 0.0  # the time of the first failure
        self._delay_s = 0.0  # until the next attempt; 0: nothing has failed
        self._next_s = 0.0  # the time of the next attempt

    def attempt(self, action: Callable[[], None]) -> None:
        """Call `action`; if the storage fails, `repeat` calls it again later. Nothing is called while the storage is away.

        Raises:
            StorageError: the storage has failed for too long.
        """
        if self._action is None:
            self._try(action)

    def repeat(self) -> None:
        """Call what has failed again, if there is anything, and if it is time to.

        Raises:
            StorageError: as `attempt`.
        """
        if self._action is not None and self.clock() >= self._next_s:
            self._try(self._action)

    def wait_for(self, action: Callable[[], Result], tick: Callable[[], None]) -> Result:
        """Call `action` until it works, and `tick` several times a second meanwhile; returns what `action` does.

        Raises:
            StorageError: as `attempt`.
        """
        results: list[Result] = []
        self._wait(tick)
        self.attempt(lambda: results.append(action()))
        self._wait(tick)
        return results[-1]

    def _wait(self, tick: Callable[[], None]) -> None:
        while self._action is not None:
            tick()
            time.sleep(TICK_S)
            self.repeat()

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (StorageError, StorageAwayError, *DATABASE_ERRORS) as error:
            self._failed(action, error)
        else:
            self._worked()

    def _worked(self) -> None:
        if self._action is not None:
            self._show(f"the storage is back after {duration(self.clock() - self._since_s)}")
            self._action, self._delay_s = None, 0.0

    def _failed(self, action: Callable[[], None], error: Exception) -> None:
        is_described = isinstance(error, StorageError | StorageAwayError)
        text = str(error) if is_described else f"the storage: {without_password(cause(error))}"
        self._action, now_s = action, self.clock()
        limit_s = self.away_s if is_away(error) else min(FULL_S, self.away_s)
        if self._delay_s == 0:
            self._since_s, self._delay_s = now_s, FIRST_DELAY_S
            # A full disk ends the search in a moment, in the one line of its error.
            self._show = self.show if is_away(error) else logger.info
            self._show(f"{text}; trying again for {duration(limit_s)}, the trainings go on")
        elif now_s - self._since_s >= limit_s:
            raise StorageError(text) from error
        self._next_s = min(now_s + self._delay_s, self._since_s + limit_s)
        self._delay_s = min(2 * self._delay_s, MAX_DELAY_S)
