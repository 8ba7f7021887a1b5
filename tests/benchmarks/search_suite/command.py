r"""Compares samplers over a suite of problems: tables of trained networks, and generated families that vary what matters.

    python tests/benchmarks/search_suite --data TABLES --samplers pareto tpe --seeds 5 --out results.jsonl
    python tests/benchmarks/search_suite --list
    python tests/benchmarks/search_suite --out results.jsonl --print-only --measures to95 to99 missing

Each run is a line of `--out`; runs that are there are not repeated. At the end it prints for each measure
(`search_suite.matrix`) the median (worst) of each sampler on each problem, mean ranks, geometric means of the ratio to the
best known, the worst problem and the worst seed. It measures the package `nas` that Python finds: with PYTHONPATH that of
another working copy, to which `--label` gives a name. `--import MODULE` imports a module that registers further samplers;
those of other libraries are in `search_suite.rivals`. `--variants a b c` compares these samplers with the first, seed by seed
(a mean ratio, and that of the seeds with bad luck, each with its 90 % interval by a bootstrap over problems and seeds), and
prints for each problem which of them the other problems choose, and what that costs.

The best front is that of all points, except for `stages`, `stages_speed`, `pairs20`, `conditional`, `floats` and `pyramids`,
whose spaces are too large: there it is the best known, which a long search without noise finds once (`search_suite.front`;
other seeds and three times the effort gave at most 0.3 % more). `--cache` keeps it, and tables in a form that is read fast.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import search_suite.families
from nas.sampler.registry import find
from search_suite import tables
from search_suite.catalogue import FAMILIES, create_problem, instance_name
from search_suite.matrix import MEASURES, Matrix, compare_variants, leave_one_out
from search_suite.printing import print_comparisons, print_left_out, print_matrix
from search_suite.problem import Problem
from search_suite.results import append_run, key_of, read_runs
from search_suite.simulation import Run, simulate

del search_suite.families  # imported for its registrations
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mixfront" / "search_suite"


@dataclass(frozen=True)
class Job:
    """One run to do."""

    problem: str
    sampler: str
    label: str
    workers: int
    seed: int
    trainings: int

    @property
    def key(self) -> tuple[str, str, str, int, int, int]:
        """That of its result."""
        return self.problem, self.sampler, self.label, self.workers, self.seed, self.trainings


def problem_names(data: Path | None, instances: int, everything: bool) -> list[str]:
    """The names of the problems that can be made, tables first; missing tables are reported."""
    names: list[str] = []
    missing: list[str] = []
    for source in tables.SOURCES:
        if source.held_out and not everything:
            continue
        found = data is not None and source.locate(data) is not None
        (names if found else missing).append(source.name)
    if missing:
        print(f"left out, since their files are not in {data or '--data'}: {', '.join(missing)}", file=sys.stderr)
    for name in FAMILIES:
        names += [instance_name(name, instance) for instance in range(instances)]
    return names


@cache
def open_problem(name: str, data: Path | None, cache: Path | None) -> Problem:
    """The problem of that name."""
    for source in tables.SOURCES:
        if source.name == name:
            assert data is not None
            file = source.locate(data)
            assert file is not None
            return source.read(file, cache)
    family, _, instance = name.partition("-")
    return create_problem(family, int(instance or 0), cache)


def jobs_of(args: argparse.Namespace, names: Sequence[str]) -> Iterator[Job]:
    """All runs, ordered by seed, so that partial results compare."""
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name in names:
            for workers in args.workers:
                for sampler in args.samplers:
                    yield Job(name, sampler, args.label, workers, seed, args.trainings)


def run_job(job: Job, data: Path | None, cache: Path | None) -> Run:
    """Do one run."""
    problem = open_problem(job.problem, data, cache)
    return simulate(problem, job.sampler, job.seed, job.trainings, workers=job.workers, label=job.label)


def do_runs(jobs: Sequence[Job], args: argparse.Namespace) -> Iterator[Run]:
    """The results of `jobs`, as they end."""
    if args.processes == 1:
        yield from (run_job(job, args.data, args.cache) for job in jobs)
        return
    for name in dict.fromkeys(job.problem for job in jobs):
        open_problem(name, args.data, args.cache)  # once, before the processes are forked
    with ProcessPoolExecutor(args.processes, mp_context=get_context("fork")) as pool:
        yield from pool.map(run_job, jobs, [args.data] * len(jobs), [args.cache] * len(jobs))


def is_wanted(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of `patterns` fits the name of a problem."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def list_problems(names: Sequence[str]) -> None:
    """Print the names, and what each family is about."""
    for name in names:
        family = FAMILIES.get(name.partition("-")[0])
        print(f"{name:24s} {family.summary if family else 'a table'}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="search_suite", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder of tables")
    parser.add_argument("--problems", nargs="+", default=["*"], metavar="GLOB")
    parser.add_argument("--instances", type=int, default=1, help="of each family of generated problems")
    parser.add_argument("--all", action="store_true", help="also what is not in the default suite: held-out tables")
    parser.add_argument("--samplers", nargs="+", default=["pareto"])
    parser.add_argument("--import", dest="modules", nargs="+", default=[], metavar="MODULE")
    parser.add_argument("--label", default="", help="the name of this copy of the project in results")
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trainings", type=int, default=120)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keeps results, one a line, and continues with those that are missing")
    parser.add_argument(
        "--read", type=Path, nargs="+", default=[], metavar="FILE", help="further results to compare with"
    )
    parser.add_argument(
        "--arms", nargs="+", default=[], help="compare only these (`pareto`, `pareto@LABEL`, `pareto x16`)"
    )
    parser.add_argument("--variants", nargs="+", default=[], help="arms to choose among by leaving one problem out")
    parser.add_argument("--measures", nargs="+", default=["to95", "to99", "missing"], choices=MEASURES)
    parser.add_argument("--until", type=int, help="compare only so many trainings of each run")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--print-only", action="store_true", help="run nothing")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", action="store_true", help="print the summaries as JSON")
    parser.add_argument("--width", type=int, default=200, help="of the output, in characters")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print."""
    args = parse(arguments)
    registered = importlib.import_module("search_suite.rivals.registered")
    for module in args.modules:
        importlib.import_module(module)
    names = [] if args.print_only else problem_names(args.data, args.instances, args.all)
    names = [name for name in names if is_wanted(name, args.problems)]
    if args.list:
        list_problems(names)
        return
    for sampler in args.samplers:
        find(sampler, "--samplers")
        if modules := registered.missing_modules(sampler):
            sys.exit(f"--samplers {sampler}: not installed: {', '.join(modules)} (they are in the extra bench-rivals)")
    runs = read_runs([*args.read, *([args.out] if args.out else [])])
    done = {key_of(run) for run in runs}
    jobs = [job for job in jobs_of(args, names) if job.key not in done]
    start = time.perf_counter()
    for number, run in enumerate(do_runs(jobs, args), 1):
        runs.append(run)
        if args.out:
            append_run(args.out, run)
        left_s = (time.perf_counter() - start) / number * (len(jobs) - number)
        state = run.error or f"{run.shares[-1]:.4f}"
        print(
            f"{number}/{len(jobs)} {run.arm} {run.problem} seed {run.seed}: {state}, {left_s:.0f} s left",
            file=sys.stderr,
        )
    report(args, [run for run in runs if is_wanted(run.problem, args.problems)])


def report(args: argparse.Namespace, runs: Sequence[Run]) -> None:
    """Print the matrix, and the choices by leaving one out."""
    matrix = Matrix(
        [run if args.until is None else replace(run, shares=run.shares[: args.until]) for run in runs], args.arms
    )
    if args.json:
        print(
            json.dumps(
                {name: [vars(summary) for summary in matrix.summaries(name)] for name in args.measures}, indent=2
            )
        )
        return
    if not matrix.problems:
        print("no results")
        return
    print_matrix(matrix, args.measures, args.width)
    versions = importlib.import_module("search_suite.rivals.registered").versions()
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    for measure in args.measures if args.variants else []:
        base, *others = args.variants
        compared = [compare_variants(matrix, base, variant, measure) for variant in others]
        print_comparisons([row for row in compared if row is not None], base, measure, args.width)
        print_left_out(leave_one_out(matrix, args.variants, measure), measure, args.width)
