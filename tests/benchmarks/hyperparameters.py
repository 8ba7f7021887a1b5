"""The hyper-parameters that the sampler's model fits to random points of each problem of the search suite.

    python tests/benchmarks/hyperparameters.py --data TABLES --points 150 --seeds 2

Their medians over problems say what the prior medians of `nas.sampler.kernel` should be; since each fit is drawn to them, the
data want more of the same. `b`, `l`, `s` are the variances of the terms of the covariance, `noise` that of the noise, `range` the
geometric mean of the ranges of the smooth features; `same / far` of ordered decisions is the geometric mean of the ratio of
the weight of being different to that of being far apart.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
from numpy.typing import NDArray
from search_suite import families
from search_suite.command import DEFAULT_CACHE, is_wanted, open_problem, problem_names
from search_suite.problem import Problem
from search_suite.simulation import tell
from threadpoolctl import threadpool_limits

from nas.sampler import ParetoSampler
from nas.sampler.bit_encoding import BitEncoding
from nas.sampler.kernel import NUM_SCALAR_HYPERPARAMETERS
from nas.sampler.objective_models import FrontEstimate, ObjectiveModels
from nas.sampler.registry import find

del families  # imported for its registrations
COLUMNS = ("b", "l", "s", "noise", "range", "sum of weights", "same / far")


def fitted(problem: Problem, seed: int, points: int) -> ObjectiveModels[object]:
    """The models after so many random points.

    Raises:
        RuntimeError: too few of them gave results.
    """
    noise = np.random.default_rng([seed, 1])
    random = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(directions=[item.direction for item in problem.goal.objectives], sampler=random)
    for _ in range(points):
        trial, point = problem.ask(study)
        tell(study, trial, None if problem.key(point) is None else problem.train(point, noise))
    sampler = find("pareto", "").create(problem.context(seed))
    assert isinstance(sampler, ParetoSampler)
    models: list[ObjectiveModels[object]] = []
    estimate_front = ObjectiveModels.estimate_front

    def remembering(self: ObjectiveModels[object], *args: Any) -> FrontEstimate:
        models.append(self)
        return estimate_front(self, *args)

    with patch.object(ObjectiveModels, "estimate_front", remembering):
        sampler.expected_front(study)
    if not models:
        raise RuntimeError(f"{problem.name}: too few of {points} random points gave results")
    return models[-1]


def summary(models: ObjectiveModels[object]) -> NDArray[np.float64]:
    """A number for each of `COLUMNS`; NaN where there is none."""
    kernel, theta = models.primary.kernel, models.primary.theta
    weights = theta[len(theta) - kernel.num_decisions :]
    ranges = theta[NUM_SCALAR_HYPERPARAMETERS : len(theta) - kernel.num_decisions]
    same = ordered_pairs(models.extractor.domain.encoding)
    ratio = np.exp(np.mean(weights[same] - weights[same + 1])) if len(same) else np.nan
    typical = np.exp(ranges.mean()) if len(ranges) else np.nan
    return np.array([*np.exp(theta[[0, 1, 2, 4]]), typical, np.exp(weights).sum(), ratio])


def ordered_pairs(encoding: BitEncoding) -> NDArray[np.intp]:
    """Which weights are those of being different in an ordered decision; that of being far apart comes next."""
    return np.nonzero(encoding.weight < encoding.weight.max(initial=0.0) * (1 - 1e-9))[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of tables")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--problems", nargs="+", default=["*"], metavar="GLOB")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--points", type=int, default=150)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    print(f"{'problem':20s}", *(f"{column:>14s}" for column in COLUMNS))
    for name in problem_names(args.data, 1, everything=False):
        if not is_wanted(name, args.problems):
            continue
        problem = open_problem(name, args.data, args.cache)
        for seed in range(args.seeds):
            with threadpool_limits(limits=1):
                rows.append(summary(fitted(problem, seed, int(min(args.points, problem.size)))))
            print(f"{name:20s}", *(f"{value:14.3g}" for value in rows[-1]), flush=True)
    print(f"{'median':20s}", *(f"{value:14.3g}" for value in np.nanmedian(rows, axis=0)))


if __name__ == "__main__":
    main()
