"""Optuna's tables, and the trials in them: one query a table for some trials, by plain SQL.

The statements are those of Optuna's own schema `SCHEMA_VERSION` and the same for SQLite and for servers. `?` marks a parameter.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Any, TypeAlias, TypeVar

from optuna.distributions import CategoricalDistribution, IntDistribution, json_to_distribution
from optuna.trial import TrialState

from nas.errors import UsageError
from nas.study.database.connections import Query, Row
from nas.study.trial_record import NO_ATTRIBUTES, LazyAttributes, TrialRecord, damaged_trial

SCHEMA_VERSION = "v3.2.0.a"
"""The version of Optuna's tables that this module reads: those of Optuna 3.2 to 5."""

TRIALS_PER_QUERY = 500
"""Trials whose rows one query reads; servers and SQLite limit the number of parameters."""

EARLIEST = datetime(1970, 1, 1)
"""Earlier times have no number of seconds since 1970 everywhere, and no trial has them."""

Item = TypeVar("Item")
ToValue: TypeAlias = Callable[[float], Any]
_SPECIAL_VALUES = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
_STATES = {state.name: state for state in TrialState}


def studies(query: Query, place: str) -> list[Row]:
    """The rows `(id, name)` of all studies."""
    _check_schema(query, place)
    return query("SELECT study_id, study_name FROM studies ORDER BY study_id", ())


def find_study(query: Query, place: str, name: str | None) -> tuple[int, str, tuple[str, ...]]:
    """The id, the name and the directions of the study `name`, or of the first one."""
    rows = studies(query, place)
    chosen = [row for row in rows if name is None or row[1] == name]
    if not chosen:
        names = ", ".join(repr(row[1]) for row in rows)
        if name is None or not rows:
            raise UsageError(f"{place}: holds no study; remove the folder and search again")
        raise UsageError(f"{place}: holds no study {name!r}; there are {names}")
    study, found = chosen[0]
    directions = query("SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective", (study,))
    return int(study), str(found), tuple(direction.lower() for (direction,) in directions)


def _check_schema(query: Query, place: str) -> None:
    """Raise `UsageError` unless the tables have the schema that this module reads.

    Args:
        query: a transaction.
        place: what the error calls the database.
    """
    versions = [str(version) for (version,) in query("SELECT version_num FROM alembic_version", ())]
    if versions != [SCHEMA_VERSION]:
        found = ", ".join(versions) or "none"
        rule = f"the tables must have the schema {SCHEMA_VERSION} of Optuna 3.2 to 5, found {found}"
        hint = "`optuna storage upgrade` updates older tables, `pip install -U mixfront optuna` reads newer ones"
        raise UsageError(f"{place}: cannot be read as a study: {rule}; {hint}")


def trial_rows(query: Query, study: int, after: int, limit: int | None) -> list[Row]:
    """The rows `(trial_id, number, state, start, end)` of the first `limit` trials of `study` with an id above `after`."""
    suffix = "" if limit is None else f" LIMIT {limit:d}"
    return query(f"{_TRIALS} WHERE study_id = ? AND trial_id > ? ORDER BY trial_id{suffix}", (study, after))


def trial_rows_of(query: Query, study: int, numbers: Sequence[int]) -> list[Row]:
    """Likewise, of the trials with these `numbers`, as far as they exist."""
    rows = []
    for chosen in chunks(numbers):
        marks = _marks(chosen)
        rows += query(f"{_TRIALS} WHERE study_id = ? AND number IN ({marks}) ORDER BY trial_id", (study, *chosen))
    return rows


def trial_rows_of_ids(query: Query, ids: Sequence[int]) -> list[Row]:
    """Likewise, of the trials with these `ids`, which finds them by their key."""
    rows = []
    for chosen in chunks(ids):
        rows += query(f"{_TRIALS} WHERE trial_id IN ({_marks(chosen)}) ORDER BY trial_id", chosen)
    return rows


_TRIALS = "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"


