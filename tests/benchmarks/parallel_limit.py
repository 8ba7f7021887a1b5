"""How soon a search by many workers can end: what they could know at best.

    python tests/benchmarks/parallel_limit.py --data TABLES --problems macro nb201 --workers 16

With w workers, w trainings start before there is any result, and the training that ends as the n-th was chosen when about n - w
results were known. So beside the searches by one and by w workers there are two that know more than w workers can:

- blind: w trainings are chosen before any result, then one at a time, each knowing all results;
- told: n - w trainings one at a time, then w more that know no later result. That is tried with n = FACTOR times the trainings
  that one worker needs in the median.

If the share of seeds at the goal of `told` is below a half, w workers cannot keep to FACTOR times the trainings of one
with this model, however they divide the work.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from search_suite import families
from search_suite.command import DEFAULT_CACHE, open_problem
from search_suite.problem import Problem
from search_suite.simulation import SimulatedSearch, simulate
from threadpoolctl import threadpool_limits

from nas.bench.summary import trainings_to

del families  # imported for its registrations


def search_in_rounds(problem: Problem, sampler: str, seed: int, rounds: Sequence[int]) -> list[float]:
    """The shares of the hypervolume after each training, where those of a round are chosen before any of them ends."""
    search = SimulatedSearch(problem, sampler, seed, max(rounds))
    for count in rounds:
        started = [search.propose() for _ in range(count)]
        for trial, point in started:
            search.train(trial, point)
    return search.shares


def report(problem: Problem, args: argparse.Namespace) -> None:
    """Measure one problem, and print it."""
    workers, seeds, most = args.workers, range(args.seeds), args.trainings

    def show(name: str, counts: Sequence[float]) -> float:
        median = statistics.median(counts)
        print(f"  {name:32s} median {median:g}, worst {max(counts):g} trainings", flush=True)
        return median

    print(f"{problem.name}, to {args.goal:.0%} of the hypervolume, {args.seeds} seeds")
    one = [simulate(problem, args.sampler, seed, most) for seed in seeds]
    needed = show("one worker", [trainings_to(run.shares, args.goal) for run in one])
    many = [simulate(problem, args.sampler, seed, most, workers=workers) for seed in seeds]
    show(f"{workers} workers", [trainings_to(run.shares, args.goal) for run in many])
    blind = [search_in_rounds(problem, args.sampler, seed, [workers, *[1] * (most - workers)]) for seed in seeds]
    show(f"blind: {workers}, then one at a time", [trainings_to(shares, args.goal) for shares in blind])
    allowed = int(args.factor * needed) if needed < float("inf") else most
    if allowed <= workers:
        print(f"  told: {args.factor} times {needed:g} trainings are all chosen before any result")
        return
    rounds = [*[1] * (allowed - workers), workers]
    told = [search_in_rounds(problem, args.sampler, seed, rounds)[-1] for seed in seeds]
    reached = sum(share >= args.goal for share in told)
    name = f"told: {allowed - workers} one at a time, then {workers}"
    print(f"  {name:32s} {reached} of {args.seeds} seeds reach it, median share {statistics.median(told):.4f}")


def main() -> None:
    """Print the figures of each problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of tables")
    parser.add_argument("--problems", nargs="+", default=["macro", "nb201"])
    parser.add_argument("--sampler", default="pareto")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trainings", type=int, default=100, help="of a search, at most")
    parser.add_argument("--goal", type=float, default=0.99, help="share of the hypervolume")
    parser.add_argument("--factor", type=float, default=1.3)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    args = parser.parse_args()
    with threadpool_limits(limits=1):
        for name in args.problems:
            report(open_problem(name, args.data, args.cache), args)


if __name__ == "__main__":
    main()
