"""The classes of a report: recall of each class and confusion matrix on the test split, for each trial of the front.

The test split, not the validation split, because the search has chosen the front by the latter; it is passed once, for the
test accuracy. Many classes are tables of the lowest recalls and the most frequent confusions, a few are a matrix too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nas.analysis.class_recalls import SHOWN_CLASSES, SHOWN_CONFUSIONS, class_names
from nas.analysis.classes import class_record
from nas.analysis.results import Results
from nas.figures import confusion_figure, confusion_info
from nas.formatting import MISSING, ratio

MAX_DRAWN_CLASSES: Final = 30
"""Classes that a drawn matrix has at most; more are unreadable."""
MAX_DRAWN_TRIALS: Final = 24
"""Trials whose matrix is drawn: the best, then the front in its order."""


def class_results(results: Results) -> dict[str, Any]:
    """The data of the script: number of a trial of the front -> `summary`, `recalls`, `confusions` and `figure` (or None)."""
    best = None if results.best is None else int(results.best["trial"])
    numbers = sorted(map(int, results.front["trial"]), key=lambda number: number != best)
    tested = [number for number in numbers if str(number) in results.test_confusion]
    return {str(number): _entry(results, number, rank < MAX_DRAWN_TRIALS) for rank, number in enumerate(tested)}


def _entry(results: Results, number: int, has_room: bool) -> dict[str, Any]:
    confusion, record = results.test_confusion[str(number)], class_record(results, number)
    if record is None:
        raise KeyError(number)
    names = class_names(results.dataset, confusion)
    figure = None
    if has_room and len(names) <= MAX_DRAWN_CLASSES:
        plain = confusion_figure(confusion_info(confusion, names)).to_plotly_json()
        figure = {"data": plain["data"], "layout": plain["layout"]}
    return {
        "summary": _summary(record),
        "recalls": [
            [row["class"], str(row["images"]), MISSING if row["recall"] is None else ratio(row["recall"])]
            for row in record["classes"][:SHOWN_CLASSES]
        ],
        "confusions": [
            [row["class"], row["predicted"], str(row["images"])] for row in record["confusions"][:SHOWN_CONFUSIONS]
        ],
        "figure": figure,
    }


def _summary(record: Mapping[str, Any]) -> str:
    """The scores, and how many classes the table leaves out."""
    scores = ", ".join(
        f"{label} {ratio(record[name])}"
        for name, label in (
            ("accuracy", "accuracy"),
            ("balanced_accuracy", "balanced accuracy"),
            ("macro_f1", "macro F1"),
        )
    )
    left_out = len(record["classes"]) - SHOWN_CLASSES
    note = f" The {SHOWN_CLASSES} classes of the lowest recall are listed, {left_out} are not." if left_out > 0 else ""
    return f"On the test split: {scores}.{note}"
