"""The trials of a study as a table: a row per trial, in the order of numbers (`nas.analysis.results.Results.trials`).

Architectures and curves are decoded only for the rows that need them: they are nine tenths of a study.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import TrialState

from nas.analysis.front import Floats, front_mask
from nas.analysis.trial_fields import TEXTS, number_columns, state_of
from nas.objectives import Objective
from nas.sampler.prediction import PREDICTED
from nas.study.outcomes.inheritance import INHERITED
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from nas.study.segments import SEGMENTS
from nas.study.trials import RETRIED_FROM, AnyTrial, attribute_column


def summary_table(trials: Sequence[AnyTrial], chosen: Sequence[Objective], tested: Mapping[str, float]) -> pd.DataFrame:
    """The table of `trials` without the columns that `add_details` adds.

    Args:
        trials: by number.
        chosen: the objectives of the study, in the order of the values of trials.
        tested: trial number as text -> accuracy on the test split.
    """
    names = [objective.name for objective in chosen]
    columns: dict[str, Any] = {"trial": [trial.number for trial in trials], "state": _objects(map(state_of, trials))}
    columns |= {name: _numbers(values) for name, values in _number_columns(trials, names, tested).items()}
    columns |= {name: _objects(attribute_column(trials, name)) for name in (*TEXTS, "seed")}
    columns |= {
        "started": pd.to_datetime(pd.Series([trial.datetime_start for trial in trials])),
        "finished": pd.to_datetime(pd.Series([trial.datetime_complete for trial in trials])),
        "retried_from": pd.to_numeric(_objects(attribute_column(trials, RETRIED_FROM))).astype(np.float64),
        "feasible": np.array([all(v <= 0 for v in trial.constraints.values()) for trial in trials], dtype=np.bool_),
    }
    table = pd.DataFrame(columns)
    table["trial"] = table["trial"].astype(np.int64)
    table.index = pd.Index(table["trial"].to_numpy())
    table["on_front"] = front_mask(objective_values(table, names), [objective.direction for objective in chosen])
    return table


def add_details(table: pd.DataFrame, trials: Sequence[AnyTrial]) -> pd.DataFrame:
    """Rows of a `summary_table` of `trials` with the columns `architecture`, `curve`, `inherited`, `predicted`,
    `predicted_values`, `segments` and `rungs`.

    A table that has them stays as it is.
    """
    if "architecture" in table:
        return table
    chosen = [trials[number] for number in table.index]  # numbers run from 0 without gaps
    before_times = {
        "architecture": attribute_column(chosen, "architecture"),
        "curve": [curve or [] for curve in attribute_column(chosen, "curve")],
    }
    last = {
        "inherited": attribute_column(chosen, INHERITED),
        "predicted": attribute_column(chosen, PREDICTED),
        "predicted_values": attribute_column(chosen, PREDICTED_VALUES),
        "segments": [segments or [] for segments in attribute_column(chosen, SEGMENTS)],
        "rungs": [dict(trial.intermediate_values) for trial in chosen],
    }
    detailed = table.copy()
    for neighbour, columns in (("started", before_times), ("on_front", last)):
        position = list(detailed.columns).index(neighbour)
        for offset, (name, values) in enumerate(columns.items()):
            detailed.insert(position + offset, name, _objects(values).to_numpy())
    return detailed


def counted_trials(table: pd.DataFrame) -> pd.Series[bool]:
    """Which trials are complete and within the limits of the study."""
    return (table["state"] == "complete") & table["feasible"]


def objective_values(table: pd.DataFrame, names: Sequence[str]) -> Floats:
    """`(n, m)`: the objectives `names`; NaN throughout for a trial that does not count."""
    values = table[list(names)].to_numpy(dtype=np.float64, copy=True)
    values[~counted_trials(table).to_numpy()] = np.nan
    return values


def _number_columns(
    trials: Sequence[AnyTrial], names: Sequence[str], tested: Mapping[str, float]
) -> dict[str, list[Any]]:
    """Name -> the value of each trial: the objectives `names`, then the other `number_columns()`."""
    columns = {name: attribute_column(trials, name) for name in dict.fromkeys((*names, *number_columns()))}
    columns["test_accuracy"] = [tested.get(str(trial.number)) for trial in trials]
    for row, trial in enumerate(trials):
        if trial.values:
            for name, value in zip(names, trial.values, strict=True):
                columns[name][row] = value
        if trial.state == TrialState.COMPLETE and columns["accuracy"][row] is None:  # it is no objective of the study
            columns["accuracy"][row] = next(
                (e.get("val_accuracy") for e in (trial.user_attrs.get("curve") or [])[-1:]), None
            )
    return columns


def _numbers(values: Sequence[Any]) -> pd.Series[float]:
    """A column of numbers; what is none is NaN."""
    try:
        return pd.to_numeric(_objects(values), errors="coerce").astype(np.float64)
    except OverflowError:  # a whole number that is too large
        return _numbers(
            [None if isinstance(value, int) and abs(value) > sys.float_info.max else value for value in values]
        )


def _objects(values: Iterable[Any]) -> pd.Series[Any]:
    """A column of any values; None where one is missing."""
    column = pd.Series(list(values), dtype=object)
    return column.where(column.notna(), None)
