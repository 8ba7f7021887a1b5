"""Reads the choices of an architecture from the columns of a table: one column per choice, or a key for all choices."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from nas.bench.table_file import RawTable

MAX_GUESSED_CHOICE_VALUES = 32  # a column of numbers with more values is a choice only if the user says so


def looks_like_choice(cells: Sequence[Any]) -> bool:
    """True for text with repeated values, and for numbers with few values."""
    if any(not isinstance(cell, str | int | float) or _is_missing_choice(cell) for cell in cells):
        return False
    count = len(set(cells))
    if as_numbers(cells) is None:
        return 1 < count < len(cells)
    return 1 < count <= min(MAX_GUESSED_CHOICE_VALUES, len(cells) // 2)


def as_numbers(cells: Sequence[Any]) -> list[Any] | None:
    """`cells` as numbers, as integers if all are; None if a cell is not a number, or is a code such as `007`."""
    numbers: list[Any] = []
    for cell in cells:
        if isinstance(cell, bool):
            return None
        try:
            value = float(cell)
        except (ValueError, OverflowError):
            return None
        if isinstance(cell, str) and re.fullmatch(r"-?(0|[1-9]\d*)(\.\d*)?(e[+-]?\d+)?", cell.lower()) is None:
            return None
        numbers.append(value)
    return [int(value) for value in numbers] if all(value.is_integer() for value in numbers) else numbers


def choice_values(raw: RawTable, name: str) -> Sequence[Any]:
    """The values of a choice in each row: numbers if all cells are numbers, else the cells.

    Raises:
        ConfigError: a cell is missing or of another type than the others.
    """
    cells = raw.columns[name]
    for row, cell in enumerate(cells):
        if _is_missing_choice(cell):
            raise raw.error(row, name, "a choice must not be missing")
        if not _is_finite(cell):
            raise raw.error(row, name, "a number that is a choice must be finite")
        if not isinstance(cell, str | int | float):
            raise raw.error(row, name, "a choice must be text, a number, true or false (a list goes with --key)")
        if isinstance(cell, bool) != isinstance(cells[0], bool):
            raise raw.error(row, name, "a choice must be true or false in every row or in none")
    return as_numbers(cells) or cells


def _is_missing_choice(cell: Any) -> bool:
    """True if the value of a choice is missing; the text `none` is a value in many search spaces."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _is_finite(cell: Any) -> bool:
    """False for infinity and for an integer that is larger than any float."""
    try:
        return not isinstance(cell, int | float) or math.isfinite(cell)
    except OverflowError:
        return False


def split_key(raw: RawTable, name: str) -> dict[str, Sequence[Any]]:
    """Split the cells of column `name` into the choices `NAME.0`, `NAME.1`, ...

    Raises:
        ConfigError: a cell is neither text nor a list, or has another number of parts than the first.
    """
    cells = [str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell for cell in raw.columns[name]]
    for row, cell in enumerate(cells):
        if not isinstance(cell, str | list) or not cell:
            raise raw.error(row, name, "a key must be text or a list of choices")
    parts = [_parts(cell) for cell in cells]
    if any(len(row_parts) != len(parts[0]) for row_parts in parts) or len(parts[0]) == 1:
        parts = [[str(part) for part in cell] for cell in cells]
    for row, row_parts in enumerate(parts):
        if len(row_parts) != len(parts[0]):
            raise raw.error(
                row, name, f"a key must have {len(parts[0])} parts like the first key, not {len(row_parts)}"
            )
    return {f"{name}.{i}": column for i, column in enumerate(zip(*parts, strict=True))}


def _parts(cell: Any) -> list[str]:
    return [str(part) for part in cell] if isinstance(cell, list) else [p for p in re.split(r"[|+,;:/\s-]+", cell) if p]
