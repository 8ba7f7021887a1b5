"""What a reader of a report has to know before trusting its numbers: leaks, and results no better than a constant answer."""

from __future__ import annotations

from nas.analysis.baseline import baseline_warning
from nas.analysis.dataset_summary import leak_warnings
from nas.analysis.results import Results


def warning_lines(results: Results) -> list[str]:
    """A sentence for each; empty if the study does not record what is needed to tell."""
    baseline = baseline_warning(results)
    lines = [*leak_warnings(results.dataset), *([] if baseline is None else [baseline])]
    return [f"Warning: {line}." for line in lines]
