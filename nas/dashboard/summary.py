"""What the start page says of a study, computed from its columns."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from nas.analysis.columns import StudyColumns
from nas.formatting import finite_or_none, value_text
from nas.objectives import primary_index
from nas.study.trials import RETRIED_FROM

State: TypeAlias = Literal["searching", "interrupted", "finished", "empty"]
SPARKLINE_POINTS = 40
DIGITS = 4
TRAINED = ("complete", "stopped", "failed")
"""States of trials that were trained, also if they failed."""


def summary_of(columns: StudyColumns, target: int | None, *, is_searching: bool) -> dict[str, Any]:
    """Numbers of a study as plain JSON: `state`, `trials`, `target`, `best`, `front`, `hypervolume`, `sparkline`, `changed`.

    Args:
        columns: its trials.
        target: the number of trials that it is to have; None: not known.
        is_searching: whether a search runs now.
    """
    finished = columns.numbers["finished"].first(columns.count)
    return {
        "state": _state(columns, target, is_searching=is_searching),
        "trials": count_trained(columns),
        "complete": count_trials(columns, "complete"),
        "target": target,
        "best": _best(columns),
        "front": len(columns.front.trials),
        "hypervolume": round(columns.front.hypervolumes[-1], DIGITS) if columns.front.hypervolumes else 0.0,
        "sparkline": _sparkline(columns),
        "changed": finite_or_none(float(np.nanmax(finished))) if np.isfinite(finished).any() else None,
    }


def count_trials(columns: StudyColumns, *states: str) -> int:
    """The number of trials whose state is one of `states`."""
    column = columns.texts["state"]
    codes = [code for code, text in enumerate(column.texts) if text in states]
    return int(np.isin(column.codes.first(columns.count), codes).sum())


def count_trained(columns: StudyColumns) -> int:
    """The number of trials that count towards the target: trained, and not repeated by another (`nas.study.trials`)."""
    repeats = columns.numbers[RETRIED_FROM].first(columns.count)
    repeated = np.unique(repeats[np.isfinite(repeats)]).astype(np.int64)
    states = columns.texts["state"].texts
    trained = np.isin(
        columns.texts["state"].codes.first(columns.count), [states.index(s) for s in TRAINED if s in states]
    )
    return int(trained.sum() - trained[repeated[repeated < columns.count]].sum())


def _state(columns: StudyColumns, target: int | None, *, is_searching: bool) -> State:
    if is_searching:
        return "searching"
    if not columns.count:
        return "empty"
    return (
        "finished"
        if count_trained(columns) >= (target or 0) and not count_trials(columns, "running")
        else "interrupted"
    )


def _best(columns: StudyColumns) -> dict[str, Any] | None:
    """The complete trial that is best in the primary objective: its number, and its value with its label as text."""
    primary = columns.objectives[primary_index(columns.objectives)]
    state = columns.texts["state"]
    complete = state.texts.index("complete") if "complete" in state.texts else -2
    counted = (state.codes.first(columns.count) == complete) & (columns.feasible.first(columns.count) == 1)
    values = columns.numbers[primary.name].first(columns.count)
    trials = np.flatnonzero(counted & np.isfinite(values))
    if not len(trials):
        return None
    sign = 1.0 if primary.direction == "minimize" else -1.0
    macs = columns.numbers["macs"].first(columns.count)
    trial = int(trials[np.lexsort((trials, macs[trials], sign * values[trials]))[0]])
    return {"trial": trial, "label": primary.label, "text": value_text(primary, float(values[trial]))}


def _sparkline(columns: StudyColumns) -> list[float]:
    """The hypervolume at points that divide the trials evenly, from the first to the last one."""
    entries, volumes = columns.front.entries, columns.front.hypervolumes
    if not entries:
        return []
    numbers = np.maximum.accumulate([entry.trial for entry in entries])
    points = np.linspace(0, max(columns.count - 1, 1), SPARKLINE_POINTS)
    indices = np.searchsorted(numbers, points, side="right") - 1
    return [round(volumes[index], DIGITS) if index >= 0 else 0.0 for index in indices]
