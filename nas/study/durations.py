"""Durations as users write them: `90`, `90s`, `30m`, `2h`, `1h30m`, `1d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS_S = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_NAMES = {"d": "d|days?", "h": "h|hours?", "m": "m|min|minutes?", "s": "s|sec|seconds?"}
_PATTERN = re.compile(
    "".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*(?:{names})\s*)?" for unit, names in _NAMES.items()), re.ASCII
)
MAX_S = 10 * 365 * 86_400
"""Longer than any search; longer durations overflow the clocks of some systems."""


def parse_duration(given: Any) -> timedelta:
    """A duration: a number of seconds, or numbers with units, the larger unit first: `1h30m`, `1.5 h`, `2 days`.

    Raises:
        ValueError: `given` has another form, or is not above 0.
    """
    seconds = _seconds(given)
    if seconds is None or not 0 < seconds <= MAX_S:
        raise ValueError(
            f"must be a duration such as 90s, 30m, 2h, 1h30m or 1d, above 0 and at most 3650d, found {given}"
        )
    return timedelta(seconds=seconds)


def duration_word(duration: timedelta) -> str:
    """The inverse of `parse_duration`: `1h30m`."""
    left, words = duration.total_seconds(), ""
    for unit in ("d", "h", "m"):
        number, left = divmod(left, _UNITS_S[unit])
        words += f"{number:.0f}{unit}" if number else ""
    return words + (f"{left:g}s" if left or not words else "")


def _seconds(given: Any) -> float | None:
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    if not isinstance(given, str):
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text := given.strip().lower()):
        return float(text)
    parts = _PATTERN.fullmatch(text)
    if parts is None or not text:
        return None
    return sum(float(number) * _UNITS_S[unit] for unit, number in parts.groupdict().items() if number)


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_word)]
"""A field of a configuration; as plain JSON it is text."""
