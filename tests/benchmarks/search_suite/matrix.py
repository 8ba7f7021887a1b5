"""The arithmetic of the matrix: measures of runs, ranks, ratios to the best known, and choices by leaving one out.

A measure is a number above 0 of one run, of which less is better. A problem's value of an arm (a sampler) is the geometric
mean over seeds; the best known is the least value that any arm has.

    to90, to95, to99    trainings to a share of the hypervolume of the best front; one more than the run has if it is not reached
    at50, at100         the share that is missing after so many trainings, at least `LEAST_MISSING`
    missing             the geometric mean of what is missing after each training, from the tenth on
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, mean, median

import numpy as np

from nas.bench import summary
from search_suite.simulation import Run
from search_suite.space import Floats

LEAST_MISSING = 0.002
FIRST_COUNTED = 10
RESAMPLES = 4000
HIERARCHICAL_RESAMPLES = 1000
UNLUCKY = 0.9  # of the seeds of a problem are luckier: steadier than the worst one


def trainings_to(run: Run, share: float) -> float:
    """The number of trainings to `share`; one more than the run has if it is not reached."""
    return min(summary.trainings_to(run.shares, share), len(run.shares) + 1.0)


def missing_after(run: Run, trainings: int) -> float:
    """The share that is missing after so many trainings."""
    return max(1 - run.shares[min(trainings, len(run.shares)) - 1], 0.0) + LEAST_MISSING


def missing(run: Run) -> float:
    """The geometric mean of the share that is missing."""
    counted = run.shares[min(FIRST_COUNTED, len(run.shares)) - 1 :]
    return geometric_mean(max(1 - share, 0.0) + LEAST_MISSING for share in counted)


MEASURES: Mapping[str, Callable[[Run], float]] = {
    "to90": lambda run: trainings_to(run, 0.9),
    "to95": lambda run: trainings_to(run, 0.95),
    "to99": lambda run: trainings_to(run, 0.99),
    "at50": lambda run: missing_after(run, 50),
    "at100": lambda run: missing_after(run, 100),
    "missing": missing,
}


@dataclass(frozen=True)
class Summary:
    """An arm over the problems that it has.

    Args:
        arm: the arm.
        problems: their number.
        rank: mean rank among the arms that have the problem, 1 is best; arms that are equal share the mean of their ranks.
        ratio: the geometric mean over problems of the ratio to the best known.
        worst_problem: the problem with the largest ratio, and that ratio.
        worst_seed: the problem with the largest ratio of the worst seed to the median, and that ratio.
        lost: problems on which another arm has the better median.
    """

    arm: str
    problems: int
    rank: float
    ratio: float
    worst_problem: tuple[str, float]
    worst_seed: tuple[str, float]
    lost: tuple[str, ...]


class Matrix:
    """Runs by problem and arm. An arm does not have a problem whose kind its sampler does not take.

    Args:
        runs: at least one.
        arms: the arms to compare; all if empty.
    """

    def __init__(self, runs: Sequence[Run], arms: Sequence[str] = ()) -> None:
        wanted = [run for run in runs if not arms or run.arm in arms]
        self.unsupported = tuple(run for run in wanted if run.is_unsupported)
        self.runs: dict[str, dict[str, list[Run]]] = {}
        for run in wanted:
            if not run.is_unsupported:
                self.runs.setdefault(run.problem, {}).setdefault(run.arm, []).append(run)
        self.problems = tuple(self.runs)
        present = dict.fromkeys(arm for by_arm in self.runs.values() for arm in by_arm)
        self.arms = tuple(arm for arm in (arms or present) if arm in present)

    def values(self, problem: str, arm: str, measure: str) -> list[float]:
        """The measure of each run."""
        return [MEASURES[measure](run) for run in self.runs[problem][arm]]

    def value(self, problem: str, arm: str, measure: str) -> float:
        """The geometric mean over seeds."""
        return geometric_mean(self.values(problem, arm, measure))

    def best(self, problem: str, measure: str) -> float:
        """The best known."""
        return min(self.value(problem, arm, measure) for arm in self.runs[problem])

    def summaries(self, measure: str) -> list[Summary]:
        """All arms, the best ratio first."""
        return sorted((self._summary(arm, measure) for arm in self.arms), key=lambda summary: summary.ratio)

    def _summary(self, arm: str, measure: str) -> Summary:
        problems = [p for p in self.problems if arm in self.runs[p]]
        ratios = {p: self.value(p, arm, measure) / self.best(p, measure) for p in problems}
        spreads = {}
        for problem in problems:
            values = self.values(problem, arm, measure)
            spreads[problem] = max(values) / median(values)
        worst, unlucky = max(ratios, key=ratios.__getitem__), max(spreads, key=spreads.__getitem__)
        return Summary(
            arm,
            len(problems),
            mean(self._rank(problem, arm, measure) for problem in problems),
            geometric_mean(ratios.values()),
            (worst, ratios[worst]),
            (unlucky, spreads[unlucky]),
            tuple(p for p in problems if self._is_behind(p, arm, measure)),
        )

    def _rank(self, problem: str, arm: str, measure: str) -> float:
        own = self.value(problem, arm, measure)
        others = [self.value(problem, other, measure) for other in self.runs[problem]]
        better = sum(value < own and not math.isclose(value, own) for value in others)
        return better + (sum(math.isclose(value, own) for value in others) + 1) / 2

    def _is_behind(self, problem: str, arm: str, measure: str) -> bool:
        own = median(self.values(problem, arm, measure))
        return any(median(self.values(problem, other, measure)) < own for other in self.runs[problem])


@dataclass(frozen=True)
class Ratio:
    """A geometric mean of ratios, below 1 where less is needed or missing.

    Args:
        value: the mean.
        low: the lower end of its 90 % interval.
        high: the upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A variant against another one, over the problems and seeds that both have.

    Intervals are those of a bootstrap over problems and over the seeds of each.

    Args:
        variant: the variant.
        problems: the number of problems.
        seeds: the least number of seeds of a problem.
        ratio: the geometric mean over problems and seeds of the ratio to the other variant.
        unlucky: that over problems of the ratio of the 90 % quantiles over seeds.
        better: on how many problems the geometric mean over seeds is below 1.
    """

    variant: str
    problems: int
    seeds: int
    ratio: Ratio
    unlucky: Ratio
    better: int


def compare_variants(matrix: Matrix, base: str, variant: str, measure: str) -> Comparison | None:
    """Compare `variant` with `base`, seed by seed; None if they have no run in common."""
    logs = []
    for by_arm in matrix.runs.values():
        known = {run.seed: MEASURES[measure](run) for run in by_arm.get(base, ())}
        pairs = [(MEASURES[measure](run), known[run.seed]) for run in by_arm.get(variant, ()) if run.seed in known]
        if pairs:
            logs.append(np.log(pairs))
    if not logs:
        return None
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(HIERARCHICAL_RESAMPLES):
        drawn = [logs[i] for i in rng.integers(len(logs), size=len(logs))]
        resampled.append(_mean_and_unlucky([pairs[rng.integers(len(pairs), size=len(pairs))] for pairs in drawn]))
    low, high = np.exp(np.quantile(resampled, [0.05, 0.95], axis=0)).tolist()
    ratio, unlucky = (Ratio(*ends) for ends in zip(np.exp(_mean_and_unlucky(logs)).tolist(), low, high, strict=True))
    better = sum(float(np.diff(pairs).mean()) > 0 for pairs in logs)
    return Comparison(variant, len(logs), min(map(len, logs)), ratio, unlucky, better)


def _mean_and_unlucky(logs: Sequence[Floats]) -> tuple[float, float]:
    """The logarithms of `Comparison`'s ratios, for the logarithms of both variants on each problem, `(seeds, 2)`."""
    means = [pairs.mean(axis=0) for pairs in logs]
    quantiles = [np.quantile(pairs, UNLUCKY, axis=0) for pairs in logs]
    ratio, unlucky = (np.mean(values, axis=0) for values in (means, quantiles))
    return float(ratio[0] - ratio[1]), float(unlucky[0] - unlucky[1])


