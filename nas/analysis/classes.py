"""How well a trial tells each class on the test split, as plain JSON and as text."""

from __future__ import annotations

from typing import Any

from nas.analysis.results import Results
from trainers.training.confusion import Confusion

SHOWN_CLASSES = 20
"""Classes that a table lists, those of the lowest recall first."""
SHOWN_CONFUSIONS = 10
"""Pairs of classes that a table lists, the most frequent first."""


def class_names(results: Results, confusion: Confusion) -> list[str]:
    """The name of each class; its number where the study does not record names."""
    names = [str(name) for name in results.dataset.get("class_names") or ()]
    return names if len(names) == len(confusion.totals) else [str(i) for i in range(len(confusion.totals))]


def class_record(results: Results, trial: int) -> dict[str, Any] | None:
    """How well `trial` tells each class on the test split; None if it was not tested, or by an earlier version.

    Keys: `accuracy`, `balanced_accuracy`, `macro_f1`, `classes`: [{`class`, `images`, `correct`, `recall`}, ...] by rising
    recall, `confusions`: [{`class`, `predicted`, `images`}, ...], the most frequent first.
    """
    confusion = results.test_confusion.get(str(trial))
    if confusion is None:
        return None
    names = class_names(results, confusion)
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
