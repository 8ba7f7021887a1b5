"""A simulated search by one sampler on one table: propose, look up the result, record it, and compute the hypervolume.

**Workers** are simulated. Each runs one training at a time, which takes a random time of 0.5 to 1.5 of the mean. When a
training ends, its worker gets the next proposal (asynchronous, no generations). Trainings are counted in the order in which
they end.

**Duplicates** are never trained. A proposal that was made before, or that the table does not contain, is recorded as
failed, which every sampler ignores, and the sampler is asked again. (As pruned it would count among the bad trials of TPE,
which then needs several times as many trainings.) A sampler that learns from duplicates gets the known values instead.
After `MAX_REFUSALS_IN_A_ROW` such proposals an untrained architecture is drawn at random. Refusals do not count as trainings,
but their time counts as part of a suggestion.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.trial import Trial, TrialState
from threadpoolctl import threadpool_limits

from nas.analysis.front import Volume
from nas.bench.samplers import create_context, find_sampler
from nas.bench.table import BenchmarkTable

MAX_REFUSALS_IN_A_ROW = 20


@dataclass(frozen=True)
class RunSpec:
    """One run of a benchmark.

    Args:
        sampler: the name of the sampler.
        workers: trainings at a time, at least 1.
        seed: the seed of the sampler, the durations and the noise.
    """

    sampler: str
    workers: int
    seed: int


@dataclass(frozen=True)
class RunResult:
    """The result of one run.

    Args:
        spec: the description of the run.
        shares: the hypervolume after each training that ended, as a share of that of the whole table, 0 to 1.
        suggest_s: seconds that each proposal took, including the refused ones before it.
        refused: number of refused proposals.
        drawn: number of architectures drawn at random because the sampler proposed none that could be trained.
    """

    spec: RunSpec
    shares: tuple[float, ...]
    suggest_s: tuple[float, ...]
    refused: int
    drawn: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RunResult:
        """The inverse of `to_dict`."""
        return cls(
            spec=RunSpec(**plain["spec"]),
            shares=tuple(plain["shares"]),
            suggest_s=tuple(plain["suggest_s"]),
            refused=plain["refused"],
            drawn=plain["drawn"],
        )


def simulate(
    table: BenchmarkTable,
    spec: RunSpec,
    trainings: int,
    noise: bool = False,
    on_training_end: Callable[[], None] | None = None,
) -> RunResult:
    """Run a search until the given number of trainings has ended or the table is exhausted.

    Args:
        table: the table in which the results of trainings are looked up.
        spec: the sampler, its workers and seed.
        trainings: number of trainings, at least 1.
        noise: True if a training gives a random one of the results of its architecture, False for their mean.
        on_training_end: called after each training.
    """
    # BLAS threads that compete for the cores make a small model slower and its timings random.
    with threadpool_limits(limits=1):
        return _SimulatedSearch(table, spec, noise).run(min(trainings, len(table)), on_training_end)


class _RunningTraining(NamedTuple):
    """A training in progress; sorts by the time at which it ends."""

    end_time: float
    number: int
    trial: Trial
    row: int


class _SimulatedSearch:
    """The state of a simulated search."""

    def __init__(self, table: BenchmarkTable, spec: RunSpec, noise: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.table = table
        self.spec = spec
        self.rng = np.random.default_rng([spec.seed, spec.workers])
        self.noise_rng = np.random.default_rng([spec.seed, spec.workers, 1]) if noise else None
        directions = [objective.direction for objective in table.objectives]
        self.sampler = find_sampler(spec.sampler)
        sampler = self.sampler.create(create_context(table, spec.seed))
        self.study = optuna.create_study(directions=directions, sampler=sampler)
        self.results: dict[int, list[float] | None] = {}  # by row of the table; None while it runs and where it failed
        self.refused = self.drawn = 0

    def run(self, trainings: int, on_training_end: Callable[[], None] | None) -> RunResult:
        volume = Volume(len(self.table.objectives))
        shares: list[float] = []
        suggest_s: list[float] = []
        running: list[_RunningTraining] = []  # a heap
        now = 0.0
        while len(shares) < trainings:
            while len(running) < self.spec.workers and len(suggest_s) < trainings:
                start = time.perf_counter()
                trial, row = self._propose()
                suggest_s.append(time.perf_counter() - start)
                heapq.heappush(running, _RunningTraining(now + self.rng.uniform(0.5, 1.5), trial.number, trial, row))
            now, _, trial, row = heapq.heappop(running)
            values = self.table.train(row, self.noise_rng)
            self._tell(trial, values)
            self.results[row] = values
            if values is not None:
                volume.add(self.table.unit_values[row])
            shares.append(volume.value / self.table.hypervolume)
            if on_training_end is not None:
                on_training_end()
        return RunResult(self.spec, tuple(shares), tuple(suggest_s), self.refused, self.drawn)

    def _propose(self) -> tuple[Trial, int]:
        """Return a trial that can be trained and was not trained yet, and its row of the table."""
        for _ in range(MAX_REFUSALS_IN_A_ROW):
            trial = self.study.ask(dict(self.table.distributions))
            row = self.table.row(trial.params)
            if row is not None and row not in self.results:
                self.results[row] = None
                return trial, row
            self._tell(trial, self._values_of_duplicate(row))
            self.refused += 1
        untrained = [row for row in range(len(self.table)) if row not in self.results]
        row = untrained[int(self.rng.integers(len(untrained)))]
        self.study.enqueue_trial(self.table.params[row])
        self.results[row] = None
        self.drawn += 1
        return self.study.ask(dict(self.table.distributions)), row

    def _values_of_duplicate(self, row: int | None) -> list[float] | None:
        """The values that a refused proposal is recorded with; None: it is recorded as failed."""
        if row is None or not self.sampler.learns_from_duplicates:
            return None
        return self.results[row]

    def _tell(self, trial: Trial, values: list[float] | None) -> None:
        """Record the values of a trial in the study; None: it failed."""
        if values is not None and self.sampler.needs_log_values:
            pairs = zip(self.table.objectives, values, strict=True)
            values = [math.log10(value) if objective.log else value for objective, value in pairs]
        self.study.tell(trial, values, state=TrialState.FAIL if values is None else None)