class TrialTables:
    """The content of all tables for some trials, by the id of the trial.

    Args:
        query: a transaction.
        trials: the rows of these trials in the table of trials, at most `TRIALS_PER_QUERY`.
    """

    def __init__(self, query: Query, trials: Sequence[Row]) -> None:
        self._query = query
        self._ids = [row[0] for row in trials]
        self._faults: dict[int, str] = {}
        """Id of a trial whose rows cannot be read -> why."""
        self._values = self._numbers("objective, value, value_type FROM trial_values")
        self._intermediate_values = self._numbers(
            "step, intermediate_value, intermediate_value_type FROM trial_intermediate_values"
        )
        self._params = self._read_params()
        self._user_attributes = self._attributes("trial_user_attributes")
        self._system_attributes = self._attributes("trial_system_attributes")

    def record(self, row: Row) -> TrialRecord:
        """The trial of `row`, one of `trials`; one that Optuna cannot have written is a failed one that says so."""
        trial, number, state, start, end = row
        if state not in _STATES:
            self._faults.setdefault(trial, f"its state must be one of {', '.join(_STATES)}, found {state!r}")
        if trial in self._faults:
            return damaged_trial(number, self._faults[trial])
        return TrialRecord(
            number,
            _STATES[state],
            list(self._values[trial].values()) if trial in self._values else None,
            self._params.get(trial, {}),
            LazyAttributes(self._user_attributes.get(trial, {})),
            LazyAttributes(self._system_attributes[trial]) if trial in self._system_attributes else NO_ATTRIBUTES,
            self._intermediate_values.get(trial, {}),
            local_time(start),
            local_time(end),
        )

    def digest(self, row: Row) -> int:
        """A number that differs between two states of the trial of `row`, within this process."""
        tables: tuple[Mapping[int, Mapping[Any, Any]], ...] = (
            self._values,
            self._intermediate_values,
            self._user_attributes,
            self._system_attributes,
        )
        params = repr(self._params.get(row[0]))  # values of parameters need not be hashable
        return hash((row, params, *(tuple(table.get(row[0], {}).items()) for table in tables)))

    def _numbers(self, columns: str) -> dict[int, dict[int, float]]:
        """Key (objective or step) -> value, of each trial that has any."""
        numbers: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for trial, key, value, kind in self._rows(columns, "trial_id, 2"):
            try:
                numbers[trial][int(key)] = float(value) if kind == "FINITE" else _SPECIAL_VALUES[kind]
            except (KeyError, TypeError, ValueError):
                self._faults[trial] = f"a value must be a number, found {value!r} of type {kind!r} at {key!r}"
        return dict(numbers)

    def _read_params(self) -> dict[int, dict[str, Any]]:
        """Parameter -> value, of each trial that has any, in the order in which they were chosen."""
        params: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        columns = "param_name, param_value, distribution_json FROM trial_params"
        for trial, name, value, text in self._rows(columns, "param_id"):
            try:
                params[trial][intern(name)] = _to_value(text)(value)
            except (KeyError, IndexError, TypeError, ValueError, OverflowError, RecursionError, Warning):
                self._faults[trial] = f"the parameter {name!r} must have a value of its distribution, found {value!r}"
        return dict(params)

    def _attributes(self, table: str) -> dict[int, dict[str, str]]:
        """Attribute -> JSON, of each trial that has any."""
        attributes: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for trial, name, text in self._rows(f"{table}.key, value_json FROM {table}", "trial_id"):
            if isinstance(name, str) and isinstance(text, str):
                attributes[trial][intern(name)] = text
            else:
                self._faults[trial] = f"the attribute {name!r} must be text, found {text!r}"
        return dict(attributes)

    def _rows(self, columns: str, order: str) -> list[Row]:
        """The rows of the trials, as `trial_id` and `columns`."""
        sql = f"SELECT trial_id, {columns} WHERE trial_id IN ({_marks(self._ids)}) ORDER BY {order}"
        return self._query(sql, self._ids)


def chunks(items: Sequence[Item]) -> list[Sequence[Item]]:
    """`items` in parts of at most `TRIALS_PER_QUERY`."""
    return [items[start : start + TRIALS_PER_QUERY] for start in range(0, len(items), TRIALS_PER_QUERY)]


def _marks(items: Sequence[int]) -> str:
    return ", ".join("?" * len(items))


@lru_cache(maxsize=4096)
def _to_value(text: str) -> ToValue:
    """A function that maps a number in the table of parameters to the value; `text` is the JSON of the distribution."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of choices that are no plain values
        distribution = json_to_distribution(text)
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return lambda number: choices[int(number)]
    return int if isinstance(distribution, IntDistribution) else float


def local_time(stored: object) -> datetime | None:
    """The time `stored` (UTC; text in SQLite) in local time, as Optuna returns it; None for what is no time of a trial."""
    if stored is None:
        return None
    try:
        moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(str(stored))
        return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if moment >= EARLIEST else None
    except (ValueError, OverflowError):
        return None
