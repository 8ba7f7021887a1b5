"""Many runs of a benchmark of samplers, one after the other or on an executor; each is returned as it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.bench.simulation import RunResult, RunSpec, simulate
from nas.bench.table import BenchmarkTable
from nas.errors import StudyError
from nas.execution.base import Executor, Task
from nas.execution.queue import TaskQueue


@dataclass(frozen=True)
class Contest:
    """What is compared.

    Args:
        table: what the trainings give.
        entries: what runs, in this order.
        trainings: of each entry.
        noise: a training gives one of an architecture's trainings, not their mean.
    """

    table: BenchmarkTable
    entries: tuple[RunSpec, ...]
    trainings: int
    noise: bool

    @property
    def length(self) -> int:
        """The trainings of each entry: no more than there are architectures."""
        return min(self.trainings, len(self.table))


def create_entries(samplers: Sequence[str], workers: Sequence[int], seeds: Sequence[int]) -> tuple[RunSpec, ...]:
    """Each sampler with each number of workers from each seed; seed by seed, so that what is finished early compares."""
    return tuple(RunSpec(name, count, seed) for seed in seeds for count in workers for name in samplers)


def compare(
    contest: Contest,
    on_run: Callable[[RunResult], None],
    advance: Callable[[int], None] = lambda count: None,
    executor: Executor | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run all entries of `contest`.

    Args:
        contest: what is compared.
        on_run: gets each run as it ends.
        advance: is called with a number of trainings that have ended.
        executor: runs the entries on its workers; None: here, one after the other.
        check: is called several times a second while an executor runs; it may raise what ends the comparison.

    Raises:
        StudyError: a worker died.
    """
    if executor is None:
        for entry in contest.entries:
            on_run(simulate(contest.table, entry, contest.trainings, contest.noise, lambda: advance(1)))
        return

    def take(task: Task, result: Mapping[str, Any] | None) -> None:
        if result is None:
            raise StudyError("a process of the benchmark died, possibly for want of memory; try a smaller --jobs")
        run = RunResult.from_dict(result)
        advance(len(run.shares))
        on_run(run)

    tasks = [Task(str(index), {"index": index}) for index in range(len(contest.entries))]
    executor.run(ContestWorkerFactory(contest), TaskQueue(tasks, take, check))


@dataclass(frozen=True)
class ContestWorkerFactory:
    """Makes the worker of a process: it holds the whole contest."""

    contest: Contest

    def __call__(self, device: str) -> ContestWorker:
        """The worker; a benchmark of samplers needs no device."""
        return ContestWorker(self.contest)


@dataclass(frozen=True)
class ContestWorker:
    """Runs entries of a contest."""

    contest: Contest

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The run of the entry number `index`, as JSON."""
        contest = self.contest
        return simulate(contest.table, contest.entries[payload["index"]], contest.trainings, contest.noise).to_dict()
