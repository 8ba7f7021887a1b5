"""Runs a benchmark of samplers: many runs, one after the other or on an executor; each result is reported as it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.bench.simulation import RunResult, RunSpec, simulate
from nas.bench.table import BenchmarkTable
from nas.errors import StudyError
from nas.execution.base import Executor, Loss, Task, WorkerSite
from nas.execution.queue import TaskQueue


@dataclass(frozen=True)
class Contest:
    """A comparison of samplers on one table.

    Args:
        table: the table in which the results of trainings are looked up.
        entries: the runs, in this order.
        trainings: number of trainings of each run; at least 1.
        noise: True if a training gives a random one of the results of its architecture, False for their mean.
    """

    table: BenchmarkTable
    entries: tuple[RunSpec, ...]
    trainings: int
    noise: bool

    @property
    def length(self) -> int:
        """The number of trainings of each run: at most the number of architectures in the table."""
        return min(self.trainings, len(self.table))


def create_entries(samplers: Sequence[str], workers: Sequence[int], seeds: Sequence[int]) -> tuple[RunSpec, ...]:
    """Create a run of each sampler with each number of workers and seed; ordered by seed, so that partial results compare."""
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
        contest: the comparison.
        on_run: called with the result of each run as it ends.
        advance: called with a number of trainings that have ended.
        executor: runs the entries on its workers; None: they run in this process, one after the other.
        check: called several times a second while an executor runs; an exception ends the comparison.

    Raises:
        StudyError: a worker died.
    """
    if executor is None:
        for entry in contest.entries:
            on_run(simulate(contest.table, entry, contest.trainings, contest.noise, lambda: advance(1)))
        return

    def report_result(task: Task, result: Mapping[str, Any]) -> None:
        run = RunResult.from_dict(result)
        advance(len(run.shares))
        on_run(run)

    def report_loss(task: Task, loss: Loss) -> None:
        raise StudyError("a process of the benchmark died, possibly out of memory; try a smaller --jobs")

    tasks = [Task(str(index), {"index": index}) for index in range(len(contest.entries))]
    executor.run(ContestWorkerFactory(contest), TaskQueue(tasks, report_result, check, report_loss))


@dataclass(frozen=True)
class ContestWorkerFactory:
    """Creates the worker of a process; it holds the whole contest."""

    contest: Contest

    def __call__(self, site: WorkerSite) -> ContestWorker:
        """The worker; a benchmark of samplers needs no device."""
        return ContestWorker(self.contest)


@dataclass(frozen=True)
class ContestWorker:
    """Runs entries of a contest."""

    contest: Contest

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Run the entry number `index`; returns the result as JSON."""
        contest = self.contest
        return simulate(contest.table, contest.entries[payload["index"]], contest.trainings, contest.noise).to_dict()
