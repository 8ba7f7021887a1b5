"""The role of each column of a table: choice, objective, feature known before training, or none.

**Objectives** are written as `NAME:max` or `NAME:min`, with `:cheap` if the value is known before training and `:log` if
ratios matter; a well-known name is enough alone. If no objective is given, the well-known columns are used: one of accuracy,
one of compute and one of measured speed, if the table has them.

**Choices**, if none is given, are the columns that look like a choice (text with repeated values, or numbers with few
values), or else the parts of a key. A key is split at separators (`|conv3~0|+|skip~0|conv1~1|`, `3-5-7`), into the elements
of a JSON list, or into characters (`02012100`).

**Features** are costs known before training that are not objectives, such as parameters next to MACs; a sampler may use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from nas.bench.choices import choice_values, looks_like_choice, split_key
from nas.bench.table_file import KEY_COLUMN, RawTable, is_missing
from nas.errors import ConfigError, UnknownNameError
from nas.objectives import Direction, Objective, Source

_ACCURACIES = ("accuracy", "val_accuracy", "validation_accuracy", "val_acc", "valid_acc", "test_accuracy", "test_acc",
               "mean_acc", "acc", "top1", "top1_acc")  # fmt: skip
_ERRORS = ("error", "val_error", "valid_error", "test_error")
_COMPUTE = ("macs", "flops")
_SIZES = ("params", "parameters", "num_params", "n_params")
_SPEEDS = ("images_per_s", "throughput", "fps")
_LATENCIES = ("latency", "latency_s", "latency_ms")
_KEY_COLUMNS = (KEY_COLUMN, "arch", "architecture", "arch_str", "arch_string", "genotype", "encoding", "cell")


def _well_known_objectives() -> dict[str, Objective]:
    table: dict[str, Objective] = {}
    rows: tuple[tuple[tuple[str, ...], Direction, bool, Source], ...] = (
        (_ACCURACIES, "maximize", False, "trained"),
        (_ERRORS, "minimize", False, "trained"),
        (_COMPUTE, "minimize", True, "cost"),
        (_SIZES, "minimize", True, "cost"),
        (_SPEEDS, "maximize", True, "trained"),
        (_LATENCIES, "minimize", True, "trained"),
    )
    for names, direction, log, source in rows:
        table |= {name: Objective(name, name, "", direction, log, source) for name in names}
    return table


WELL_KNOWN_OBJECTIVES: Final[Mapping[str, Objective]] = _well_known_objectives()
"""Lower-case column name -> objective."""
_DEFAULT_OBJECTIVES = (_ACCURACIES + _ERRORS, _COMPUTE + _SIZES, _SPEEDS + _LATENCIES)


@dataclass(frozen=True)
class ColumnOptions:
    """The column roles that the user gives; empty ones are guessed from the table.

    Args:
        objectives: `NAME`, or `NAME:max|min[:cheap][:log]`.
        choices: names of columns.
        key: the column whose text is split into choices.
        features: names of columns.
    """

    objectives: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    key: str | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnRoles:
    """The roles of the columns of a table.

    Args:
        objectives: the objectives in order; each has the name of its column.
        choices: choice -> its value in each row.
        features: names of columns.
        ignored: names of the other columns.
    """

    objectives: tuple[Objective, ...]
    choices: Mapping[str, Sequence[Any]]
    features: tuple[str, ...]
    ignored: tuple[str, ...]


def assign_roles(raw: RawTable, options: ColumnOptions) -> ColumnRoles:
    """Assign the roles of the columns of `raw`.

    Raises:
        ConfigError: no objective needs training, there is no choice, or one of `options` breaks a rule.
        UnknownNameError: the table has no column of a given name.
    """
    objectives = _choose_objectives(raw, options.objectives)
    objective_names = {objective.name for objective in objectives}
    features = _choose_features(raw, options.features, objective_names)
    value_columns = objective_names | set(features)
    if options.key is not None and options.choices:
        raise ConfigError("--choice, --key", "must not be given together, found both")
    if options.key is not None:
        source: tuple[str, ...] = (_require_column(raw, options.key, "--key"),)
        choices: Mapping[str, Sequence[Any]] = split_key(raw, options.key)
    else:
        source, choices = _find_choices(raw, options.choices, value_columns)
    if both := value_columns & set(source):
        raise ConfigError(
            "--choice, --key", f"a column must have one role, found {min(both)!r} as a choice and as a value"
        )
    ignored = tuple(name for name in raw.columns if name not in value_columns and name not in source)
    return ColumnRoles(objectives, choices, features, ignored)


def _choose_objectives(raw: RawTable, options: Sequence[str]) -> tuple[Objective, ...]:
    if options:
        objectives = tuple(_parse_objective(raw, option) for option in options)
    else:
        objectives = tuple(objective for names in _DEFAULT_OBJECTIVES for objective in _first_present(raw, names))
    names = [objective.name for objective in objectives]
    if len(set(names)) < len(names):
        raise ConfigError("--objective", f"must name each objective once, found {', '.join(names)}")
    if all(objective.cheap for objective in objectives):
        rule = "at least one objective must need training (NAME:max or NAME:min, without :cheap)"
        raise ConfigError(
            str(raw.file), f"{rule}; none of the columns {', '.join(raw.columns)} is known to need training"
        )
    return objectives


def _parse_objective(raw: RawTable, option: str) -> Objective:
    name, *rest = option.split(":")
    _require_column(raw, name, "--objective")
    if not rest:
        if name.lower() not in WELL_KNOWN_OBJECTIVES:
            rule = f"{name!r} is not a well-known objective: give {name}:max or {name}:min, with :cheap and :log where they apply"
            raise ConfigError(f"--objective {option}", rule)
        return _well_known_objective(name)
    direction, *flags = rest
    if direction not in ("max", "min") or not set(flags) <= {"cheap", "log"}:
        raise ConfigError(f"--objective {option}", "must be NAME, or NAME:max|min[:cheap][:log]")
    return Objective(
        name,
        name,
        unit="",
        direction="maximize" if direction == "max" else "minimize",
        log="log" in flags,
        source="cost" if "cheap" in flags else "trained",
    )


def _first_present(raw: RawTable, names: Iterable[str]) -> list[Objective]:
    present = {name.lower(): name for name in raw.columns}
    return [_well_known_objective(present[name]) for name in names if name in present][:1]


def _well_known_objective(name: str) -> Objective:
    return replace(WELL_KNOWN_OBJECTIVES[name.lower()], name=name, label=name)


def _choose_features(raw: RawTable, names: Sequence[str], objectives: set[str]) -> tuple[str, ...]:
    if names:
        if both := objectives & set(names):
            raise ConfigError(
                "--feature", f"a column must have one role, found {min(both)!r} as a feature and as an objective"
            )
        return tuple(dict.fromkeys(_require_column(raw, name, "--feature") for name in names))
    well_known = [name for name in raw.columns if name.lower() in WELL_KNOWN_OBJECTIVES]
    costs = [name for name in well_known if WELL_KNOWN_OBJECTIVES[name.lower()].cheap]
    return tuple(name for name in costs if name not in objectives and not any(map(is_missing, raw.columns[name])))


def _require_column(raw: RawTable, name: str, option: str) -> str:
    if name not in raw.columns:
        raise UnknownNameError(option, "column", name, raw.columns)
    return name


def _find_choices(
    raw: RawTable, names: Sequence[str], value_columns: set[str]
) -> tuple[tuple[str, ...], dict[str, Sequence[Any]]]:
    """Find the source columns of the choices, and the choices."""
    if names:
        columns = tuple(_require_column(raw, name, "--choice") for name in names)
        return columns, {name: choice_values(raw, name) for name in columns}
    free = [name for name in raw.columns if name not in value_columns and name.lower() not in WELL_KNOWN_OBJECTIVES]
    choice_like = tuple(
        name for name in free if not (raw.keyed and name == KEY_COLUMN) and looks_like_choice(raw.columns[name])
    )
    if choice_like:
        return choice_like, {name: choice_values(raw, name) for name in choice_like}
    for name in free:
        if name.lower() in _KEY_COLUMNS:
            return (name,), split_key(raw, name)
    rule = "no column looks like a choice (text with repeated values, or numbers with few values) and none is a key"
    raise ConfigError(
        str(raw.file), f"{rule}: name them with --choice or --key; the columns are {', '.join(raw.columns)}"
    )
