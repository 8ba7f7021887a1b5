"""What the runs of a benchmark come to: statistics over seeds, as values and as JSON.

Trainings that were never enough count as infinitely many: a median is infinite if more than half of the seeds did not reach
the target. JSON has no infinity: there it is null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.bench.compare import Contest
from nas.bench.race import Run
from nas.formatting import finite_or_none

TARGETS = (0.95, 0.99)  # shares of the true hypervolume
MARKS = (50, 100, 200)  # trainings after which the share is told


@dataclass(frozen=True)
class Spread:
    """Quartiles and the largest of values over seeds."""

    q1: float
    median: float
    q3: float
    largest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of `values`, one at least; they may be infinite."""
        ranked = sorted(values)
        q1, median, q3 = (quantile(ranked, q) for q in (0.25, 0.5, 0.75))
        return cls(q1, median, q3, ranked[-1])

    def record(self) -> dict[str, float | None]:
        """As JSON."""
        pairs = (("q1", self.q1), ("median", self.median), ("q3", self.q3), ("max", self.largest))
        return {name: finite_or_none(value) for name, value in pairs}


@dataclass(frozen=True)
class Summary:
    """One sampler with one number of workers: its runs, a seed each."""

    sampler: str
    workers: int
    runs: tuple[Run, ...]

    def trainings_to(self, target: float) -> Spread:
        """How many trainings the share `target` of the true hypervolume took."""
        return Spread.of(trainings_to(run, target) for run in self.runs)

    def share_at(self, trainings: int) -> Spread:
        """The share after so many trainings; the last one of a run that ended before."""
        return Spread.of(run.shares[min(trainings, len(run.shares)) - 1] for run in self.runs)

    def suggest_s(self, q: float) -> float:
        """The `q`-quantile of the seconds that a suggestion took, over all runs."""
        return quantile(sorted(second for run in self.runs for second in run.suggest_s), q)

    @property
    def refused(self) -> float:
        """Proposals refused for each that was trained."""
        return sum(run.refused for run in self.runs) / sum(len(run.shares) for run in self.runs)


def summaries(contest: Contest, runs: Sequence[Run]) -> list[Summary]:
    """The `runs` by sampler and workers, in the order of `contest`; those without a run are left out."""
    groups = dict.fromkeys((entry.sampler, entry.workers) for entry in contest.entries)
    found = []
    for sampler, workers in groups:
        mine = [run for run in runs if (run.entry.sampler, run.entry.workers) == (sampler, workers)]
        if mine:
            found.append(Summary(sampler, workers, tuple(sorted(mine, key=lambda run: run.entry.seed))))
    return found


def marks(contest: Contest) -> list[int]:
    """The numbers of trainings to tell shares at: those of `MARKS` that are reached, else the last."""
    return [mark for mark in MARKS if mark <= contest.length] or [contest.length]


def trainings_to(run: Run, target: float) -> float:
    """The number of trainings after which the share is `target` at least; infinity if it never is."""
    return next((float(i + 1) for i, share in enumerate(run.shares) if share >= target), math.inf)


def quantile(ranked: Sequence[float], q: float) -> float:
    """The `q`-quantile of rising values by linear interpolation; infinite if it lies next to one that is."""
    place = q * (len(ranked) - 1)
    low, high = ranked[math.floor(place)], ranked[math.ceil(place)]
    if low == high or math.isinf(low):
        return low
    return high if math.isinf(high) else low + (place - math.floor(place)) * (high - low)


def record(contest: Contest, found: Sequence[Summary]) -> dict[str, Any]:
    """All of a benchmark as plain JSON: what `nas bench search --json` prints.

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
        "choices": {name: list(levels) for name, levels in table.choices.items()},
        "features": list(table.features),
        "reference": {objective.name: 10**value if objective.log else value for objective, value in worst},
        "true_hypervolume": table.volume,
        "trainings": contest.length,
        "noise": contest.noise,
        "samplers": [_sampler_record(contest, summary) for summary in found],
    }


def _sampler_record(contest: Contest, summary: Summary) -> dict[str, Any]:
    return {
        "sampler": summary.sampler,
        "workers": summary.workers,
        "seeds": [run.entry.seed for run in summary.runs],
        "trainings_to": {
            str(target): summary.trainings_to(target).record()
            | {"each": [finite_or_none(trainings_to(run, target)) for run in summary.runs]}
            for target in TARGETS
        },
        "share_at": {str(mark): summary.share_at(mark).record() for mark in marks(contest)},
        "suggest_s": {"median": summary.suggest_s(0.5), "p95": summary.suggest_s(0.95)},
        "refused_per_training": summary.refused,
        "runs": [
            {
                "seed": run.entry.seed,
                "shares": np.round(run.shares, 6).tolist(),
                "drawn_at_random": run.drawn,
            }
            for run in summary.runs
        ],
    }
