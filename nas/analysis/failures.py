"""The failed trials of a study, grouped by the reason of their failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.formatting import count

if TYPE_CHECKING:  # it imports pandas
    from nas.analysis.results import Results

MAX_SHOWN_TRIALS = 8
MAX_REASON_LENGTH = 100

_REASONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("out of GPU memory", re.compile(r"CUDA out of memory|torch\.OutOfMemoryError|^OutOfMemoryError", re.I)),
    ("out of memory", re.compile(r"MemoryError|DefaultCPUAllocator|allocate memory|bad_alloc|not enough memory", re.I)),
    ("an objective missing or not finite", re.compile(r"an objective is missing")),
    ("loss not finite", re.compile(r"not finite|\bnan\b", re.I)),
    ("the worker died, possibly out of memory", re.compile(r"worker died")),
    ("no room on the disk", re.compile(r"no space left|quota exceeded|file too large", re.I)),
    ("CUDA error", re.compile(r"CUDA|cuDNN|cuBLAS")),
)
"""What the reason of a failure is called, and how it is recognised; other reasons are shown as they are."""

_FILE = re.compile(r" \(see trials/.*\)$")


@dataclass(frozen=True)
class FailureGroup:
    """The failed trials with one reason.

    Args:
        reason: what failed, in a few words.
        trials: the numbers of the trials, ascending.
    """

    reason: str
    trials: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: `reason`, `count` and `trials`."""
        return {"reason": self.reason, "count": len(self.trials), "trials": list(self.trials)}

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.trials[:MAX_SHOWN_TRIALS]))
        more = len(self.trials) - MAX_SHOWN_TRIALS
        noun = "trial" if len(self.trials) == 1 else "trials"
        return f"{len(self.trials)} x {self.reason} ({noun} {shown}{f' and {more} more' if more > 0 else ''})"


def group_failures(results: Results) -> list[FailureGroup]:
    """The failed trials that no other trial repeats, by reason, the most frequent first."""
    trials = results.summary
    repeated = {int(number) for number in trials["retried_from"].dropna()}
    groups: dict[str, list[int]] = {}
    for row in trials[trials["state"] == "failed"].to_dict("records"):
        if row["trial"] not in repeated:
            groups.setdefault(short_reason(row), []).append(int(row["trial"]))
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1]))
    return [FailureGroup(reason, tuple(numbers)) for reason, numbers in ordered]


def failure_summary(results: Results) -> str | None:
    """The failed trials in one line: "3 trials failed: 2 x out of GPU memory (trials 4, 7), ..."; None if none failed."""
    groups = group_failures(results)
    if not groups:
        return None
    number = sum(len(group.trials) for group in groups)
    return f"{count(number, 'trial')} failed: {', '.join(map(str, groups))}"


def short_reason(row: Mapping[Any, Any]) -> str:
    """The reason of the failure of the trial `row`, without what differs between trials."""
    text = _FILE.sub("", str(row["failure"] or "no reason recorded"))
    known = next((reason for reason, pattern in _REASONS if pattern.search(text)), text)
    return known if len(known) <= MAX_REASON_LENGTH else f"{known[: MAX_REASON_LENGTH - 3]}..."
