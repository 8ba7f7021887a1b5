"""The retrained front: the networks of a study after their full trainings (`nas retrain`), apart from the values of the search.

Runs of one network that differ only in their seed are one `RetrainedModel`, with the mean of its accuracies and a 95 % interval.
One network rarely has more than a few seeds, so the deviation between seeds is pooled over all networks of a recipe:

    mean ± t(0.975, f) s / sqrt(n)      s^2 = sum of squares within networks / f,   f = sum of (n - 1)

Networks of different recipes do not compare, nor do those trained on other images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from nas.analysis.statistics import CONFIDENCE, Estimate, bootstrap_weights, kendall
from nas.study.retrained import RetrainedRun

MIN_RANKED = 3
MIN_RESAMPLED = 6
"""Trials needed for a rank correlation."""
RESAMPLES = 1000
RESAMPLING_SEED = 0


@dataclass(frozen=True)
class RetrainedModel:
    """The full trainings of one network by one recipe.

    Args:
        runs: one for each seed, by seed.
        val: mean validation accuracy after the last epoch.
        test: mean test accuracy.
    """

    runs: tuple[RetrainedRun, ...]
    val: Estimate
    test: Estimate

    @property
    def first(self) -> RetrainedRun:
        """The run with the lowest seed: what it says of the network holds for all."""
        return self.runs[0]

    @property
    def curve(self) -> list[float | None]:
        """The mean validation accuracy after each epoch; None after one that was not validated."""
        table = [[epoch.get("val_accuracy") for epoch in run.epochs] for run in self.runs]
        return [None if None in column else float(np.mean(column)) for column in zip(*table, strict=False)]

    @property
    def train_s(self) -> float:
        """Mean seconds of a training."""
        return float(np.mean([run.wall_s for run in self.runs]))

    @property
    def images_per_s(self) -> float | None:
        """Mean throughput of the runs that measured it; None if none did."""
        measured = [run.images_per_s for run in self.runs if run.images_per_s is not None]
        return float(np.mean(measured)) if measured else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for the page."""
        run = self.first
        return {
            "name": run.name,
            "subject": run.subject,
            "kind": run.kind,
            "trial": run.trial,
            "start": run.start,
            "teacher": run.teacher,
            "recipe": run.recipe_digest,
            "macs": run.macs,
            "params": run.params,
            "seeds": [run.seed for run in self.runs],
            "val": self.val.to_dict(),
            "test": self.test.to_dict(),
            "curve": self.curve,
            "train_s": self.train_s,
            "device": run.device,
            "images_per_s": self.images_per_s,
        }


def retrained_models(runs: Sequence[RetrainedRun], fingerprint: str) -> tuple[RetrainedModel, ...]:
    """The networks of `runs` that were trained on the images with `fingerprint`, by recipe, then by name."""
    ordered = sorted(
        (run for run in runs if run.fingerprint == fingerprint), key=lambda run: (*_network(run), run.seed)
    )
    groups = [tuple(group) for _, group in groupby(ordered, _network)]
    models: list[RetrainedModel] = []
    for _, recipe_groups in groupby(groups, lambda group: group[0].recipe_digest):
        members = list(recipe_groups)
        val = _means([[run.val_accuracy for run in group] for group in members])
        test = _means([[run.test_accuracy for run in group] for group in members])
        models += [RetrainedModel(*parts) for parts in zip(members, val, test, strict=True)]
    return tuple(models)


def _network(run: RetrainedRun) -> tuple[str, str]:
    return run.recipe_digest, run.name


def _means(values: Sequence[Sequence[float]]) -> list[Estimate]:
    """The mean of the shares of each network, with an interval, within 0 and 1, from the deviation pooled over all of them."""
    means = [float(np.mean(row)) for row in values]
    freedom = sum(len(row) - 1 for row in values)
    if not freedom:
        return [Estimate(mean, math.nan, math.nan) for mean in means]
    from scipy.special import stdtrit  # takes a while to import

    squares = sum(float(((np.asarray(row) - mean) ** 2).sum()) for row, mean in zip(values, means, strict=True))
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(squares / freedom)
    ends = [half / math.sqrt(len(row)) for row in values]
    return [Estimate(mean, max(0.0, mean - end), min(1.0, mean + end)) for mean, end in zip(means, ends, strict=True)]


def proxy_correlation(models: Sequence[RetrainedModel], proxy: Mapping[int, float]) -> Estimate | None:
    """How well the search has ranked the trials among `models`, all of one recipe, that started from scratch.

    Args:
        models: the networks.
        proxy: number of a trial -> its validation accuracy in the search.

    Returns:
        Kendall's tau-b of the accuracy in the search with the validation accuracy after the full training, with a bootstrap
        interval over the trials if there are `MIN_RESAMPLED`; None with fewer than `MIN_RANKED` trials.
    """
    trials = [(model.first.trial, model.val.value) for model in models if model.first.start == "scratch"]
    found = [(proxy[trial], value) for trial, value in trials if trial is not None and trial in proxy]
    pairs = np.array([pair for pair in found if math.isfinite(pair[0])], np.float64)
    if len(pairs) < MIN_RANKED:
        return None
    resamples = RESAMPLES if len(pairs) >= MIN_RESAMPLED else 0  # those of three trials are all alike
    weights = bootstrap_weights(resamples, len(pairs), RESAMPLING_SEED)
    return Estimate.of(kendall(pairs[:, 0], pairs[:, 1], weights))
