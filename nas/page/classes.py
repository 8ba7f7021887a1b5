"""The classes of a tested trial: recall, confusions and, for a few classes, the whole matrix, as plain JSON.

On the test split, not on the validation split, by which the search has chosen its front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nas.analysis.class_recalls import SHOWN_CLASSES, SHOWN_CONFUSIONS, class_names, confusion_record
from nas.formatting import ratio
from trainers.training.confusion import Confusion

MAX_DRAWN_CLASSES: Final = 30
"""Classes that a drawn matrix has at most; more are unreadable."""

_SCORES: Final = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
)


def plain_classes(confusion: Confusion, dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The classes of a trial.

    Args:
        confusion: its confusion matrix on the test split.
        dataset: the description of the images.

    Returns:
        `summary` (a sentence), `recalls` ([class, images, recall or None], the lowest first), `confusions` ([class, predicted
        class, images], the most frequent first), `names` and `matrix` (images of each class by predicted class; None of more
        than `MAX_DRAWN_CLASSES` classes).
    """
    names = class_names(dataset, confusion)
    record = confusion_record(confusion, names)
    is_drawn = len(names) <= MAX_DRAWN_CLASSES
    return {
        "summary": _summary(record),
        "recalls": [[row["class"], row["images"], row["recall"]] for row in record["classes"][:SHOWN_CLASSES]],
        "confusions": [
            [row["class"], row["predicted"], row["images"]] for row in record["confusions"][:SHOWN_CONFUSIONS]
        ],
        "names": names if is_drawn else [],
        "matrix": confusion.matrix().tolist() if is_drawn else None,
    }


def _summary(record: Mapping[str, Any]) -> str:
    """The scores, and how many classes the table leaves out."""
    scores = ", ".join(f"{label} {ratio(record[name])}" for name, label in _SCORES)
    left_out = len(record["classes"]) - SHOWN_CLASSES
    note = f" The {SHOWN_CLASSES} classes of the lowest recall are listed, {left_out} are not." if left_out > 0 else ""
    return f"On the test split: {scores}.{note}"
