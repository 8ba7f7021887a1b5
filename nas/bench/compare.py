"""Many runs of a benchmark, here or in processes of their own; what is finished comes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from nas.bench.simulation import RunResult, RunSpec, simulate
from nas.bench.table import BenchmarkTable
from nas.errors import StudyError
from nas.execution import processes


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


def entries_of(samplers: Sequence[str], workers: Sequence[int], seeds: Sequence[int]) -> tuple[RunSpec, ...]:
    """Each sampler with each number of workers from each seed; seed by seed, so that what is finished early compares."""
    return tuple(RunSpec(name, count, seed) for seed in seeds for count in workers for name in samplers)


def compare(contest: Contest, jobs: int = 1, advance: Callable[[int], None] | None = None) -> Iterator[RunResult]:
    """The runs of `contest` as they end.

    Args:
        contest: what is compared.
        jobs: runs at a time; with more than one each has a process of its own.
        advance: is called with a number of trainings that have ended.

    Raises:
        StudyError: a process died.
    """
    step = advance or (lambda count: None)
    if jobs == 1:
        for entry in contest.entries:
            yield simulate(contest.table, entry, contest.trainings, contest.noise, lambda: step(1))
        return
    for run in _in_processes(contest, jobs):
        step(len(run.shares))
        yield run


def _in_processes(contest: Contest, jobs: int) -> Iterator[RunResult]:
    with processes.pool(min(jobs, len(contest.entries)), _begin, contest) as submit:
        try:
            for future in as_completed([submit(_run, entry) for entry in contest.entries]):
                yield future.result()
        except BrokenProcessPool:
            raise StudyError(
                "a process of the benchmark died, for want of memory perhaps; try a smaller --jobs"
            ) from None


_contest: Contest | None = None  # of a process of its own


def _begin(contest: Contest) -> None:
    global _contest
    _contest = contest


def _run(entry: RunSpec) -> RunResult:
    if _contest is None:
        raise RuntimeError("a process runs an entry before it was given the contest")
    return simulate(_contest.table, entry, _contest.trainings, _contest.noise)
