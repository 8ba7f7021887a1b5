"""Full trainings summarised: means over seeds with intervals, and how well the proxy ranked what was trained in full.

Proxy accuracies are those of the search (validation split, short training); test accuracies are those of the full trainings. They
stand side by side and are never mixed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.analysis.statistics import CONFIDENCE, MIN_VALUES, Estimate, bootstrap_weights, kendall, to_plain_json
from nas.formatting import finite_or_none
from nas.study.retrained import RetrainedRun

RESAMPLES = 2000


@dataclass(frozen=True)
class RetrainedSummary:
    """The runs of one network by one recipe.

    Args:
        runs: they differ in their seeds alone; at least one.
        proxy_accuracy: of the trial in the search, on the validation split; NaN for what was no trial.
        images_per_s: of the trial, measured in the search; NaN where it was not.
        test: mean and 95 % interval of the test accuracy; the interval is NaN for one run.
        val: the same on the validation split.
    """

    runs: tuple[RetrainedRun, ...]
    proxy_accuracy: float
    images_per_s: float
    test: Estimate
    val: Estimate

    @property
    def first(self) -> RetrainedRun:
        """One of the runs, for what they have in common."""
        return self.runs[0]

    @property
    def wall_s(self) -> float:
        """Mean seconds of a run."""
        return float(np.mean([run.wall_s for run in self.runs]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        first = self.first
        return {
            "name": first.name,
            "kind": first.kind,
            "trial": first.trial,
            "start": first.start,
            "recipe_digest": first.recipe_digest,
            "teacher": first.teacher,
            "macs": first.macs,
            "params": first.params,
            "seeds": [run.seed for run in self.runs],
            "proxy_accuracy": finite_or_none(self.proxy_accuracy),
            "images_per_s": finite_or_none(self.images_per_s),
            "val_accuracy": to_plain_json(self.val),
            "test_accuracy": to_plain_json(self.test),
            "wall_s": self.wall_s,
        }


def mean_interval(values: Sequence[float]) -> Estimate:
    """The mean of `values` with its 95 % interval by Student's t; the interval of one value is NaN."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan)
    from scipy.special import stdtrit  # takes a while to import

    half = (
        float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    )
    return Estimate(mean, mean - half, mean + half)


def summarise(
    runs: Sequence[RetrainedRun], accuracies: Mapping[int, float], throughputs: Mapping[int, float]
) -> tuple[RetrainedSummary, ...]:
    """A summary for each network and recipe, in the order in which they first appear.

    Args:
        runs: the runs.
        accuracies: number of a trial -> its accuracy in the search.
        throughputs: number of a trial -> images per second, measured in the search.
    """
    groups: dict[tuple[str, str], list[RetrainedRun]] = {}
    for run in runs:
        groups.setdefault((run.name, run.recipe_digest), []).append(run)
    return tuple(_summary(tuple(group), accuracies, throughputs) for group in groups.values())


def rank_correlation(summaries: Sequence[RetrainedSummary]) -> Estimate:
    """Kendall's tau of proxy and mean test accuracy over the trials among `summaries`, with a bootstrap interval over trials.

    NaN for fewer than `MIN_VALUES` trials.
    """
    pairs = [(s.proxy_accuracy, s.test.value) for s in summaries if math.isfinite(s.proxy_accuracy)]
    if len(pairs) < MIN_VALUES:
        return Estimate(math.nan, math.nan, math.nan)
    proxy, test = np.array(pairs, np.float64).T
    return Estimate.of(kendall(proxy, test, bootstrap_weights(RESAMPLES, len(pairs), seed=0)))


def _summary(
    runs: tuple[RetrainedRun, ...], accuracies: Mapping[int, float], throughputs: Mapping[int, float]
) -> RetrainedSummary:
    trial = runs[0].trial
    return RetrainedSummary(
        runs=tuple(sorted(runs, key=lambda run: run.seed)),
        proxy_accuracy=math.nan if trial is None else accuracies.get(trial, math.nan),
        images_per_s=math.nan if trial is None else throughputs.get(trial, math.nan),
        test=mean_interval([run.test_accuracy for run in runs]),
        val=mean_interval([run.val_accuracy for run in runs]),
    )
