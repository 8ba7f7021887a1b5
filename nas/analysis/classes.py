"""The recall of each class on the test split, of one trial."""

from __future__ import annotations

from typing import Any

from nas.analysis.class_recalls import class_names, confusion_record
from nas.analysis.results import Results


def class_record(results: Results, trial: int) -> dict[str, Any] | None:
    """The recall of each class on the test split; None if `trial` was not tested, or was tested by an earlier version."""
    confusion = results.test_confusion.get(str(trial))
    return None if confusion is None else confusion_record(confusion, class_names(results.dataset, confusion))
