"""What a search shows while it runs: one live block on a terminal, nothing elsewhere.

training   18/48 ━━━━━━━━━━━━╺━━━━━━━━━━━━━━━━━  0:01:12 2 min 1 s left
running 2 · failed 0 · refused 3 · best 0.9780 · front 9 · hypervolume 0.7100
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from optuna.trial import TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from nas.analysis.front import front_mask, hypervolume
from nas.driver.ask_tell import Searcher
from nas.formatting import duration, ratio
from nas.study.trials import Ended, is_trained

Step = Callable[[int, int], None]  # (done, of how many)


class Watch(Protocol):
    """Is told what happens to the trials of a search."""

    def started(self, number: int) -> None:
        """Trial `number` has been handed to a worker."""

    def ended(self, ended: Ended) -> None:
        """A trial has ended and the study knows."""


class Tally:
    """Counts and values of the trials so far, and what follows from them. A `Watch`."""

    def __init__(self, searcher: Searcher, workers: int) -> None:
        trials = searcher.study.get_trials(deepcopy=False)
        self.objectives = searcher.objectives
        self.searcher = searcher
        self.workers = workers
        self.begun = time.monotonic()
        self.values = [tuple(trial.values) for trial in trials if trial.state == TrialState.COMPLETE]
        self.failed = sum(trial.state == TrialState.FAIL and is_trained(trial) for trial in trials)
        self.refused = sum(trial.state.is_finished() and not is_trained(trial) for trial in trials)
        self.stopped = sum(map(is_trained, trials)) - len(self.values) - self.failed
        self.before = self.done
        self.running: set[int] = set()

    def started(self, number: int) -> None:
        """A `Watch`'s."""
        self.running.add(number)

    def ended(self, ended: Ended) -> None:
        """A `Watch`'s."""
        self.running.discard(ended.number)
        self.stopped += ended.state == TrialState.PRUNED and not ended.refused
        self.failed += ended.state == TrialState.FAIL
        self.refused += ended.refused
        if ended.state == TrialState.COMPLETE:
            self.values.append(ended.values)

    @property
    def done(self) -> int:
        """Trials trained, to the end or until they were stopped, or failed."""
        return len(self.values) + self.failed + self.stopped

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at the pace of this run; None before its first trial has ended."""
        here = self.done - self.before
        if here == 0:
            return None
        return (time.monotonic() - self.begun) / here * max(0, self.searcher.trials - self.done)

    def line(self) -> str:
        """The second line of the display."""
        parts = [f"running {len(self.running)}", f"failed {self.failed}", f"refused {self.refused}"]
        if self.searcher.ladder is not None:
            parts += [f"paused {len(self.searcher.ladder.paused)}", f"stopped {self.stopped}"]
        if self.values:
            names = [objective.name for objective in self.objectives]
            best = max(values[names.index("accuracy")] for values in self.values)
            front = int(front_mask(self.values, [objective.direction for objective in self.objectives]).sum())
            volume = hypervolume(self.values, self.objectives)
            parts += [f"best {ratio(best)}", f"front {front}", f"hypervolume {ratio(volume)}"]
        return " · ".join(parts)


class LiveTally(Tally):
    """A tally that redraws a live block whenever it changes."""

    def __init__(self, searcher: Searcher, workers: int, live: Live, bar: Progress) -> None:
        super().__init__(searcher, workers)
        self.live = live
        self.bar = bar
        self.task = bar.add_task("training", total=searcher.trials, completed=self.done, left="")
        self.draw()

    def started(self, number: int) -> None:
        super().started(number)
        self.draw()

    def ended(self, ended: Ended) -> None:
        super().ended(ended)
        self.draw()

    def draw(self) -> None:
        """Bring the block up to date."""
        left = "" if self.left_s is None else f"{duration(self.left_s)} left"
        self.bar.update(self.task, completed=self.done, left=left)
        self.live.update(Group(self.bar, Text(self.line(), style="dim")))


class Display:
    """Shows a search on `console`, if that is a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def stage(self, text: str) -> Iterator[Step | None]:
        """A step before the trials, such as reading images; gives the function to call with (done, total)."""
        if not self.console.is_terminal:
            yield None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(text, total=None, count="")
            yield lambda done, total: bar.update(task, completed=done, total=total, count=f"{done}/{total}")

    def warn(self, text: str) -> None:
        """Something that does not end the search, but should be seen."""
        self.console.print(f"nas: warning: {text}", highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def trials(self, searcher: Searcher, workers: int) -> Iterator[Watch]:
        """The trials themselves."""
        if not self.console.is_terminal:
            yield Tally(searcher, workers)
            return
        bar = Progress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
        )
        with Live(console=self.console, transient=True, refresh_per_second=4) as live:
            yield LiveTally(searcher, workers, live, bar)
