"""Reads Optuna trials by plain SQL, one query a table: what `optuna.storages.RDBStorage` reads through an object mapper.

The statements are those of the schema that `nas.study.database.tables` names. Trials come in the compact form of
`nas.study.database.stored_trial`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy
from optuna.trial import TrialState

from nas.errors import UsageError
from nas.study.database.stored_trial import LARGE_ATTRIBUTES, PackedParameters, ParameterTable, StoredTrial
from nas.study.database.tables import chunks, local_time
from nas.study.trial_record import decode

Row: TypeAlias = tuple[Any, ...]
STATES = {state.name: state for state in TrialState}
SPECIAL_VALUES = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}


class TrialRows:
    """Reads trials through a connection.

    Args:
        connection: to the database.
        table: the parameters that were read so far.
        load: reads all user attributes of the trial of an id; trials keep it.
    """

    def __init__(
        self, connection: sqlalchemy.Connection, table: ParameterTable, load: Callable[[int], Mapping[str, Any]]
    ) -> None:
        self.connection = connection
        self.table = table
        self.load = load

    def newer(self, study: int, last_id: int) -> list[StoredTrial]:
        """The trials of `study` with an id above `last_id`, by id."""
        return self._trials(
            self._query(f"{_TRIALS} WHERE study_id = ? AND trial_id > ? ORDER BY trial_id", study, last_id)
        )

    def of_ids(self, ids: Sequence[int]) -> list[StoredTrial]:
        """The trials of these `ids`, as far as they exist, by id."""
        rows: list[Row] = []
        for chunk in chunks(sorted(ids)):
            rows += self._query(f"{_TRIALS} WHERE trial_id IN ({_marks(chunk)}) ORDER BY trial_id", *chunk)
        return self._trials(rows)

    def user_attributes(self, trial_id: int) -> dict[str, Any]:
        """All user attributes of a trial, in the order in which they were first written."""
        return _decode(self._attributes("trial_user_attributes", [trial_id])[trial_id])

    def _trials(self, rows: Sequence[Row]) -> list[StoredTrial]:
        try:
            return [trial for chunk in chunks(rows) for trial in self._read(chunk)]
        except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
            text = f"{type(error).__name__}: {error}"
            raise UsageError(f"the database holds what Optuna never writes: {text}; `nas doctor` says where") from error

    def _read(self, rows: Sequence[Row]) -> list[StoredTrial]:
        ids = [row[0] for row in rows]
        values = self._numbers("objective, value, value_type FROM trial_values", ids)
        steps = self._numbers("step, intermediate_value, intermediate_value_type FROM trial_intermediate_values", ids)
        numbers, internal_values = self._params(ids)
        user = self._attributes("trial_user_attributes", ids, LARGE_ATTRIBUTES)
        system = self._attributes("trial_system_attributes", ids)
        return [
            StoredTrial(
                number,
                STATES[state],
                list(values[trial].values()) or None,
                local_time(start),
                local_time(end),
                steps[trial],
                PackedParameters(numbers[trial], internal_values[trial]),
                self.table,
                user[trial],
                system[trial],
                trial,
                self.load,
            )
            for trial, number, state, start, end in rows
        ]

    def _params(self, ids: Sequence[int]) -> tuple[Mapping[int, list[int]], Mapping[int, list[float]]]:
        """Trial -> the numbers of its parameters in the table, and their internal values, in the order of their choice."""
        numbers: defaultdict[int, list[int]] = defaultdict(list)
        values: defaultdict[int, list[float]] = defaultdict(list)
        columns = "trial_id, param_name, param_value, distribution_json"
        sql = f"SELECT {columns} FROM trial_params WHERE trial_id IN ({_marks(ids)}) ORDER BY param_id"
        for trial, name, value, distribution in self._query(sql, *ids):
            numbers[trial].append(self.table.number(name, distribution))
            values[trial].append(value)
        return numbers, values

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
        result = self.connection.exec_driver_sql(sql, parameters)
        rows: Sequence[Row] = result.cursor.fetchall()  # those of the driver: SQLAlchemy's take twice as long
        result.close()
        return rows


_TRIALS = "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"


def _marks(items: Sequence[Any]) -> str:
    return ", ".join("?" * len(items))


def _decode(texts: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: decode(name, text) for name, text in texts.items() if text is not None}
