"""Writes to Optuna trials, collected and then made in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import mysql, postgresql, sqlite

_TRIALS = models.TrialModel.__table__
_PARAMS = models.TrialParamModel.__table__
_VALUES = models.TrialValueModel.__table__
_INTERMEDIATE_VALUES = models.TrialIntermediateValueModel.__table__
_USER_ATTRIBUTES = models.TrialUserAttributeModel.__table__
_SYSTEM_ATTRIBUTES = models.TrialSystemAttributeModel.__table__


@dataclass
class TrialWrites:
    """Writes to trials that have not ended, in memory until `apply`. A later write of the same thing replaces an earlier one.

    Trials are given by their ids.
    """

    params: dict[tuple[int, str], tuple[float, BaseDistribution]] = field(default_factory=dict)
    """Internal value and distribution."""
    user_attrs: dict[tuple[int, str], str] = field(default_factory=dict)
    """JSON."""
    system_attrs: dict[tuple[int, str], str] = field(default_factory=dict)
    """JSON."""
    intermediate_values: dict[tuple[int, int], float] = field(default_factory=dict)
    ends: dict[int, tuple[TrialState, Sequence[float] | None]] = field(default_factory=dict)
    """The state in which a trial ends, and its values."""

    @property
    def trials(self) -> set[int]:
        """The trials that are written to."""
        keyed: tuple[Iterable[tuple[int, Any]], ...] = (
            self.params,
            self.user_attrs,
            self.system_attrs,
            self.intermediate_values,
        )
        return {trial for keys in keyed for trial, _ in keys} | self.ends.keys()

    def show(self, trial: FrozenTrial) -> None:
        """Change `trial` as these writes will change it in the storage."""
        trial_id = trial._trial_id
        for (written, name), (value, distribution) in self.params.items():
            if written == trial_id:
                trial.params[name] = distribution.to_external_repr(value)
                trial.distributions[name] = distribution
        for texts, attributes in ((self.user_attrs, trial.user_attrs), (self.system_attrs, trial.system_attrs)):
            attributes.update(
                {name: json.loads(text) for (written, name), text in texts.items() if written == trial_id}
            )
        steps = {step: value for (written, step), value in self.intermediate_values.items() if written == trial_id}
        trial.intermediate_values.update(steps)
        if trial_id in self.ends:
            trial.state, values = self.ends[trial_id]
            trial.values = None if values is None else list(values)

    def apply(self, connection: sqlalchemy.Connection) -> None:
        """Make the writes, within the transaction of `connection`.

        Raises:
            UpdateFinishedTrialError: a trial has ended.
            KeyError: a trial does not exist.
        """
        _lock_open(connection, sorted(self.trials))
        upsert = _UPSERTS[connection.dialect.name]
        rows: list[dict[str, Any]] = [
            {
                "trial_id": trial,
                "param_name": name,
                "param_value": value,
                "distribution_json": distribution_to_json(distribution),
            }
            for (trial, name), (value, distribution) in self.params.items()
        ]
        if rows:
            connection.execute(sqlalchemy.insert(_PARAMS), rows)
        for table, texts in ((_USER_ATTRIBUTES, self.user_attrs), (_SYSTEM_ATTRIBUTES, self.system_attrs)):
            rows = [{"trial_id": trial, "key": name, "value_json": text} for (trial, name), text in texts.items()]
            if rows:
                connection.execute(upsert(table, "key"), rows)
        self._write_intermediate_values(connection)
        self._end_trials(connection)

    def _write_intermediate_values(self, connection: sqlalchemy.Connection) -> None:
        to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
        rows = [
            dict(
                zip(
                    ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
                    (trial, step, *to_stored(value)),
                    strict=True,
                )
            )
            for (trial, step), value in self.intermediate_values.items()
        ]
        if rows:
            connection.execute(_UPSERTS[connection.dialect.name](_INTERMEDIATE_VALUES, "step"), rows)

    def _end_trials(self, connection: sqlalchemy.Connection) -> None:
        to_stored = models.TrialValueModel.value_to_stored_repr
        rows = [
            dict(zip(("trial_id", "objective", "value", "value_type"), (trial, i, *to_stored(value)), strict=True))
            for trial, (_, values) in self.ends.items()
            for i, value in enumerate(values or ())
        ]
        if rows:
            connection.execute(_UPSERTS[connection.dialect.name](_VALUES, "objective"), rows)
        now = utc_now()
        for trial, (state, _) in self.ends.items():
            update = sqlalchemy.update(_TRIALS).where(_TRIALS.c.trial_id == trial)
            connection.execute(update.values({"state": state, "datetime_complete": now}))


def utc_now() -> datetime:
    """The time as the storage keeps it: in UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _lock_open(connection: sqlalchemy.Connection, trials: Sequence[int]) -> None:
    """Raise unless all `trials` are open; on a server they are locked, so that no other process ends them meanwhile."""
    query = sqlalchemy.select(_TRIALS.c.trial_id, _TRIALS.c.number, _TRIALS.c.state)
    rows = connection.execute(query.where(_TRIALS.c.trial_id.in_(trials)).with_for_update()).fetchall()
    if len(rows) < len(trials):
        raise KeyError(models.NOT_FOUND_MSG)
    for _, number, state in rows:
        if state.is_finished():
            raise UpdateFinishedTrialError(f"Trial#{number} has already finished and can not be updated.")


def _upsert_sqlite(table: sqlalchemy.Table, key: str) -> Any:
    insert = sqlite.insert(table)
    return insert.on_conflict_do_update(index_elements=["trial_id", key], set_=_replaced(table, key, insert.excluded))


def _upsert_postgresql(table: sqlalchemy.Table, key: str) -> Any:
    insert = postgresql.insert(table)
    return insert.on_conflict_do_update(index_elements=["trial_id", key], set_=_replaced(table, key, insert.excluded))


def _upsert_mysql(table: sqlalchemy.Table, key: str) -> Any:
    insert = mysql.insert(table)
    return insert.on_duplicate_key_update(_replaced(table, key, insert.inserted))


_UPSERTS = {
    "sqlite": _upsert_sqlite,
    "postgresql": _upsert_postgresql,
    "mysql": _upsert_mysql,
    "mariadb": _upsert_mysql,
}
"""Dialect -> a function (table, key) that makes the statement: insert rows, or replace those of the same trial and `key`."""


def _replaced(table: sqlalchemy.Table, key: str, inserted: Any) -> dict[str, Any]:
    """Column -> its new value, of each column that is no part of the primary key nor of the unique (trial, `key`)."""
    return {
        column.name: inserted[column.name]
        for column in table.columns
        if not column.primary_key and column.name not in ("trial_id", key)
    }
