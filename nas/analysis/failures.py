"""The failed trials of a study, grouped by the reason of their failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.formatting import count
from nas.study.outcomes.failure_kinds import short_reason

if TYPE_CHECKING:  # it imports pandas
    from nas.analysis.results import Results

MAX_SHOWN_TRIALS = 8


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
            groups.setdefault(short_reason(row["failure"]), []).append(int(row["trial"]))
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1]))
    return [FailureGroup(reason, tuple(numbers)) for reason, numbers in ordered]


def failure_summary(results: Results) -> str | None:
    """The failed trials in one line: "3 trials failed: 2 x out of GPU memory (trials 4, 7), ..."; None if none failed."""
    groups = group_failures(results)
    if not groups:
        return None
    number = sum(len(group.trials) for group in groups)
    return f"{count(number, 'trial')} failed: {', '.join(map(str, groups))}"
