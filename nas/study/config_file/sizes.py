"""Sizes of memory as users write them: `8 GB`, `512MB`, `1.5 GiB`, or a number of bytes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
MAX_BYTES = 2**60


class MemorySize(int):
    """A number of bytes. The type tells it from a plain number, which must not be written as text (`check_types`)."""

    __slots__ = ()


def parse_size(value: Any) -> MemorySize:
    """Bytes: a number, or a number with a unit: `8 GB` (10^9 bytes each), `8 GiB` (2^30), `512 MB`.

    Raises:
        ValueError: `value` has another form, is less than a byte or more than `MAX_BYTES`.
    """
    size = _bytes(value)
    if size is None or not 1 <= size <= MAX_BYTES:
        raise ValueError(
            f"must be a size such as 8 GB or 512 MiB, at most {MAX_BYTES >> 40:,} TiB, found {value!s:.50}"
        )
    return MemorySize(size)


def size_word(size_bytes: int) -> str:
    """The inverse of `parse_size`: `8GB`, `1536MiB`, or the number of bytes."""
    for unit, power in (("GB", 10**9), ("GiB", 2**30), ("MB", 10**6), ("MiB", 2**20)):
        if size_bytes % power == 0:
            return f"{size_bytes // power}{unit}"
    return str(size_bytes)


def _bytes(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    match = _PATTERN.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= 50 else None
    if match is None:
        return None
    return float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()]


Size = Annotated[int, PlainValidator(parse_size), PlainSerializer(size_word, when_used="json")]
"""A field of a configuration, in bytes; as plain JSON it is text."""
