"""A warning before the search: accuracy says little where most images are of one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas import objectives
from nas.analysis.dataset_summary import find_majority
from nas.formatting import printable
from nas.study.config import StudyConfig

MAX_MAJORITY_SHARE = 0.8
"""From this share of the training images on, a study that trains for accuracy is warned about."""


def imbalance_warning(config: StudyConfig, dataset: Mapping[str, Any]) -> str | None:
    """A sentence if one class has most of the training images and the study trains for accuracy; otherwise None.

    Args:
        config: the configuration of the study.
        dataset: the description of its images (`nas.study.dataset`).
    """
    chosen = [objectives.get(name) for name in config.objectives]
    majority = find_majority(dataset, "train")
    if majority is None or chosen[objectives.primary_index(chosen)].name != "accuracy":
        return None
    if majority.share < MAX_MAJORITY_SHARE:
        return None
    weights = "" if config.train.class_weights == "balanced" else ", train.class_weights=balanced does so in the loss"
    return (
        f"data: {majority.count} of {majority.total} training images ({100 * majority.share:.1f} %) are of class "
        f"'{printable(majority.class_name)}', so always answering it has that accuracy; the objectives balanced_accuracy and "
        f"macro_f1 count classes equally{weights}"
    )
