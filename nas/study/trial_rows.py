"""Reads Optuna trials by plain SQL, one query a table: what `optuna.storages.RDBStorage` reads through an object mapper.

The statements are those of the schema that `nas.study.tables` names. Trials that have ended come in the compact form of
`nas.study.stored_trial`; the others are ordinary `FrozenTrial`s, which their owner may change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from nas.study.stored_trial import LARGE_ATTRIBUTES, PackedParameters, ParameterTable, StoredTrial
from nas.study.tables import chunks, local_time

Row: TypeAlias = tuple[Any, ...]
STATES = {state.name: state for state in TrialState}
SPECIAL_VALUES = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
OPEN_STATE_NAMES = ("RUNNING", "WAITING")


class TrialRows:
    """Reads trials through a connection.

    Args:
        connection: to the database.
        table: the parameters that were read so far.
        load: reads all user attributes of the trial of an id; compact trials keep it.
    """

    def __init__(
        self, connection: sqlalchemy.Connection, table: ParameterTable, load: Callable[[int], Mapping[str, Any]]
    ) -> None:
        self.connection = connection
        self.table = table
        self.load = load

    def newer(self, study: int, last_id: int) -> list[FrozenTrial]:
        """The trials of `study` with an id above `last_id`, by id."""
        return self._trials(
            self._query(f"{_TRIALS} WHERE study_id = ? AND trial_id > ? ORDER BY trial_id", study, last_id)
        )

    def of_ids(self, ids: Sequence[int]) -> list[FrozenTrial]:
        """The trials of these `ids`, as far as they exist, by id."""
        rows: list[Row] = []
        for chunk in chunks(sorted(ids)):
            rows += self._query(f"{_TRIALS} WHERE trial_id IN ({_marks(chunk)}) ORDER BY trial_id", *chunk)
        return self._trials(rows)

    def study_of(self, trial_id: int) -> int | None:
        """The id of the study of a trial; None if there is no such trial."""
        rows = self._query("SELECT study_id FROM trials WHERE trial_id = ?", trial_id)
        return int(rows[0][0]) if rows else None

    def user_attributes(self, trial_id: int) -> dict[str, Any]:
        """All user attributes of a trial, in the order in which they were first written."""
        return _decode(self._attributes("trial_user_attributes", [trial_id])[trial_id])

    def _trials(self, rows: Sequence[Row]) -> list[FrozenTrial]:
        ended = [row for row in rows if row[2] not in OPEN_STATE_NAMES]
        opened = [row for row in rows if row[2] in OPEN_STATE_NAMES]
        trials: dict[int, FrozenTrial] = {}
        for chunk in chunks(ended):
            trials |= self._read(chunk, self._ended, LARGE_ATTRIBUTES)
        for chunk in chunks(opened):
            trials |= self._read(chunk, self._opened, ())
        return [trials[row[0]] for row in rows]

    def _read(
        self, rows: Sequence[Row], create: Callable[..., FrozenTrial], without: Sequence[str]
    ) -> dict[int, FrozenTrial]:
        """The trials of `rows` by id, which `create` makes; the texts of the attributes `without` are not read."""
        ids = [row[0] for row in rows]
        values = self._numbers("objective, value, value_type FROM trial_values", ids)
        intermediate = self._numbers(
            "step, intermediate_value, intermediate_value_type FROM trial_intermediate_values", ids
        )
        params: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        for trial, name, value, distribution in self._query(
            f"SELECT trial_id, param_name, param_value, distribution_json FROM trial_params "
            f"WHERE trial_id IN ({_marks(ids)}) ORDER BY param_id",
            *ids,
        ):
            params[trial].append((self.table.number(name, distribution), value))
        user = self._attributes("trial_user_attributes", ids, without)
        system = self._attributes("trial_system_attributes", ids)
        return {
            row[0]: create(row, values[row[0]], intermediate[row[0]], params[row[0]], user[row[0]], system[row[0]])
            for row in rows
        }

    def _ended(
        self,
        row: Row,
        values: Mapping[int, float],
        intermediate: Mapping[int, float],
        params: Sequence[tuple[int, float]],
        user: Mapping[str, str | None],
        system: Mapping[str, Any],
    ) -> FrozenTrial:
        trial_id, number, state, start, end = row
        return StoredTrial(
            number,
            STATES[state],
            _in_order(values),
            local_time(start),
            local_time(end),
            intermediate,
            PackedParameters([number for number, _ in params], [value for _, value in params]),
            self.table,
            user,
            system,
            trial_id,
            self.load,
        )

    def _opened(
        self,
        row: Row,
        values: Mapping[int, float],
        intermediate: Mapping[int, float],
        params: Sequence[tuple[int, float]],
        user: Mapping[str, Any],
        system: Mapping[str, Any],
    ) -> FrozenTrial:
        trial_id, number, state, start, end = row
        pairs = [(*self.table.pair(number), value) for number, value in params]
        return FrozenTrial(
            number=number,
            state=STATES[state],
            value=None,
            values=_in_order(values),
            datetime_start=local_time(start),
            datetime_complete=local_time(end),
            params={name: distribution.to_external_repr(value) for name, distribution, value in pairs},
            distributions={name: distribution for name, distribution, _ in pairs},
            user_attrs=_decode(user),
            system_attrs=_decode(system),
            intermediate_values=dict(intermediate),
            trial_id=trial_id,
        )

    def _numbers(self, columns: str, ids: Sequence[int]) -> defaultdict[int, dict[int, float]]:
        """Trial -> key (objective or step) -> value."""
        numbers: defaultdict[int, dict[int, float]] = defaultdict(dict)
        sql = f"SELECT trial_id, {columns} WHERE trial_id IN ({_marks(ids)}) ORDER BY trial_id, 2"
        for trial, key, value, kind in self._query(sql, *ids):
            numbers[trial][key] = float(value) if kind == "FINITE" else SPECIAL_VALUES[kind]
        return numbers

    def _attributes(
        self, table: str, ids: Sequence[int], without: Sequence[str] = ()
    ) -> defaultdict[int, dict[str, str | None]]:
        """Trial -> name -> JSON, or None for the names in `without`."""
        attributes: defaultdict[int, dict[str, str | None]] = defaultdict(dict)
        text = "value_json"
        if without:
            text = f"CASE WHEN {table}.key IN ({_marks(without)}) THEN NULL ELSE value_json END"
        id_column = f"{table[:-1]}_id"  # trial_user_attribute_id
        sql = (
            f"SELECT trial_id, {table}.key, {text} FROM {table} WHERE trial_id IN ({_marks(ids)}) ORDER BY {id_column}"
        )
        for trial, name, value in self._query(sql, *without, *ids):
            attributes[trial][name] = value
        return attributes

    def _query(self, sql: str, *parameters: Any) -> Sequence[Row]:
        """The rows of `sql`, in which `?` marks `parameters`. Not by `sqlalchemy.text`, which parses each statement."""
        if self.connection.dialect.paramstyle != "qmark":
            sql = sql.replace("?", "%s")
        return self.connection.exec_driver_sql(sql, parameters).fetchall()


_TRIALS = "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"


def _marks(items: Sequence[Any]) -> str:
    return ", ".join("?" * len(items))


def _in_order(values: Mapping[int, float]) -> list[float] | None:
    """The values by objective; None if there are none."""
    return [values[objective] for objective in sorted(values)] if values else None


def _decode(texts: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in texts.items() if text is not None}
