"""The recall of each class, from a confusion matrix, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.analysis.results import Results
from trainers.training.confusion import Confusion

SHOWN_CLASSES = 20
"""Classes that a table lists, those of the lowest recall first."""
SHOWN_CONFUSIONS = 10
"""Pairs of classes that a table lists, the most frequent first."""


def class_names(dataset: Mapping[str, Any], confusion: Confusion) -> list[str]:
    """The name of each class of `confusion`; its number where the description of the `dataset` has no names."""
    names = [str(name) for name in dataset.get("class_names") or ()]
    return names if len(names) == len(confusion.totals) else [str(i) for i in range(len(confusion.totals))]


def confusion_record(confusion: Confusion, names: Sequence[str]) -> dict[str, Any]:
    """The recall of each class, as plain JSON.

    Keys: `accuracy`, `balanced_accuracy`, `macro_f1`, `classes`: [{`class`, `images`, `correct`, `recall`}, ...] by rising
    recall, `confusions`: [{`class`, `predicted`, `images`}, ...], the most frequent first.

    Args:
        confusion: on the test split.
        names: of the classes.
    """
    rows = zip(names, confusion.totals.tolist(), confusion.correct.tolist(), strict=True)
    classes = [
        {"class": name, "images": images, "correct": correct, "recall": correct / images if images else None}
        for name, images, correct in rows
    ]
    classes.sort(key=lambda row: 2.0 if row["recall"] is None else float(row["recall"]))
    pairs = zip(confusion.pairs.tolist(), confusion.counts.tolist(), strict=True)
    confusions = [{"class": names[a], "predicted": names[b], "images": count} for (a, b), count in pairs]
    scores = {name: getattr(confusion, name) for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    return {**scores, "classes": classes, "confusions": confusions}


def class_record(results: Results, trial: int) -> dict[str, Any] | None:
    """The recall of each class on the test split; None if `trial` was not tested, or was tested by an earlier version."""
    confusion = results.test_confusion.get(str(trial))
    return None if confusion is None else confusion_record(confusion, class_names(results.dataset, confusion))
