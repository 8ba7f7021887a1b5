"""Progress on a terminal, and nothing elsewhere: steps, a search's live block, counters of long work.

training   18/48 ━━━━━━━━━━━━╺━━━━━━━━━━━━━━━━━  0:01:12 2 min 1 s left
running 2 · failed 0 · refused 3 · best 0.9780 · front 9 · hypervolume 0.7100
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from nas.analysis.running_front import RunningFront
from nas.formatting import duration, printable, ratio, value_text
from nas.objectives import primary_index
from nas.study.events import Event, Observer, SearchStarted, TrialLost, TrialRecorded, TrialStarted
from nas.study.outcomes.records import Paused, name_of
from nas.terminal.dataset import dataset_lines

StepProgress = Callable[[int, int], None]
"""Called with the number of finished items and their total."""


class Advance(Protocol):
    """Counts finished items."""

    def __call__(self, count: int = 1, weight: float | None = None, left_s: float | None = None) -> None:
        """Add `count` finished items, which are `weight` of the work (default: `count`); `left_s` seconds are left.

        Without `left_s` the time left is estimated from the pace so far.
        """


class SearchTally:
    """An `Observer` that counts the trials of a search and collects their values."""

    def __init__(self) -> None:
        self.running: set[int] = set()
        self.paused: set[int] = set()
        self.outcomes: Counter[str] = Counter()
        self.front: RunningFront | None = None  # of the complete trials
        self.best: float | None = None  # value of the primary objective
        self.search: SearchStarted | None = None
        self.trained_before = 0
        self.started_s = time.monotonic()

    def notify(self, event: Event) -> None:
        """Update the counts with `event`."""
        if isinstance(event, SearchStarted):
            self.search = event
            self.outcomes.update(event.counts)
            self.front = RunningFront(event.objectives)
            self._complete(event.values)
            self.paused.update(event.paused)
            self.trained_before, self.started_s = self.trained, time.monotonic()
        elif isinstance(event, TrialStarted):
            self.running.add(event.number)
            self.paused.discard(event.number)
        elif isinstance(event, TrialLost):
            self.running.discard(event.number)
            self.paused.discard(event.number)
        elif isinstance(event, TrialRecorded):
            self.running.discard(event.number)
            self.paused.discard(event.number)
            if isinstance(event.outcome, Paused):
                self.paused.add(event.number)
                return
            self.outcomes[name_of(event.outcome)] += 1
            if event.values:
                self._complete([event.values])

    def _complete(self, values: Sequence[tuple[float, ...]]) -> None:
        """Add the `values` of trials that are complete."""
        if self.search is None or self.front is None or not values:
            return
        first = sum(self.outcomes.values())  # the front numbers trials; only their order matters
        self.front.extend(range(first, first + len(values)), np.array(values, np.float64))
        primary = primary_index(self.search.objectives)
        choose = max if self.search.objectives[primary].direction == "maximize" else min
        known = [] if self.best is None else [self.best]
        self.best = choose([*known, *(row[primary] for row in values)])

    @property
    def trained(self) -> int:
        """Trials that count towards the target: completed, stopped at a rung, or failed."""
        return sum(self.outcomes[name] for name in ("completed", "stopped", "failed"))

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at the pace of this run; None before its first trial has ended."""
        trained_here = self.trained - self.trained_before
        if trained_here == 0 or self.search is None:
            return None
        return (time.monotonic() - self.started_s) / trained_here * max(0, self.search.target - self.trained)

    def line(self) -> str:
        """The second line of the display."""
        refused = self.outcomes["refused"] + self.outcomes["duplicate"]
        parts = [f"running {len(self.running)}", f"failed {self.outcomes['failed']}", f"refused {refused}"]
        if self.search is not None and self.search.pauses:
            parts += [f"paused {len(self.paused)}", f"stopped {self.outcomes['stopped']}"]
        if self.search is not None and self.front is not None and self.best is not None:
            objective = self.search.objectives[primary_index(self.search.objectives)]
            volume = next(reversed(self.front.hypervolumes), 0.0)
            parts += [f"best {value_text(objective, self.best)}", f"front {len(self.front.trials)}"]
            parts += [f"hypervolume {ratio(volume)}"]
        return " · ".join(parts)


class LiveTally(SearchTally):
    """A tally that redraws a live block at every event."""

    def __init__(self, live: Live, bar: Progress) -> None:
        super().__init__()
        self.live = live
        self.bar = bar
        self.task = bar.add_task("training", total=None, count="", left="")

    def notify(self, event: Event) -> None:
        super().notify(event)
        target = 0 if self.search is None else self.search.target
        left = "" if self.left_s is None else f"{duration(self.left_s)} left"
        self.bar.update(self.task, total=target, completed=self.trained, count=f"{self.trained}/{target}", left=left)
        self.live.update(Group(self.bar, Text(self.line(), style="dim")))


class TerminalDisplay:
    """Shows progress on `console` if it is a terminal (`nas.driver.display.Display`).

    Args:
        console: for progress and warnings.
        output: for what belongs to the result of a command, also where it is no terminal; by default `console`.
    """

    def __init__(self, console: Console, output: Console | None = None) -> None:
        self.console = console
        self.output = output or console

    @contextmanager
    def step(self, text: str) -> Iterator[StepProgress | None]:
        """Show a step before the trials, such as reading images; yields the function to call with (done, total), or None."""
        if not self.console.is_terminal:
            yield None
            return
        with _bar(self.console, transient=True) as bar:
            task = bar.add_task(text, total=None, count="", left="")
            yield lambda done, total: bar.update(task, completed=done, total=total, count=f"{done}/{total}")

    def show_data(self, dataset: Mapping[str, Any]) -> None:
        """Print what the images were taken for."""
        self.output.print(dataset_lines(dataset), highlight=False)

    def warn(self, text: str) -> None:
        """Print a message that does not end the work."""
        self.console.print(
            f"nas: warning: {printable(text)}", highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    @contextmanager
    def trials(self) -> Iterator[Observer]:
        """Show the trials of a search; yields the observer that does."""
        if not self.console.is_terminal:
            yield SearchTally()
            return
        with Live(console=self.console, transient=True, refresh_per_second=4) as live:
            yield LiveTally(live, _bar(self.console))

    @contextmanager
    def counter(self, text: str, total: int, done: int = 0, work: float | None = None) -> Iterator[Advance]:
        """Show a count of `total` items, `done` of which are finished; yields the function that counts further ones.

        The time left is estimated from `work`, the total weight of the unfinished items (default: their number).
        """
        if not self.console.is_terminal:
            yield lambda count=1, weight=None, left_s=None: None
            return
        start_s = time.monotonic()
        with _bar(self.console, transient=True) as bar:
            all_work = float(total - done) if work is None else work
            task = bar.add_task(text, total=all_work, count=f"{done}/{total}", left="")
            ended = done

            def advance(count: int = 1, weight: float | None = None, left_s: float | None = None) -> None:
                nonlocal ended
                ended += count
                bar.advance(task, count if weight is None else weight)
                completed = bar.tasks[0].completed
                if left_s is None and completed:
                    left_s = (time.monotonic() - start_s) * (all_work / completed - 1)
                left = "" if left_s is None else f"{duration(left_s)} left"
                bar.update(task, count=f"{ended}/{total}", left=left)

            yield advance


def _bar(console: Console, transient: bool = False) -> Progress:
    """A progress bar: description, count, bar, time elapsed, time left."""
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        TextColumn("{task.fields[count]}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    return Progress(*columns, console=console, transient=transient)
