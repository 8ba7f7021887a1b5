"""What a reader of a study has to know before trusting its numbers, and what cannot be shown because files are missing."""

from __future__ import annotations

from nas.analysis.baseline import baseline_warning
from nas.analysis.dataset_summary import leak_warnings
from nas.analysis.prediction_quality import missing_note
from nas.analysis.results import Results
from nas.formatting import count


def warning_lines(results: Results) -> list[str]:
    """Leaks, and results no better than a constant answer, a sentence each; empty if the study does not record enough to tell."""
    baseline = baseline_warning(results)
    lines = [*leak_warnings(results.dataset), *([] if baseline is None else [baseline])]
    return [f"Warning: {line}." for line in lines]


def missing_lines(results: Results) -> list[str]:
    """What cannot be shown because files of the study's folder are missing, a sentence each."""
    lines = []
    untested = int(results.front["test_accuracy"].isna().sum())
    if untested:
        lines.append(
            f"Test accuracy is missing for {untested} of {count(len(results.front), 'trial')} on the front:"
            " `nas report` measures it where it finds the study's decoded images (data/) and weights (trials/)."
        )
    note = missing_note(results)
    return lines + ([f"The prediction quality is {note}."] if note else [])
