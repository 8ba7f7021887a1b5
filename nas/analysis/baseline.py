"""What a network reaches that always answers the most frequent class: a best trial that is no better has learnt nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.analysis.dataset_summary import find_majority
from nas.analysis.results import Results
from nas.formatting import printable, ratio, value_text

STANDARD_ERRORS = 2.0
"""A best value within this number of standard errors of the baseline is called no better."""
MIN_IMBALANCE = 1.2
"""Times that a majority must exceed the share of a class in balanced data for a warning: chance is no trap there."""


@dataclass(frozen=True)
class Baseline:
    """The value of the primary objective on the validation split if one class is always answered.

    Args:
        class_name: the most frequent class.
        imbalance: its share, times the number of classes.
        value: the value.
        error: its standard error, for the number of validation images.
    """

    class_name: str
    imbalance: float
    value: float
    error: float


def majority_baseline(results: Results) -> Baseline | None:
    """The baseline of a study; None if it does not record its classes, or does not train for a score of classification."""
    majority = find_majority(results.dataset)
    if majority is None or results.primary.name not in _BASELINES:
        return None
    counts = results.dataset["class_counts"]["val"]
    value, error = _BASELINES[results.primary.name](counts)
    return Baseline(majority.class_name, majority.share * len(counts), value, error)


def baseline_warning(results: Results) -> str | None:
    """A sentence if the best trial is no better than the baseline; None if it is better, or the classes are balanced."""
    best, baseline = results.best, majority_baseline(results)
    if best is None or baseline is None or baseline.imbalance < MIN_IMBALANCE:
        return None
    value = float(best[results.primary.name])
    if value > baseline.value + STANDARD_ERRORS * baseline.error:
        return None
    noise = " (the difference is within the noise of so few images)" if value > baseline.value else ""
    is_hidden = results.primary.name == "accuracy" and baseline.value > 0.5
    advice = "; the objectives balanced_accuracy and macro_f1 count classes equally" if is_hidden else ""
    return (
        f"the best {results.primary.label} is {value_text(results.primary, value)}, no better than the "
        f"{ratio(baseline.value)} of always answering '{printable(baseline.class_name)}'{noise}{advice}"
    )


def _accuracy(counts: Sequence[int]) -> tuple[float, float]:
    share = max(counts) / sum(counts)
    return share, math.sqrt(share * (1 - share) / sum(counts))


def _balanced_accuracy(counts: Sequence[int]) -> tuple[float, float]:
    present = [count for count in counts if count]
    share = 1 / len(present)
    return share, math.sqrt(sum(share * (1 - share) / count for count in present)) / len(present)


def _macro_f1(counts: Sequence[int]) -> tuple[float, float]:
    share = max(counts) / sum(counts)
    return 2 * share / (1 + share) / sum(count > 0 for count in counts), 0.0


_BASELINES = {"accuracy": _accuracy, "balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1}
"""Objective -> its value, and the standard error of it, from the images of each class."""
