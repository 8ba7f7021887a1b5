"""One sampler on one table: propose, look the result up, tell; and what the front is worth after each training.

**Workers** are simulated. As many trainings as there are workers run at a time; each takes a random time, 0.5 to 1.5 of the
mean, and when one ends its worker gets the next proposal (asynchronous, no generations). Trainings are counted in the order in
which they end.

**Duplicates** are never trained: a proposal that was made before, or that the table does not hold, is told the study as
failed, which every sampler overlooks, and the sampler is asked again. (As pruned it would count among the bad ones of TPE,
which then needs several times as many trainings.) A sampler that learns from duplicates is told the known values instead.
After `PATIENCE` such proposals in a row an architecture that is left is drawn at random. None of that counts as a training,
but it counts in the time of a suggestion.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import Trial, TrialState
from threadpoolctl import threadpool_limits

from nas.analysis.front import Volume
from nas.bench.samplers import context_of, find_sampler
from nas.bench.table import Table

PATIENCE = 20  # refused proposals in a row before one is drawn at random


@dataclass(frozen=True)
class Entry:
    """What runs: a sampler, with that many workers, from that seed."""

    sampler: str
    workers: int
    seed: int


@dataclass(frozen=True)
class Run:
    """How an entry fared.

    Args:
        entry: what ran.
        shares: the hypervolume after each training that ended, as a share of the whole table's, 0 to 1.
        suggest_s: seconds that each proposal took, with those refused before it.
        refused: proposals refused in all.
        drawn: proposals drawn at random, because the sampler had none that could be trained.
    """

    entry: Entry
    shares: tuple[float, ...]
    suggest_s: tuple[float, ...]
    refused: int
    drawn: int


def race(
    table: Table, entry: Entry, trainings: int, noise: bool = False, ended: Callable[[], None] | None = None
) -> Run:
    """Let `entry` run for so many trainings, or until the table is exhausted.

    Args:
        table: what the trainings give.
        entry: the sampler, its workers and seed.
        trainings: how many.
        noise: a training gives one of an architecture's trainings, not their mean.
        ended: is called after each training.
    """
    # Threads of BLAS that fight over the cores make a small model slower, and timings random.
    with threadpool_limits(limits=1):
        return _Race(table, entry, noise).run(min(trainings, len(table)), ended)


class _Race:
    """The state of a run."""

    def __init__(self, table: Table, entry: Entry, noise: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.table = table
        self.entry = entry
        self.rng = np.random.default_rng([entry.seed, entry.workers])
        self.draws = np.random.default_rng([entry.seed, entry.workers, 1]) if noise else None
        directions = [objective.direction for objective in table.objectives]
        self.sampler = find_sampler(entry.sampler)
        sampler = self.sampler.create(context_of(table, entry.seed))
        self.study = optuna.create_study(directions=directions, sampler=sampler)
        self.told: dict[
            int, list[float] | None
        ] = {}  # what came of each row that was proposed; None also while it runs
        self.refused = self.drawn = 0

    def run(self, trainings: int, ended: Callable[[], None] | None) -> Run:
        volume = Volume(len(self.table.objectives))
        shares: list[float] = []
        suggest_s: list[float] = []
        running: list[
            tuple[float, int, Trial, int]
        ] = []  # (when it ends, trial's number, trial, row), the next to end first
        now = 0.0
        while len(shares) < trainings:
            while len(running) < self.entry.workers and len(suggest_s) < trainings:
                began = time.perf_counter()
                trial, row = self._propose()
                suggest_s.append(time.perf_counter() - began)
                heapq.heappush(running, (now + self.rng.uniform(0.5, 1.5), trial.number, trial, row))
            now, _, trial, row = heapq.heappop(running)
            values = self.table.train(row, self.draws)
            self._tell(trial, values)
            self.told[row] = values
            if values is not None:
                volume.add(self.table.unit[row])
            shares.append(volume.value / self.table.volume)
            if ended is not None:
                ended()
        return Run(self.entry, tuple(shares), tuple(suggest_s), self.refused, self.drawn)

    def _propose(self) -> tuple[Trial, int]:
        """A trial that can be trained and was not, and its row."""
        for _ in range(PATIENCE):
            trial = self.study.ask(dict(self.table.distributions))
            row = self.table.row(trial.params)
            if row is not None and row not in self.told:
                self.told[row] = None
                return trial, row
            repeats = self.sampler.learns_from_duplicates
            self._tell(trial, self.told[row] if repeats and row is not None else None)
            self.refused += 1
        left = [row for row in range(len(self.table)) if row not in self.told]
        row = left[int(self.rng.integers(len(left)))]
        self.study.enqueue_trial(self.table.params[row])
        self.told[row] = None
        self.drawn += 1
        return self.study.ask(dict(self.table.distributions)), row

    def _tell(self, trial: Trial, values: list[float] | None) -> None:
        """Tell the study; None is a failure."""
        if values is not None and self.sampler.needs_log_values:
            pairs = zip(self.table.objectives, values, strict=True)
            values = [math.log10(value) if objective.log else value for objective, value in pairs]
        self.study.tell(trial, values, state=TrialState.FAIL if values is None else None)
