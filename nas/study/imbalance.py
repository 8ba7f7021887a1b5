"""A warning before the search: accuracy says little where most images are of one class."""

from __future__ import annotations

from nas import objectives
from nas.study.config import StudyConfig
from trainers.data.prepared import DatasetInfo

MAX_MAJORITY_SHARE = 0.8
"""From this share of the training images on, a study that trains for accuracy is warned about."""


def imbalance_warning(config: StudyConfig, dataset: DatasetInfo) -> str | None:
    """A sentence if one class has most of the training images and the study trains for accuracy; otherwise None."""
    chosen = [objectives.get(name) for name in config.objectives]
    if dataset.class_counts is None or chosen[objectives.primary_index(chosen)].name != "accuracy":
        return None
    counts = dataset.class_counts["train"]
    majority, total = max(counts), sum(counts)
    if majority < MAX_MAJORITY_SHARE * total:
        return None
    name = dataset.class_names[counts.index(majority)]
    weights = "" if config.train.class_weights == "balanced" else ", train.class_weights=balanced does so in the loss"
    return (
        f"data: {majority} of {total} training images ({100 * majority / total:.1f} %) are of class {name!r}, so always "
        f"answering it has that accuracy; the objectives balanced_accuracy and macro_f1 count classes equally{weights}"
    )
