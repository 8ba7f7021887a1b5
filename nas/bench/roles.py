"""What each column of a table is: a choice, an objective, something else that is known before training, or nothing.

**Objectives** are named as `NAME:max` or `NAME:min`, with `:cheap` if the value is known before training and `:log` if
ratios matter; a name that is well known needs no more than itself. Where none is named, the well-known columns are taken: one
of accuracy, one of compute, one of measured speed, as far as they are there.

**Choices** are, where none is named: the columns that look like one (text, not all different; or numbers of few values), or
else a key that spells the choices out, by separators (`|conv3~0|+|skip~0|conv1~1|`, `3-5-7`), by elements of a JSON list, or
character by character (`02012100`).

**Features** are known costs that are no objective, such as parameters beside MACs: a sampler may learn from them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from nas.bench.reading import KEY, Raw, is_absent
from nas.errors import ConfigError
from nas.objectives import Objective
from search_space.errors import unknown_name

LEVELS = 32  # a column of numbers with more values than that is no choice unless it is named as one

_ACCURACIES = ("accuracy", "val_accuracy", "validation_accuracy", "val_acc", "valid_acc", "test_accuracy", "test_acc",
               "mean_acc", "acc", "top1", "top1_acc")  # fmt: skip
_ERRORS = ("error", "val_error", "valid_error", "test_error")
_COMPUTE = ("macs", "flops")
_SIZES = ("params", "parameters", "num_params", "n_params")
_SPEEDS = ("images_per_s", "throughput", "fps")
_LATENCIES = ("latency", "latency_s", "latency_ms")
_KEYS = (KEY, "arch", "architecture", "arch_str", "arch_string", "genotype", "encoding", "cell")


def _known() -> dict[str, Objective]:
    found: dict[str, Objective] = {}
    for names, direction, cheap, log in (
        (_ACCURACIES, "maximize", False, False),
        (_ERRORS, "minimize", False, False),
        (_COMPUTE, "minimize", True, True),
        (_SIZES, "minimize", True, True),
        (_SPEEDS, "maximize", False, True),
        (_LATENCIES, "minimize", False, True),
    ):
        source = "cost" if cheap else "trained"
        found |= {name: Objective(name, name, "", direction, log, source) for name in names}  # type: ignore[arg-type]
    return found


KNOWN: Final[Mapping[str, Objective]] = _known()
"""The well-known columns, in small letters, as objectives."""
_DEFAULT = (_ACCURACIES + _ERRORS, _COMPUTE + _SIZES, _SPEEDS + _LATENCIES)


@dataclass(frozen=True)
class Wanted:
    """What the user says of the columns; empty where the table has to speak for itself.

    Args:
        objectives: as `NAME`, or `NAME:max|min[:cheap][:log]`.
        choices: names of columns.
        key: the column whose text spells the choices out.
        features: names of columns.
    """

    objectives: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    key: str | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are.

    Args:
        objectives: in order; the name of each is that of its column.
        choices: choice -> its value in each row.
        features: names of columns.
        ignored: names of the rest.
    """

    objectives: tuple[Objective, ...]
    choices: Mapping[str, Sequence[Any]]
    features: tuple[str, ...]
    ignored: tuple[str, ...]


def roles_of(raw: Raw, wanted: Wanted) -> Roles:
    """The roles of the columns of `raw`.

    Raises:
        ConfigError: there is nothing to train for, or nothing to choose, or a word of `wanted` breaks a rule.
        UnknownNameError: a column that is named and is not there.
    """
    objectives = _objectives(raw, wanted.objectives)
    named = {objective.name for objective in objectives}
    features = _features(raw, wanted.features, named)
    taken = named | set(features)
    if wanted.key is not None and wanted.choices:
        raise ConfigError("--choice, --key", "one of them at a time")
    if wanted.key is not None:
        source: tuple[str, ...] = (_column(raw, wanted.key, "--key"),)
        choices: Mapping[str, Sequence[Any]] = spelled(raw, wanted.key)
    else:
        source, choices = _choices(raw, wanted.choices, taken)
    if both := taken & set(source):
        raise ConfigError("--choice, --key", f"a column must have one role, {min(both)!r} is a value already")
    ignored = tuple(name for name in raw.columns if name not in taken and name not in source)
    return Roles(objectives, choices, features, ignored)


def _objectives(raw: Raw, words: Sequence[str]) -> tuple[Objective, ...]:
    if words:
        found = tuple(_objective(raw, word) for word in words)
    else:
        found = tuple(objective for names in _DEFAULT for objective in _first(raw, names))
    names = [objective.name for objective in found]
    if len(set(names)) < len(names):
        raise ConfigError("--objective", f"must name each objective once, found {', '.join(names)}")
    if all(objective.cheap for objective in found):
        rule = "an objective must be left that training measures (NAME:max or NAME:min, without :cheap)"
        raise ConfigError(str(raw.file), f"{rule}; of the columns {', '.join(raw.columns)} none is known as such")
    return found