def mean_ratio(logs: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """The geometric mean of the ratios of some problems, given as logarithms, and its interval by a bootstrap over them."""
    rng = np.random.default_rng(0)
    means = np.array(logs)[rng.integers(len(logs), size=(RESAMPLES, len(logs)))].mean(axis=1)
    low, high = np.exp(np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])).tolist()
    return math.exp(mean(logs)), low, high


@dataclass(frozen=True)
class LeftOut:
    """A choice between variants that did not see a problem.

    Args:
        problem: the problem that was left out, and all that are akin to it.
        chosen: the variant that is best on the others.
        best: the variant that is best on the problem.
        price: the ratio of the chosen to the best variant on the problem, at least 1.
    """

    problem: str
    chosen: str
    best: str
    price: float


def kin(problem: str) -> str:
    """What problems that are alike have in common: the first word of their names."""
    return problem.partition("-")[0].partition("_")[0]


def leave_one_out(matrix: Matrix, variants: Sequence[str], measure: str) -> list[LeftOut]:
    """For each problem that all `variants` have: which one the problems that are not akin to it choose, and what that costs.

    The choice is the variant with the least geometric mean over the other problems; nothing if there are none.
    """
    problems = [p for p in matrix.problems if all(variant in matrix.runs[p] for variant in variants)]
    logs = {p: {v: math.log(matrix.value(p, v, measure)) for v in variants} for p in problems}
    rows = []
    for problem in problems:
        others = [p for p in problems if kin(p) != kin(problem)]
        if not others:
            continue
        chosen = min(variants, key=lambda variant: sum(logs[p][variant] for p in others))
        best = min(variants, key=lambda variant: logs[problem][variant])
        price = math.exp(logs[problem][chosen] - logs[problem][best])
        rows.append(LeftOut(problem, chosen, best, price))
    return rows
