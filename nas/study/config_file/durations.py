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


def parse_duration(value: Any) -> timedelta:
    """A duration: a number of seconds, or numbers with units, the larger unit first: `1h30m`, `1.5 h`, `2 days`.

    Raises:
        ValueError: `value` has another form, or is not above 0.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= MAX_S:
        raise ValueError(
            f"must be a duration such as 90s, 30m, 2h, 1h30m or 1d, above 0 and at most 3650d, found {value}"
        )
    return timedelta(seconds=seconds)


def duration_word(duration: timedelta) -> str:
    """The inverse of `parse_duration`: `1h30m`."""
    rest_s, words = duration.total_seconds(), ""
    for unit in ("d", "h", "m"):
        number, rest_s = divmod(rest_s, _UNITS_S[unit])
        words += f"{number:.0f}{unit}" if number else ""
    return words + (f"{rest_s:g}s" if rest_s or not words else "")


def _seconds(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text := value.strip().lower()):
        return float(text)
    parts = _PATTERN.fullmatch(text)
    if parts is None or not text:
        return None
    return sum(float(number) * _UNITS_S[unit] for unit, number in parts.groupdict().items() if number)


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_word)]
"""A field of a configuration; as plain JSON it is text."""
