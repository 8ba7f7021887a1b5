"""How good the front is that one would choose after a noisy search: that of single results, or the expected one.

    python tests/benchmarks/expected_front.py --data TABLES --seeds 3 --trainings 60

For each problem of the search suite (`tests/benchmarks/search_suite`) and each seed a search runs once. Then the hypervolume of
`study.best_trials` and that of `ParetoSampler.expected_front` are compared by the values without noise, as shares of the best
front. Prints a line per run, and the geometric mean over problems of the ratio of the shares missing, with its 90 % interval by a
bootstrap over problems. `all` is the share of all networks that were trained: no choice is better.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from search_suite import families
from search_suite.command import DEFAULT_CACHE, is_wanted, open_problem, problem_names
from search_suite.matrix import LEAST_MISSING, mean_ratio
from search_suite.problem import Problem
from search_suite.simulation import tell
from threadpoolctl import threadpool_limits

from nas.analysis.front import Volume
from nas.sampler import ParetoSampler
from nas.sampler.registry import find

del families  # imported for its registrations


def search(problem: Problem, seed: int, trainings: int) -> tuple[float, float, float]:
    """The shares of the front of single results, of the expected one, and of all networks trained."""
    goal, noise = problem.goal, np.random.default_rng([seed, 1])
    sampler = find("pareto", "").create(problem.context(seed))
    if not isinstance(sampler, ParetoSampler):
        raise TypeError(f"the sampler pareto must be a ParetoSampler, found {type(sampler).__name__}")
    study = optuna.create_study(directions=[item.direction for item in goal.objectives], sampler=sampler)
    unit = {}
    for _ in range(trainings):
        trial, point = problem.ask(study)
        values = None if problem.key(point) is None else problem.train(point, noise)
        if tell(study, trial, values):
            unit[trial.number] = goal.unit(problem.means(point)[None])[0]

    def share(trials: Sequence[FrozenTrial]) -> float:
        volume = Volume(len(goal.objectives))
        for trial in trials:
            if np.isfinite(unit[trial.number]).all():  # others break a limit
                volume.add(unit[trial.number])
        return volume.value / goal.best

    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    return share(study.best_trials), share(sampler.expected_front(study)), share(complete)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of tables")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--problems", nargs="+", default=["*"], metavar="GLOB")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trainings", type=int, default=60)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logs: dict[str, list[float]] = defaultdict(list)
    names = [name for name in problem_names(args.data, 1, everything=False) if is_wanted(name, args.problems)]
    for name in names:
        problem = open_problem(name, args.data, args.cache)
        for seed in range(args.seeds):
            with threadpool_limits(limits=1):
                shares = search(problem, seed, int(min(args.trainings, problem.size)))
            results, expected, trained = shares
            print(
                f"{name:20s} seed {seed}: results {results:.4f}, expected {expected:.4f}, all {trained:.4f}", flush=True
            )
            missing = [max(1 - share, 0.0) + LEAST_MISSING for share in shares]
            logs[name].append(math.log(missing[1] / missing[0]))
    ratio, low, high = mean_ratio([mean(values) for values in logs.values()], 0.9)
    print(f"missing, expected / results: {ratio:.3f} ({low:.2f} to {high:.2f}), {len(logs)} problems")


if __name__ == "__main__":
    main()
