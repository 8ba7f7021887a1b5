"""How the sampler takes failures that would happen again (out of memory): proposals that fail, and what the search finds.

    python tests/benchmarks/feasibility.py --caution 0 1 2 3 5 --seeds 5

A space of 5,184 points: a mixer, and five choices of a size or a kernel. Accuracy rises with size, with an effect of each choice
that the seed draws. Points fail in one of several ways:

    expensive     the 6 % of the points with the highest cost
    random        half of the points with one of three kernels, a third of the space, at random
    mixer         all points with one of the mixers
    interaction   all points with two choices together, a ninth of the space

Prints for each way and each caution (the power of the probability of success by which the value of a point is multiplied,
`nas.sampler.feasibility`; 0 ignores failures): the mean over seeds of the proposals that fail among the first 30 and after them,
and of the hypervolume after 30 and after all trials, as a share of that of all points that do not fail.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from statistics import mean
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from nas.analysis.front import Volume
from nas.sampler import ParetoSampler, feasibility

CHOICES: dict[str, tuple[Any, ...]] = {
    "mixer": ("conv", "pool", "attention", "lambda"),
    "kernel": (3, 5, 7),
    "width0": (16, 24, 32, 48, 64, 96),
    "width1": (16, 32, 64, 128),
    "depth": (1, 2, 3),
    "expansion": (1, 2, 3, 4, 6, 8),
}
BOX: dict[str, BaseDistribution] = {name: CategoricalDistribution(values) for name, values in CHOICES.items()}
POINTS = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
FIRST = 30
Point = dict[str, Any]


def key_of(point: Point) -> tuple[Any, ...]:
    """The values of `point`."""
    return tuple(point[name] for name in CHOICES)


def cost_of(point: Point) -> float:
    """The multiply-adds of `point`."""
    widths = point["width0"] ** 2 + 2 * point["width1"] ** 2
    return float(point["depth"] * (widths * point["expansion"] + point["kernel"] ** 2 * sum((point["width0"], 40))))


def failing(shape: str, rng: np.random.Generator) -> Callable[[Point], bool]:
    """Which points fail."""
    if shape == "expensive":
        limit = float(np.quantile([cost_of(point) for point in POINTS], 0.94))
        return lambda point: cost_of(point) > limit
    if shape == "mixer":
        return lambda point: bool(point["mixer"] == "attention")
    if shape == "interaction":
        return lambda point: bool(point["kernel"] == 7 and point["depth"] == 3)
    unlucky = {key_of(point) for point in POINTS if point["kernel"] == 7 and rng.random() < 0.5}
    return lambda point: key_of(point) in unlucky


SHAPES = ("expensive", "random", "mixer", "interaction")


def accuracies(rng: np.random.Generator) -> dict[tuple[Any, ...], float]:
    """The accuracy of each point: rising with cost, and with effects of each choice."""
    effects = {(name, value): rng.normal(0, 0.015) for name, values in CHOICES.items() for value in values}
    return {
        key_of(point): 1 - 2 * cost_of(point) ** -0.25 + sum(effects[name, value] for name, value in point.items())
        for point in POINTS
    }


class Hypervolume:
    """The hypervolume of points, where accuracy and the logarithm of cost span 0 to 1 over all points that do not fail."""

    def __init__(self, accuracy: dict[tuple[Any, ...], float], fails: Callable[[Point], bool]) -> None:
        feasible = [point for point in POINTS if not fails(point)]
        self._accuracy = accuracy
        values = np.array([accuracy[key_of(point)] for point in feasible])
        costs = np.log([cost_of(point) for point in feasible])
        self._low, self._span = np.array([values.min(), costs.min()]), np.array([np.ptp(values), np.ptp(costs)])
        self._volume = Volume(2)
        for point in feasible:
            self.add(point)
        self._whole, self._volume = self._volume.value, Volume(2)

    def add(self, point: Point) -> None:
        """Add a point that was trained."""
        values = np.array([self._accuracy[key_of(point)], np.log(cost_of(point))])
        accuracy, cost = (values - self._low) / self._span
        self._volume.add(np.array([accuracy, 1 - cost]))

    @property
    def share(self) -> float:
        """That of the points that were added since, as a share of that of all."""
        return float(self._volume.value / self._whole)


def search(shape: str, trials: int, seed: int) -> dict[str, Any]:
    """Whether each proposal failed, and the shares of the hypervolume."""
    rng = np.random.default_rng(seed)
    accuracy, fails = accuracies(rng), failing(shape, rng)
    volume = Hypervolume(accuracy, fails)
    sampler = ParetoSampler(BOX, cheap={1: cost_of}, infeasible_attribute="infeasible", seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    failures, shares = [], []
    for _ in range(trials):
        trial = study.ask(BOX)
        failures.append(fails(trial.params))
        if failures[-1]:
            trial.set_user_attr("infeasible", "out of memory")
            study.tell(trial, state=TrialState.FAIL)
        else:
            volume.add(trial.params)
            noise = 0.003 * rng.normal()
            study.tell(trial, [accuracy[key_of(trial.params)] + noise, cost_of(trial.params)])
        shares.append(volume.share)
    return {
        "shape": shape,
        "seed": seed,
        "failed_first": sum(failures[:FIRST]),
        "failed_later": sum(failures[FIRST:]),
        "share_first": shares[FIRST - 1],
        "share": shares[-1],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--caution", type=float, nargs="+", default=[0.0, 1.0, 2.0, 3.0, 5.0])
    parser.add_argument("--shapes", nargs="+", default=SHAPES, choices=SHAPES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for shape in args.shapes:
        for caution in args.caution:
            feasibility.CAUTION = caution
            runs = [search(shape, args.trials, seed) for seed in range(args.seeds)]
            rows += [{"caution": caution, **run} for run in runs]
            if not args.json:
                means = {name: mean(run[name] for run in runs) for name in runs[0] if name not in ("shape", "seed")}
                print(
                    f"{shape:11s} caution {caution:g}: {', '.join(f'{k} {v:.4g}' for k, v in means.items())}",
                    flush=True,
                )
    if args.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
