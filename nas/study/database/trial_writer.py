"""The rows of a trial, written as Optuna would write them.

The statements are those of Optuna's own schema (`nas/study/database/tables.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.trial import TrialState

from nas.study.database.connections import Query, Row
from nas.study.database.transactions import StudyTransactions
from nas.study.database.trial_store import TrialChange
from nas.study.trial_record import CONSTRAINTS


class TrialWriter:
    """Writes the rows of trials within a transaction.

    Args:
        query: that of the transaction.
        transactions: those on the database of the study.
    """

    def __init__(self, query: Query, transactions: StudyTransactions) -> None:
        self._query = query
        self._transactions = transactions

    def create(self) -> tuple[int, int]:
        """Insert a trial that runs; returns its number and its id."""
        study = self._transactions.study
        rows = self._query("SELECT number FROM trials WHERE study_id = ? ORDER BY trial_id DESC LIMIT 1", (study,))
        number = int(rows[0][0]) + 1 if rows else 0
        ((trial,),) = self._query(
            "INSERT INTO trials (study_id, number, state, datetime_start) VALUES (?, ?, 'RUNNING', ?) RETURNING trial_id",
            (study, number, self._now()),
        )
        return number, trial

    def start(self, trial: int) -> bool:
        """Let the `trial` run; returns False if it does not wait."""
        started = self._query(
            "UPDATE trials SET state = 'RUNNING', datetime_start = ? WHERE trial_id = ? AND state = 'WAITING'"
            " RETURNING trial_id",
            (self._now(), trial),
        )
        return bool(started)

    def set_user_attributes(self, trial: int, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of the `trial`, plain JSON."""
        self._set("trial_user_attributes", trial, attributes)

    def set_system_attributes(self, trial: int, attributes: Mapping[str, Any]) -> None:
        """Set system attributes of the `trial`, plain JSON."""
        self._set("trial_system_attributes", trial, attributes)

    def write(self, trial: int, change: TrialChange) -> None:
        """Write a `change` of the `trial`."""
        self._insert(
            "trial_params (trial_id, param_name, param_value, distribution_json)",
            [(trial, name, float(value), text) for name, (value, text) in change.params.items()],
            "(trial_id, param_name) DO NOTHING",
        )
        self.set_user_attributes(trial, change.attributes)
        constraints = {f"{CONSTRAINTS}:{name}": float(excess) for name, excess in change.constraints.items()}
        self.set_system_attributes(trial, constraints)
        if change.intermediate is not None:
            self._insert(
                "trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)",
                [(trial, *change.intermediate)],
                "(trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value",
                "'FINITE'",
            )
        if change.state is not None:
            self._end(trial, change.state, change.values)

    def _end(self, trial: int, state: TrialState, values: Sequence[float] | None) -> None:
        """As `optuna.Study.tell`: the value of a pruned trial is its last intermediate value, if there is one objective."""
        if state == TrialState.PRUNED and len(self._transactions.directions) == 1:
            rows = self._query(
                "SELECT intermediate_value FROM trial_intermediate_values WHERE trial_id = ? ORDER BY step DESC LIMIT 1",
                (trial,),
            )
            values = [row[0] for row in rows if row[0] is not None and math.isfinite(row[0])]
        self._insert(
            "trial_values (trial_id, objective, value, value_type)",
            [(trial, index, float(value)) for index, value in enumerate(values or ())],
            "(trial_id, objective) DO UPDATE SET value = excluded.value",
            "'FINITE'",
        )
        self._query(
            f"UPDATE trials SET state = '{state.name}', datetime_complete = ? WHERE trial_id = ? RETURNING trial_id",
            (self._now(), trial),
        )

    def _set(self, table: str, trial: int, attributes: Mapping[str, Any]) -> None:
        rows = [(trial, name, json.dumps(value)) for name, value in attributes.items()]
        conflict = "(trial_id, key) DO UPDATE SET value_json = excluded.value_json"
        self._insert(f"{table} (trial_id, key, value_json)", rows, conflict)

    def _insert(self, target: str, rows: Sequence[Row], conflict: str, *constants: str) -> None:
        """Insert `rows`, each followed by the `constants`, which are SQL."""
        if rows:
            marks = f"({', '.join([*'?' * len(rows[0]), *constants])})"
            values = ", ".join([marks] * len(rows))
            parameters = [value for row in rows for value in row]
            self._query(f"INSERT INTO {target} VALUES {values} ON CONFLICT {conflict}", parameters)

    def _now(self) -> Any:
        return self._transactions.to_time(datetime.now(UTC))
