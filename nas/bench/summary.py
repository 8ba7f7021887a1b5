"""Statistics of a benchmark's runs over seeds, as values and as JSON.

A run that never reaches a target counts as infinitely many trainings: a median is infinite if more than half of the seeds did
not reach the target. JSON has no infinity: there it is null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.bench.compare import Contest
from nas.bench.simulation import RunResult
from nas.formatting import finite_or_none

HYPERVOLUME_TARGETS = (0.95, 0.99)  # shares of the true hypervolume
REPORTED_TRAININGS = (50, 100, 200)  # numbers of trainings after which the share is reported


@dataclass(frozen=True)
class Spread:
    """Quartiles and the maximum of values over seeds."""

    q1: float
    median: float
    q3: float
    largest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of at least one value; values may be infinite."""
        ranked = sorted(values)
        q1, median, q3 = (quantile(ranked, q) for q in (0.25, 0.5, 0.75))
        return cls(q1, median, q3, ranked[-1])

    def to_dict(self) -> dict[str, float | None]:
        """Plain JSON; an infinite value is None."""
        pairs = (("q1", self.q1), ("median", self.median), ("q3", self.q3), ("max", self.largest))
        return {name: finite_or_none(value) for name, value in pairs}


@dataclass(frozen=True)
class SamplerSummary:
    """The runs of one sampler with one number of workers, one run per seed."""

    sampler: str
    workers: int
    runs: tuple[RunResult, ...]

    def trainings_to(self, target: float) -> Spread:
        """The number of trainings to the share `target` of the true hypervolume."""
        return Spread.of(trainings_to(run.shares, target) for run in self.runs)

    def share_after(self, trainings: int) -> Spread:
        """The share of the true hypervolume after `trainings` trainings; the last share of a shorter run."""
        return Spread.of(run.shares[min(trainings, len(run.shares)) - 1] for run in self.runs)

    def suggest_s(self, q: float) -> float:
        """The `q`-quantile of the seconds that a suggestion took, over all runs."""
        return quantile(sorted(seconds for run in self.runs for seconds in run.suggest_s), q)

    @property
    def refused_per_training(self) -> float:
        """Number of refused proposals per training."""
        return sum(run.refused for run in self.runs) / sum(len(run.shares) for run in self.runs)


def summarize(contest: Contest, runs: Sequence[RunResult]) -> list[SamplerSummary]:
    """`runs` grouped by sampler and number of workers, in the order of `contest`; groups without a run are left out."""
    groups = dict.fromkeys((spec.sampler, spec.workers) for spec in contest.entries)
    summaries = []
    for sampler, workers in groups:
        group = [run for run in runs if (run.spec.sampler, run.spec.workers) == (sampler, workers)]
        if group:
            summaries.append(SamplerSummary(sampler, workers, tuple(sorted(group, key=lambda run: run.spec.seed))))
    return summaries


def reported_trainings(contest: Contest) -> list[int]:
    """The numbers of trainings to report shares at: those of `REPORTED_TRAININGS` that are reached, else the last."""
    return [number for number in REPORTED_TRAININGS if number <= contest.length] or [contest.length]


def trainings_to(shares: Sequence[float], target: float) -> float:
    """The number of trainings after which the share is at least `target`; infinity if it never is.

    Args:
        shares: of the hypervolume, after each training.
        target: between 0 and 1.
    """
    return next((float(i + 1) for i, share in enumerate(shares) if share >= target), math.inf)


def quantile(ranked: Sequence[float], q: float) -> float:
    """The `q`-quantile of ascending values by linear interpolation; infinite if it lies next to an infinite value."""
    position = q * (len(ranked) - 1)
    low, high = ranked[math.floor(position)], ranked[math.ceil(position)]
    if low == high or math.isinf(low):
        return low
    return high if math.isinf(high) else low + (position - math.floor(position)) * (high - low)


def benchmark_to_dict(contest: Contest, summaries: Sequence[SamplerSummary]) -> dict[str, Any]:
    """A benchmark as plain JSON: what `nas bench search --json` prints.

    Keys: `table`, `architectures`, `combinations`, `objectives`, `choices`, `features`, `reference` (in the objectives' units),
    `true_hypervolume` (a share of the box from the reference to the best of each objective), `trainings`, `noise`, `samplers`.

    Of each sampler: `sampler`, `workers`, `seeds`, `trainings_to` ({"0.95": spread, ...}), `share_at` ({"50": spread, ...}),
    `suggest_s` (`median`, `p95`), `refused_per_training`, `runs` (`seed`, `shares` after each training, `drawn_at_random`).
    """
    table = contest.table
    worst = zip(table.objectives, table.bounds.worst, strict=True)
    return {
        "table": str(table.file),
        "architectures": len(table),
        "combinations": table.combinations,
        "objectives": [objective.to_dict() for objective in table.objectives],
        "choices": {name: list(values) for name, values in table.choices.items()},
        "features": list(table.features),
        "reference": {objective.name: 10**value if objective.log else value for objective, value in worst},
        "true_hypervolume": table.hypervolume,
        "trainings": contest.length,
        "noise": contest.noise,
        "samplers": [_sampler_to_dict(contest, summary) for summary in summaries],
    }


def _sampler_to_dict(contest: Contest, summary: SamplerSummary) -> dict[str, Any]:
    return {
        "sampler": summary.sampler,
        "workers": summary.workers,
        "seeds": [run.spec.seed for run in summary.runs],
        "trainings_to": {
            str(target): summary.trainings_to(target).to_dict()
            | {"each": [finite_or_none(trainings_to(run.shares, target)) for run in summary.runs]}
            for target in HYPERVOLUME_TARGETS
        },
        "share_at": {str(number): summary.share_after(number).to_dict() for number in reported_trainings(contest)},
        "suggest_s": {"median": summary.suggest_s(0.5), "p95": summary.suggest_s(0.95)},
        "refused_per_training": summary.refused_per_training,
        "runs": [
            {
                "seed": run.spec.seed,
                "shares": np.round(run.shares, 6).tolist(),
                "drawn_at_random": run.drawn,
            }
            for run in summary.runs
        ],
    }
