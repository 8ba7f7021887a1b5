"""Seconds that a suggestion of the sampler takes, for increasing numbers of finished trials.

    python tests/benchmarks/suggest.py --space studies/folder.yaml
    python tests/benchmarks/suggest.py            # 28 parameters, 36^7 points

A study in memory is filled with random points whose values are a smooth function of the choices plus noise. Then suggestions
are timed one after the other; the study gets the values of each before the next. Prints the time of the first suggestion (which
fits all models from scratch), and the median and the slowest of the others, in seconds of CPU time; `--json` prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from nas.objectives.costs import costs_of
from nas.sampler import ParetoSampler
from search_space import Architecture, SearchSpace

DIRECTIONS = ("maximize", "minimize", "maximize")
BOX: dict[str, BaseDistribution] = {
    f"{name}{stage}": CategoricalDistribution(choices)
    for stage in range(7)
    for name, choices in (("expansion", [1, 4, 6]), ("kernel", [3, 5]), ("layers", [1, 2, 3]), ("gate", [0, 1]))
}


def macs(params: dict[str, Any]) -> float:
    """The cost of a point of the fixed space."""
    return 1e7 + 1e6 * sum(
        params[f"expansion{i}"] * params[f"layers{i}"] * (10 + params[f"kernel{i}"] ** 2) for i in range(7)
    )


def random_values(cost: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Accuracy, cost and throughput of a point of the given `cost`."""
    return 1 - cost**-0.1 + 0.01 * rng.normal(), cost, 1e10 / cost * np.exp(0.1 * rng.normal())


class BoxCase:
    """A fixed space of 28 parameters."""

    sampler = ParetoSampler(BOX, cheap={1: macs}, seed=0)

    def random_trial(self, rng: np.random.Generator, objectives: int) -> optuna.trial.FrozenTrial:
        params = {
            name: distribution.choices[rng.integers(len(distribution.choices))] for name, distribution in BOX.items()
        }  # type: ignore[attr-defined]
        values = random_values(macs(params), rng)[:objectives]
        return optuna.create_trial(params=params, distributions=BOX, values=values)

    def ask(self, study: optuna.Study, rng: np.random.Generator) -> tuple[optuna.Trial, tuple[float, ...]]:
        trial = study.ask(BOX)
        return trial, random_values(macs(trial.params), rng)


class SpaceCase:
    """A space of architectures."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.sampler = ParetoSampler(
            space, cheap={1: lambda a: costs_of(a).macs}, features=[lambda a: costs_of(a).params], seed=0
        )

    def random_trial(self, rng: np.random.Generator, objectives: int) -> optuna.trial.FrozenTrial:
        labels: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}

        def choose(decision: Any) -> Any:
            index = rng.integers(len(decision.values))
            labels[decision.name] = decision.labels[index]
            distributions[decision.name] = CategoricalDistribution(decision.labels)
            return decision.values[index]

        values = random_values(costs_of(self.space.walk(choose)).macs, rng)[:objectives]
        return optuna.create_trial(params=labels, distributions=distributions, values=values)

    def ask(self, study: optuna.Study, rng: np.random.Generator) -> tuple[optuna.Trial, tuple[float, ...]]:
        trial = study.ask()
        architecture: Architecture = self.space.suggest(trial)
        return trial, random_values(costs_of(architecture).macs, rng)


def measure(case: BoxCase | SpaceCase, trials: int, objectives: int, repeats: int) -> dict[str, float]:
    """Seconds of the first suggestion after `trials` trials, and the median and slowest of the `repeats` after it."""
    rng = np.random.default_rng(0)
    study = optuna.create_study(directions=DIRECTIONS[:objectives], sampler=case.sampler)
    study.add_trials([case.random_trial(rng, objectives) for _ in range(trials)])
    seconds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        trial, values = case.ask(study, rng)
        seconds.append(time.process_time() - start)
        study.tell(trial, values[:objectives])
    first, *rest = seconds
    return {
        "trials": trials,
        "objectives": objectives,
        "first_s": first,
        "median_s": median(rest),
        "slowest_s": max(rest),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, help="a study or space in YAML; else 28 parameters of a fixed space")
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 500, 2000, 10_000])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for trials in args.trials:
        for objectives in (2, 3):
            case = BoxCase() if args.space is None else SpaceCase(SearchSpace.from_file(args.space))
            rows.append(measure(case, trials, objectives, args.repeats))
            if not args.json:
                row = rows[-1]
                print(
                    f"{trials:6d} trials, {objectives} objectives: median {row['median_s']:.3f} s, "
                    f"slowest {row['slowest_s']:.3f} s, the first {row['first_s']:.2f} s",
                    flush=True,
                )
    if args.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
