"""Tables of users that say something about each image: its group, or its split. No torch.

    CSV, TSV    a header with the columns `path` and `group` (or `split`), a row for each image; other columns are ignored.
                The separator is a comma, a semicolon or a tab; a path that has it is quoted.
    JSON        {"train": ["cat/1.png", ...], "val": [...], "test": [...]}, from value to paths

A path is relative to the folder of the data (`data.path`), with slashes, as in `cat/1.png` or `train/cat/1.png`; an absolute
path within that folder is the same, and backslashes may take the place of all slashes. Files are UTF-8.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainers.data.types import relative_name
from trainers.disk import error_kind
from trainers.errors import DataError
from trainers.input_files import read_input
from trainers.json_text import parse_json

TABLE_SUFFIXES = (".csv", ".tsv", ".json")
SHOWN_NAMES = 3
"""Names that an error lists."""


@dataclass(frozen=True)
class Table:
    """A table of paths and values.

    Args:
        key: the key of the configuration that names it, for errors.
        file: the file.
        values: path -> value.
        lines: path -> its line, from 1; 0 in JSON.
    """

    key: str
    file: Path
    values: Mapping[str, str]
    lines: Mapping[str, int]

    @classmethod
    def read(cls, key: str, file: Path, column: str) -> Table:
        """Read the table in `file`, whose values are in the column called `column`.

        Raises:
            DataError: the file cannot be read, is no such table, or gives a path two values.
        """
        table = cls(key, file, {}, {})
        values: dict[str, str] = {}
        lines: dict[str, int] = {}
        for line, path, value in _read_lines(table, column):
            if not path or not value:
                raise table.error(f"must give a path and a {column}", [path, value], line)
            if values.setdefault(path, value) != value:
                raise table.error(f"{path} has the {column} {values[path]!r} {_in_line(lines[path])}", value, line)
            lines.setdefault(path, line)
        return cls(key, file, values, lines)

    def error(self, rule: str, value: object = None, line: int = 0) -> DataError:
        """An error about the table, or about a line of it."""
        return DataError(self.key, f"{self.file}{f':{line}' if line else ''}: {rule}", value)

    def within(self, root: str) -> Table:
        """The same table with paths relative to the folder `root`.

        Raises:
            DataError: two paths are the same image, and have two values.
        """
        return self._renamed(lambda path: _relative(path, root))

    def spelled_as(self, names: Collection[str]) -> Table:
        """The same table, in which a path that is one of the `names` of images but for the blanks around it is without them.

        A folder may begin with a blank, and a column may have blanks around its cells.

        Raises:
            DataError: two paths are the same image, and have two values.
        """
        return self._renamed(lambda path: path.strip() if path not in names and path.strip() in names else path)

    def _renamed(self, rename: Callable[[str], str]) -> Table:
        values: dict[str, str] = {}
        lines: dict[str, int] = {}
        for path, value in self.values.items():
            name, line = rename(path), self.lines[path]
            if values.setdefault(name, value) != value:
                raise self.error(f"{name} has the value {values[name]!r} {_in_line(lines[name])}", value, line)
            lines.setdefault(name, line)
        return Table(self.key, self.file, values, lines)

    def check_rows(self, names: Collection[str], left_out: Path | None = None) -> None:
        """Check that every row names an image.

        Args:
            names: the names of all images.
            left_out: a folder whose files rows may name too, because broken images are left out; None: they may not.

        Raises:
            DataError: some rows do not.
        """
        unknown = [path for path in self.values if path not in names]
        if left_out is not None:
            unknown = [
                path for path in unknown if not any((left_out / name).is_file() for name in (path, path.strip()))
            ]
        if unknown:
            like = next(iter(names), "")
            rule = f"{len(unknown)} of {len(self.values)} paths name no image of the data (its names are like {like!r})"
            raise self.error(rule, listed(unknown), self.lines[unknown[0]])


def _in_line(line: int) -> str:
    return f"in line {line}" if line else "as well"  # JSON has no lines


def _read_lines(table: Table, column: str) -> Iterator[tuple[int, str, str]]:
    """Line, path and value of each row."""
    try:
        text = read_input(table.file).decode("utf-8-sig")
    except OSError as error:
        raise error_kind(error)(table.key, f"{table.file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise table.error(f"must be UTF-8 ({error.reason} at byte {error.start})") from None
    return _json_lines(table, text) if table.file.suffix.lower() == ".json" else _csv_lines(table, text, column)


def _json_lines(table: Table, text: str) -> Iterator[tuple[int, str, str]]:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise table.error(f"must be JSON ({error})") from None
    lists = content if isinstance(content, dict) else {}
    if not lists or not all(isinstance(p, list) and all(isinstance(i, str) for i in p) for p in lists.values()):
        raise table.error('must be of the form {"train": ["cat/1.png", ...], ...}')
    for value, paths in lists.items():
        yield from ((0, _normal(path), value) for path in paths)


def _csv_lines(table: Table, text: str, column: str) -> Iterator[tuple[int, str, str]]:
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in ("path", column) if names.count(name) != 1]
        if missing:
            raise table.error(f"must begin with a header that has one column {missing[0]!r}", names, 1)
        path, value = names.index("path"), names.index(column)
        for row in rows:
            if row and len(row) != len(names):
                rule = f"must have {len(names)} columns (a path with the separator {separator!r} is quoted)"
                raise table.error(rule, len(row), rows.line_num)
            if row:
                yield rows.line_num, _normal(row[path]), row[value].strip()
    except csv.Error as error:
        raise table.error(f"must be CSV ({error})", None, rows.line_num) from None


def listed(names: Iterable[str]) -> str:
    """The first of `names` as text."""
    every = list(names)
    return ", ".join(every[:SHOWN_NAMES]) + (", ..." if len(every) > SHOWN_NAMES else "")


def _normal(path: str) -> str:
    """`path` without `./`, with slashes if it has backslashes alone; empty if it is blank."""
    if "/" not in path:
        path = path.replace("\\", "/")  # a table written on Windows
    return posixpath.normpath(path) if path.strip() else ""


def _relative(path: str, root: str) -> str:
    stripped = path.strip()
    if not Path(stripped).is_absolute():
        return posixpath.normpath(stripped) if stripped.startswith("./") else path
    real = stripped if stripped.startswith(root + os.sep) else os.path.realpath(stripped)
    return relative_name(real, root)
