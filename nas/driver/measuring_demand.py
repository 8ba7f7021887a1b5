"""Tells the user that trials wait for a device that no worker has, and ends a search that has nothing else to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from nas.driver.adoption import others_running
from nas.driver.state import SearchState
from nas.errors import MachineError
from nas.study.config_file.durations import duration_word
from nas.study.device_kind import is_of_kind

NOTICE_S = 20.0
"""The user is told of trials that have waited for this time while no worker has the device."""


class MeasuringDemand:
    """Watches the trials that wait for their measurement.

    Args:
        state: the state of the search.
        kind: the kind of device that trials are measured on; None: any, so that none waits for one.
        show: shows a line to the user.
        wait_s: see `check`.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        state: SearchState,
        kind: str | None,
        show: Callable[[str], None],
        wait_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.state = state
        self.kind = kind
        self.show = show
        self.wait_s = wait_s
        self.clock = clock
        self._others: set[str] = set()  # devices of workers that cannot measure
        self._was_seen = False  # a worker on such a device has asked for a task
        self._was_shown = False
        self._waiting_since_s: float | None = None
        self._idle_since_s: float | None = None
        self._waiting: frozenset[int] = frozenset()

    def see(self, device: str | None) -> None:
        """A worker on `device` has asked for a task; None: it is not known."""
        if device is None or self.kind is None:
            return
        if is_of_kind(device, self.kind):
            self._was_seen = True
        else:
            self._others.add(device.partition(" ")[2])

    def check(self, running: int) -> None:
        """Show a line if trials wait for a device that no worker has; call it several times a second.

        Args:
            running: number of tasks that workers run.

        Raises:
            MachineError: nothing runs, here or in other drivers, and nothing has changed for `wait_s`.
        """
        waiting, now_s = frozenset(self.state.unmeasured), self.clock()
        if not waiting or self.kind is None:
            self._waiting_since_s = self._idle_since_s = None
            return
        self._waiting_since_s = now_s if self._waiting_since_s is None else self._waiting_since_s
        if not (self._was_seen or self._was_shown) and now_s - self._waiting_since_s >= NOTICE_S:
            self._was_shown = True
            self.show(f"{self._text(len(waiting))}; the trainings go on")
        if running or waiting != self._waiting or others_running(self.state) - {None}:
            self._idle_since_s, self._waiting = None, waiting
            return
        self._idle_since_s = now_s if self._idle_since_s is None else self._idle_since_s
        if now_s - self._idle_since_s >= self.wait_s:
            wait = "" if math.isinf(self.wait_s) else f" for {duration_word(timedelta(seconds=self.wait_s))}"
            raise MachineError(f"{self._text(len(waiting))}{wait}; the same command continues the search")

    def _text(self, waiting: int) -> str:
        trials = "1 trial waits" if waiting == 1 else f"{waiting} trials wait"
        found = f", found {', '.join(sorted(self._others))}" if self._others else ""
        return f"throughput.device: {trials} to be measured, and no worker has a device named {self.kind!r}{found}"
