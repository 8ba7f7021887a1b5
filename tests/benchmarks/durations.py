"""What a sampler gains from the durations of trainings, known before: how much of the front it finds in the same time.

    python tests/benchmarks/durations.py --data TABLES --problems stages pyramids nb201 --seeds 4

On problems of the search suite (`tests/benchmarks/search_suite`) a training lasts `overhead + (1 - overhead) * cost / median`,
where the cost is the first cheap objective (MACs) and the median that of random networks. `pareto` searches for 60 trainings
without knowing that, then as long with `ParetoSampler(duration=...)`. Prints a line per search: the number of trainings, and the
shares of the hypervolume after half, three quarters and all of that time. At the end the geometric mean over problems of the
ratio of the shares missing, with its 90 % interval by a bootstrap over problems.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from search_suite import families
from search_suite.command import DEFAULT_CACHE, open_problem
from search_suite.matrix import LEAST_MISSING, mean_ratio
from search_suite.problem import Problem
from search_suite.simulation import tell
from threadpoolctl import threadpool_limits

from nas.analysis.front import Volume
from nas.sampler.registry import SamplerContext, find

del families  # imported for its registrations

PARTS = (0.5, 0.75, 1.0)  # of the time
MOST_TRAININGS = 240
PROBES = 300  # random networks, for the median cost


def cost_index(problem: Problem) -> int:
    """The index of the first cheap objective."""
    return next(index for index, item in enumerate(problem.goal.objectives) if item.source == "cost")


def median_cost(problem: Problem) -> float:
    """The median cost of random networks."""
    study = new_study("random", problem, problem.context(0))
    costs = []
    for _ in range(PROBES):
        trial, point = problem.ask(study)
        if problem.key(point) is not None:
            costs.append(abs(float(problem.means(point)[cost_index(problem)])))
        study.tell(trial, state=TrialState.FAIL)
    return float(np.median(costs))


def new_study(sampler: str, problem: Problem, context: SamplerContext) -> optuna.Study:
    """A study in memory."""
    directions = [item.direction for item in problem.goal.objectives]
    return optuna.create_study(directions=directions, sampler=find(sampler, "").create(context))


def search(
    problem: Problem, context: SamplerContext, seconds: Callable[[float], float], trainings: int, end: float
) -> list[tuple[float, float]]:
    """The time and the share of the hypervolume after each training, of at most `trainings` that begin before `end`."""
    noise, volume = np.random.default_rng([context.seed, 1]), Volume(len(problem.goal.objectives))
    study, now, course = new_study("pareto", problem, context), 0.0, []
    while len(course) < trainings and now < end:
        trial, point = problem.ask(study)
        values = None if problem.key(point) is None else problem.train(point, noise)
        means = None if values is None else problem.means(point)
        now += 1.0 if means is None else seconds(float(means[cost_index(problem)]))
        if tell(study, trial, values):
            unit = problem.goal.unit(means[None])[0]
            if np.isfinite(unit).all():  # others break a limit
                volume.add(unit)
        course.append((now, volume.value / problem.goal.best))
    return course


def compare(problem: Problem, seed: int, overhead: float) -> tuple[list[float], list[float]]:
    """The shares at `PARTS` of the time of 60 trainings, without and with known durations; prints them."""
    median = median_cost(problem)

    def seconds(cost: float) -> float:
        return overhead + (1 - overhead) * abs(cost) / median if math.isfinite(cost) else 1.0

    context = problem.context(seed)
    compute: Any = context.objectives[cost_index(problem)].compute
    without = search(problem, context, seconds, 60, math.inf)
    end = without[-1][0]
    known = replace(context, duration=lambda argument: seconds(float(compute(argument))))
    courses = (without, search(problem, known, seconds, MOST_TRAININGS, end))
    shares = [[max((s for t, s in course if t <= part * end), default=0.0) for part in PARTS] for course in courses]
    for name, course, row in zip(("without", "with"), courses, shares, strict=True):
        print(f"{problem.name:14s} {seed} {name:8s}{len(course):4d}  {'  '.join(f'{x:.4f}' for x in row)}", flush=True)
    return shares[0], shares[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of tables")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--problems", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--overhead", type=float, default=0.3, help="of a training, whatever the network; 0 to 1")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logs: dict[tuple[float, str], list[float]] = defaultdict(list)
    for name in args.problems:
        problem = open_problem(name, args.data, args.cache)
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            with threadpool_limits(limits=1):
                without, known = compare(problem, seed, args.overhead)
            for part, a, b in zip(PARTS, without, known, strict=True):
                logs[part, name].append(math.log((1 - b + LEAST_MISSING) / (1 - a + LEAST_MISSING)))
    for part in PARTS:
        ratio, low, high = mean_ratio([mean(values) for (of, _), values in logs.items() if of == part], 0.9)
        print(f"share missing after {part:.0%} of the time, with / without: {ratio:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
