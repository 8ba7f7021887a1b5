"""How long suggestions and trials take, and what follows for the next suggestion: when it is made, and for how many workers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

from nas.sampler.batching import MAX_BATCH

MAX_SUGGESTION_SHARE = 0.005
"""Share of a trial's duration. A suggestion that takes longer is made ahead of time; it is then based on one result fewer."""

MIN_TASK_S = 1e-3


class Pace:
    """The durations of the last suggestions, trials and tasks of a search.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._suggestions_s: deque[float] = deque(maxlen=2 * MAX_BATCH)
        self._trials_s: deque[float] = deque(maxlen=8)
        self._tasks_s: deque[float] = deque(maxlen=32)
        self._given_s: dict[str, float] = {}  # name of a task that runs -> time at which it was given
        self._trial_given_s = -math.inf  # time at which the last trial was given

    def trial_given(self) -> None:
        """A worker gets a trial."""
        self._trial_given_s = self._clock()

    def trial_ended(self, seconds: float) -> None:
        """A trial has ended, after `seconds`."""
        self._trials_s.append(seconds)

    def task_given(self, name: str) -> None:
        """A worker gets the task `name`."""
        self._given_s[name] = self._clock()

    def task_ended(self, name: str) -> None:
        """The task `name` has ended."""
        self._tasks_s.append(self._clock() - self._given_s.pop(name))

    def task_lost(self, name: str) -> None:
        """The task `name` was lost; its duration does not count."""
        del self._given_s[name]

    @contextmanager
    def suggesting(self) -> Iterator[None]:
        """A suggestion is made in the block; one that fails does not count."""
        start_s = self._clock()
        yield
        self._suggestions_s.append(self._clock() - start_s)

    def must_suggest_ahead(self) -> bool:
        """True if the next suggestion, made when a worker is free, would keep it waiting, and it is time to make it.

        It is made late, since other trials may end before and the suggestion should use their results.
        """
        shortest_s = min(self._trials_s, default=math.inf)
        suggestion_s = self._suggestions_s[-1] if self._suggestions_s else 0.0
        if suggestion_s < MAX_SUGGESTION_SHARE * shortest_s:
            return False
        return self._clock() - self._trial_given_s > shortest_s / 3

    def arriving(self, running: int) -> float:
        """The number of `running` tasks that will have ended when the slowest of the last suggestions could be made again."""
        if not self._suggestions_s or not self._tasks_s:
            return 0.0
        return running * max(self._suggestions_s) / max(fmean(self._tasks_s), MIN_TASK_S)
