"""What a reader of a report has to know before trusting its numbers: leaks, and results no better than a constant answer."""

from __future__ import annotations

from nas.analysis.baseline import baseline_warning
from nas.analysis.results import Results
from trainers.data.duplicates import Duplicates
from trainers.data.types import PARTS


def warning_lines(results: Results) -> list[str]:
    """A sentence for each; empty if the study does not record what is needed to tell."""
    lines: list[str] = []
    data = results.dataset
    if data.get("duplicates") and all(isinstance(data.get(part), int) for part in PARTS):
        counts = {part: int(data[part]) for part in PARTS}
        lines += Duplicates.from_dict(data["duplicates"]).warnings(counts)
    baseline = baseline_warning(results)
    lines += [] if baseline is None else [baseline]
    return [f"Warning: {line}." for line in lines]
