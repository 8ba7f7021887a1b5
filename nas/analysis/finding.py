"""A finding about the health of a study: a verdict, and what it means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["good", "warn", "bad", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One card of the health of a study.

    Args:
        key: a name for scripts, the same in all studies.
        title: what was looked at.
        verdict: "good", "warn" (look at it), "bad" (results cannot be trusted, or time is wasted) or "unknown" (too few data).
        value: the number that decides, as short text.
        text: one or two sentences: what it means, and what to do.
    """

    key: str
    title: str
    verdict: Verdict
    value: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON with the names of the fields."""
        return asdict(self)


def grade(value: float, warn: float, bad: float) -> Verdict:
    """The verdict on a `value`: from the bound `warn` on, and from `bad` on. If `bad` is below `warn`, low values are bad."""
    sign = 1.0 if bad >= warn else -1.0
    if sign * value >= sign * bad:
        return "bad"
    return "warn" if sign * value >= sign * warn else "good"