def _objective(raw: Raw, word: str) -> Objective:
    name, *rest = word.split(":")
    _column(raw, name, "--objective")
    if not rest:
        if name.lower() not in KNOWN:
            rule = (
                f"{name!r} is not a well-known objective: say {name}:max or {name}:min, with :cheap and :log as need be"
            )
            raise ConfigError(f"--objective {word}", rule)
        return _named(name)
    direction, *flags = rest
    if direction not in ("max", "min") or not set(flags) <= {"cheap", "log"}:
        raise ConfigError(f"--objective {word}", "must be NAME, or NAME:max|min[:cheap][:log]")
    way = "maximize" if direction == "max" else "minimize"
    return Objective(name, name, "", way, "log" in flags, "cost" if "cheap" in flags else "trained")  # type: ignore[arg-type]


def _first(raw: Raw, names: Iterable[str]) -> list[Objective]:
    present = {name.lower(): name for name in raw.columns}
    return [_named(present[name]) for name in names if name in present][:1]


def _named(name: str) -> Objective:
    return replace(KNOWN[name.lower()], name=name, label=name)


def _features(raw: Raw, names: Sequence[str], objectives: set[str]) -> tuple[str, ...]:
    if names:
        if both := objectives & set(names):
            raise ConfigError("--feature", f"a column must have one role, {min(both)!r} is an objective already")
        return tuple(dict.fromkeys(_column(raw, name, "--feature") for name in names))
    costs = [name for name in raw.columns if name.lower() in KNOWN and KNOWN[name.lower()].cheap]
    return tuple(name for name in costs if name not in objectives and not any(map(is_absent, raw.columns[name])))


def _column(raw: Raw, name: str, option: str) -> str:
    if name not in raw.columns:
        raise unknown_name(option, "column", name, raw.columns)
    return name


def _choices(raw: Raw, names: Sequence[str], taken: set[str]) -> tuple[tuple[str, ...], dict[str, Sequence[Any]]]:
    """The columns that the choices come from, and the choices."""
    if names:
        columns = tuple(_column(raw, name, "--choice") for name in names)
        return columns, {name: _levelled(raw, name) for name in columns}
    free = [name for name in raw.columns if name not in taken and name.lower() not in KNOWN]
    alike = tuple(name for name in free if not (raw.keyed and name == KEY) and _looks_like_choice(raw.columns[name]))
    if alike:
        return alike, {name: _levelled(raw, name) for name in alike}
    for name in free:
        if name.lower() in _KEYS:
            return (name,), spelled(raw, name)
    rule = "no column looks like a choice (text that is not all different, or numbers of few values) and none is a key"
    raise ConfigError(
        str(raw.file), f"{rule}: name them with --choice or --key; the columns are {', '.join(raw.columns)}"
    )


def _looks_like_choice(cells: Sequence[Any]) -> bool:
    if any(not isinstance(cell, str | int | float) or _is_gap(cell) for cell in cells):
        return False
    count = len(set(cells))
    if as_numbers(cells) is None:
        return 1 < count < len(cells)
    return 1 < count <= min(LEVELS, len(cells) // 2)


def as_numbers(cells: Sequence[Any]) -> list[Any] | None:
    """`cells` as numbers, whole ones where all are; None if one is no number, or is written as a code is (`007`)."""
    found: list[Any] = []
    for cell in cells:
        if isinstance(cell, bool):
            return None
        try:
            value = float(cell)
        except (ValueError, OverflowError):
            return None
        if isinstance(cell, str) and re.fullmatch(r"-?(0|[1-9]\d*)(\.\d*)?(e[+-]?\d+)?", cell.lower()) is None:
            return None
        found.append(value)
    return [int(value) for value in found] if all(value.is_integer() for value in found) else found


def _levelled(raw: Raw, name: str) -> Sequence[Any]:
    """The values of a choice: numbers if all are, else as they stand."""
    cells = raw.columns[name]
    for row, cell in enumerate(cells):
        if _is_gap(cell):
            raise raw.error(row, name, "a choice must not be missing")
        if not isinstance(cell, str | int | float):
            raise raw.error(row, name, "a choice must be a text, a number or a truth value (a list goes with --key)")
        if isinstance(cell, bool) != isinstance(cells[0], bool):
            raise raw.error(row, name, "a choice must be true or false in every row or in none")
    return as_numbers(cells) or cells


def _is_gap(cell: Any) -> bool:
    """True if a choice is missing; the text `none` is none of that, but a choice of many spaces."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def spelled(raw: Raw, name: str) -> dict[str, Sequence[Any]]:
    """The choices that the cells of column `name` spell out: `NAME.0`, `NAME.1`, ...

    Raises:
        ConfigError: a cell is neither text nor a list, or has another number of parts than the first.
    """
    cells = [str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell for cell in raw.columns[name]]
    for row, cell in enumerate(cells):
        if not isinstance(cell, str | list) or not cell:
            raise raw.error(row, name, "a key must be text or a list that spells the choices out")
    parts = [_parts(cell) for cell in cells]
    if any(len(some) != len(parts[0]) for some in parts) or len(parts[0]) == 1:
        parts = [[str(part) for part in cell] for cell in cells]
    for row, some in enumerate(parts):
        if len(some) != len(parts[0]):
            raise raw.error(
                row, name, f"a key must spell out {len(parts[0])} choices as the first does, not {len(some)}"
            )
    return {f"{name}.{i}": column for i, column in enumerate(zip(*parts, strict=True))}


def _parts(cell: Any) -> list[str]:
    return [str(part) for part in cell] if isinstance(cell, list) else [p for p in re.split(r"[|+,;:/\s-]+", cell) if p]
