"""Reads the file of a table, CSV or JSON, into columns of raw cells; each row has its place in the file.

    table.csv     a line of column names, then one line per architecture
    table.tsv     the same, separated by tabs
    table.json    [{"kernel": 3, "acc": 91.2}, ...], or {"02012100": {"acc": [91.2, 91.4]}, ...}, whose keys are the column `key`

A CSV cell stays text, since only the role of its column decides its type: `0120` may be a number or four choices.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import ConfigError
from trainers.input_files import read_input
from trainers.json_text import parse_json

KEY_COLUMN = "key"
MAX_NUMBER = 1e100
"""A table with larger numbers has ranges that no float holds."""
_MISSING_TEXTS = ("", "nan", "na", "n/a", "null", "none")


@dataclass(frozen=True)
class RawTable:
    """A table with uninterpreted cells.

    Args:
        file: the file.
        places: the place of each row in the file, `FILE:LINE` or `FILE: row 3`.
        columns: name -> one cell per row; None for a missing cell.
        keyed: True if the rows are the values of a mapping, whose keys are in the column `KEY_COLUMN`.
    """

    file: Path
    places: Sequence[str]
    columns: Mapping[str, Sequence[Any]]
    keyed: bool = False

    def error(self, row: int, column: str, rule: str) -> ConfigError:
        """The error for a cell that breaks `rule`; names the place, the rule and the value."""
        return ConfigError(self.places[row], f"column {column!r}: {rule}, found {_shorten(self.columns[column][row])}")

    def number(self, row: int, column: str) -> float | None:
        """The number in a cell; None if it is missing."""
        return self._number(self.columns[column][row], row, column)

    def numbers(self, row: int, column: str) -> tuple[float | None, ...]:
        """The numbers in a cell, at least one: from a JSON list, or text such as `91.2;91.4`; None for a missing number."""
        cell = self.columns[column][row]
        if isinstance(cell, str) and cell.lstrip().startswith("["):
            try:
                cell = parse_json(cell)
            except ValueError:
                raise self.error(row, column, "must be a list in JSON") from None
        elif isinstance(cell, str) and ";" in cell:
            cell = cell.split(";")
        if not isinstance(cell, list):
            return (self._number(cell, row, column),)
        return tuple(self._number(value, row, column) for value in cell) or (None,)

    def _number(self, value: Any, row: int, column: str) -> float | None:
        if is_missing(value):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.error(row, column, "must be a number")
        try:
            number = float(value)
        except ValueError:
            raise self.error(row, column, "must be a number") from None
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(row, column, "must be finite")
        if abs(number) > MAX_NUMBER:
            raise self.error(row, column, f"must be from {-MAX_NUMBER:g} to {MAX_NUMBER:g}")
        return number


def is_missing(cell: Any) -> bool:
    """True if the cell holds no value."""
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING_TEXTS
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def read_table(file: Path) -> RawTable:
    """Read the table in `file`.

    Raises:
        ConfigError: the file cannot be read or holds no table; the error names the place and the rule.
    """
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".json"):
        raise ConfigError(str(file), f"a table must be a .csv, .tsv or .json file, found {kind or 'no suffix'!r}")
    try:
        text = read_input(file).decode("utf-8-sig")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise ConfigError(str(file), f"a table must be a file that can be read: {reason}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), f"a table must be in UTF-8: {error.reason} at byte {error.start}") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ConfigError(f"{file}:{line}", "a table must be text, found a NUL character")
    raw = _from_json(file, text) if kind == ".json" else _from_csv(file, text, "\t" if kind == ".tsv" else ",")
    if not raw.places:
        raise ConfigError(str(file), "a table must hold at least one architecture, found none")
    return raw


def _from_csv(file: Path, text: str, delimiter: str) -> RawTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    places: list[str] = []
    rows: list[list[str]] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_names(file, names)
        for cells in reader:
            if not cells:
                continue  # a blank line
            if len(cells) != len(names):
                rule = f"a row must have the {len(names)} cells of the first line, found {len(cells)}"
                raise ConfigError(f"{file}:{reader.line_num}", rule)
            places.append(f"{file}:{reader.line_num}")
            rows.append([cell.strip() for cell in cells])
    except csv.Error as error:
        raise ConfigError(f"{file}:{reader.line_num}", f"not CSV: {error}") from None
    return RawTable(file, places, {name: [row[i] for row in rows] for i, name in enumerate(names)})


def _check_names(file: Path, names: Sequence[str]) -> None:
    known: set[str] = set()
    for i, name in enumerate(names):
        if not name:
            raise ConfigError(f"{file}:1", f"a column must have a name, found none for column {i + 1}")
        if name in known:
            raise ConfigError(f"{file}:1", f"column names must be unique, found {name!r} twice")
        known.add(name)


def _from_json(file: Path, text: str) -> RawTable:
    records, keyed = _json_records(file, text)
    keys: set[str | None] = set()
    columns: dict[str, list[Any]] = {KEY_COLUMN: [key for _, _, key in records]} if keyed else {}
    for i, (place, value, key) in enumerate(records):
        if not isinstance(value, _JsonObject):
            raise ConfigError(place, f"must be an object with the columns of an architecture, found {_shorten(value)}")
        if key is not None and key in keys:
            raise ConfigError(place, "keys must be unique, found this one twice")
        keys.add(key)
        row_names: set[str] = set()
        for name, cell in value.pairs:
            if name in row_names or (key is not None and name == KEY_COLUMN):
                raise ConfigError(place, f"column names must be unique, found {name!r} twice")
            row_names.add(name)
            if name not in columns:
                columns[name] = [None] * len(records)
            columns[name][i] = cell
    return RawTable(file, [place for place, _, _ in records], columns, keyed)


def _json_records(file: Path, text: str) -> tuple[list[tuple[str, Any, str | None]], bool]:
    """The place, value and key of each row; and whether the rows have keys."""
    try:
        data = json.loads(text, object_pairs_hook=_JsonObject)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}:{error.lineno}:{error.colno}", f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; a thousand brackets
        raise ConfigError(str(file), f"not JSON that can be read: {error}") from None
    if isinstance(data, _JsonObject):
        return [(f"{file}: {_shorten(key)}", value, key) for key, value in data.pairs], True
    if isinstance(data, list):
        return [(f"{file}: row {i + 1}", value, None) for i, value in enumerate(data)], False
    raise ConfigError(str(file), f"must be a list of objects, or an object of them, found {_shorten(data)}")


class _JsonObject:
    """A JSON object that keeps duplicate names."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def __repr__(self) -> str:
        return repr(dict(self.pairs))


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
