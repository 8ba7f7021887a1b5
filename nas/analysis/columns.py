"""All trials of a study as columns, which grow while the study is searched: what pages and quick summaries read.

Row `n` is trial `n`. A missing number is NaN, a missing text the code `MISSING_CODE`. Texts are codes into a list that only
grows, so that a page that knows a prefix of the list stays valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.analysis.architecture_text import block_counts, mixer_names
from nas.analysis.front import Floats
from nas.analysis.growing import GrowingColumn, RaggedColumn, TextColumn
from nas.analysis.rungs import RungColumns, RungRow
from nas.analysis.running_front import RunningFront
from nas.analysis.segment_columns import SegmentColumns
from nas.analysis.trial_fields import TEXTS, number_columns, state_of
from nas.objectives import OBJECTIVES, Objective, get, primary_index
from nas.sampler.prediction import PREDICTED
from nas.study.attribute_types import is_number
from nas.study.database.drivers import DRIVER
from nas.study.outcomes.failure_kinds import short_reason
from nas.study.outcomes.predicted_values import PREDICTED_VALUES, predictions_of
from nas.study.segments import SEGMENTS
from nas.study.trials import RETRIED_FROM, AnyTrial, attribute_column

Rows: TypeAlias = NDArray[np.int64]
TIME_COLUMNS = ("started", "finished")
"""Seconds since 1970 in local time, as Optuna stores times."""
PREDICTED_COLUMNS = ("predicted_median", "predicted_low", "predicted_high")
"""What the sampler expected of the primary objective: median, and the central 68.3 % interval."""
BLOCKS_PREFIX = "blocks:"
"""Of the columns of the number of blocks with a mixer; NaN: none."""
INTERVALS = {"images_per_s": "throughput", "latency_ms": "latency"}
"""Measured values whose 95 % intervals are columns `NAME_low` and `NAME_high`, and the attribute with their details; of a
predicted value it is the 99.9 % interval of the prediction."""
CHOICE_PREFIX = "param:"
"""Of the columns of the parameters of the search space."""


STATE_REASONS = ("failed", "refused", "duplicate")
"""States of trials that have a reason."""


class StudyColumns:
    """The trials of a study as columns.

    Args:
        objectives: the study's objectives, in its order.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self.count = 0
        own = (*interval_columns(), "retried_from", *TIME_COLUMNS, *PREDICTED_COLUMNS)
        names = dict.fromkeys((*(o.name for o in objectives), *number_columns(), *own))
        self.numbers = {name: GrowingColumn(np.nan, "f8") for name in names}
        self.texts = {name: TextColumn() for name in ("state", "reason", PREDICTED_VALUES, *TEXTS, "mixer", "mixers")}
        self.choices: dict[str, TextColumn] = {}
        self.feasible = GrowingColumn(1, "u1")
        self.blocks = GrowingColumn(np.nan, "f4")
        self.curves = RaggedColumn("f4")
        self.segments = SegmentColumns()
        self.rung_columns = RungColumns()
        self.in_history = GrowingColumn(0, "u1")
        """1 for trials that the front has seen."""
        self.drivers: dict[int, str] = {}
        """Trial that runs -> the id of its driver; without those that a driver has left."""
        self._front = RunningFront(objectives)
        self._unseen: list[tuple[float, int, Floats]] = []
        """Time of the end, number and values of complete trials that the front has not seen."""
        self._choice_codes: dict[tuple[str, type, Any], tuple[str, int]] = {}

    @classmethod
    def of(cls, objectives: Sequence[Objective], trials: Iterable[AnyTrial]) -> StudyColumns:
        """The columns of `trials`, all that there are now."""
        columns = cls(objectives)
        columns.update(trials)
        return columns

    def update(self, trials: Iterable[AnyTrial]) -> list[int]:
        """Add `trials`, or the new state of trials that were added before; returns their numbers, ascending."""
        changed = sorted(trials, key=lambda trial: trial.number)
        if not changed:
            return []
        rows = np.array([trial.number for trial in changed], np.int64)
        self.count = max(self.count, int(rows[-1]) + 1)
        states = [state_of(trial) for trial in changed]
        self._set_texts(rows, changed, states)
        self._set_numbers(rows, changed)
        self.feasible.assign(rows, [all(v <= 0 for v in trial.constraints.values()) for trial in changed])
        self._set_architectures(rows, attribute_column(changed, "architecture"))
        self._set_choices(changed)
        curves = [curve or [] for curve in attribute_column(changed, "curve")]
        self._set_curves(rows, changed, curves)
        reached = [trial.intermediate_values for trial in changed]
        self.rung_columns.assign(rows, reached, attribute_column(changed, "until"), curves)
        self.segments.assign(rows, [segments or [] for segments in attribute_column(changed, SEGMENTS)])
        self._note_complete(changed, states)
        self._note_drivers(changed, states)
        return rows.tolist()

    def _note_drivers(self, trials: Sequence[AnyTrial], states: Sequence[str]) -> None:
        for trial, state, driver in zip(trials, states, attribute_column(trials, DRIVER), strict=True):
            self.drivers.pop(trial.number, None)
            if state == "running" and isinstance(driver, str):
                self.drivers[trial.number] = driver

    @property
    def front(self) -> RunningFront:
        """The front of the complete trials within the limits, in the order in which they finished."""
        if self._unseen:
            self._unseen.sort(key=lambda item: item[:2])
            self._front.extend([number for _, number, _ in self._unseen], np.array([v for *_, v in self._unseen]))
            self._unseen = []
        return self._front

    def restore_front(self, front: RunningFront) -> None:
        """Set the front that has seen the trials of `in_history`."""
        self._front, self._unseen = front, []

    def set_test_accuracy(self, accuracies: Mapping[str, float]) -> list[int]:
        """Set the test accuracy of trials by their number as text; returns the numbers of those that changed."""
        column = self.numbers["test_accuracy"].first(self.count)
        changed = [int(n) for n, value in accuracies.items() if int(n) < self.count and column[int(n)] != value]
        for number in changed:
            column[number] = accuracies[str(number)]
        return sorted(changed)

    def proxy_accuracies(self) -> dict[int, float]:
        """Trial -> its validation accuracy in the search, of the complete trials within the limits."""
        accuracies = self.numbers["accuracy"].first(self.count)
        rows: list[int] = np.flatnonzero(np.isfinite(accuracies)).tolist()
        return {row: float(accuracies[row]) for row in rows if self._is_counted(row)}

    @property
    def rungs(self) -> list[RungRow]:
        """The rungs; none if the study has no scheduler."""
        state = self.texts["state"]
        return self.rung_columns.rows(state.codes.first(self.count), state.texts)

    def _set_texts(self, rows: Rows, trials: Sequence[AnyTrial], states: Sequence[str]) -> None:
        self.texts["state"].assign(rows, states)
        for name in TEXTS:
            values = attribute_column(trials, name)
            self.texts[name].assign(rows, (None if value is None else str(value) for value in values))
        reasons = (
            _reason(state, trial.user_attrs) if state in STATE_REASONS else None
            for state, trial in zip(states, trials, strict=True)
        )
        self.texts["reason"].assign(rows, reasons)

    def _set_numbers(self, rows: Rows, trials: Sequence[AnyTrial]) -> None:
        index_of = {objective.name: index for index, objective in enumerate(self.objectives)}
        for name in (*dict.fromkeys((*index_of, *number_columns())), RETRIED_FROM):
            values = attribute_column(trials, name)
            if (index := index_of.get(name)) is not None:
                values = [trial.values[index] if trial.values else v for trial, v in zip(trials, values, strict=True)]
            self.numbers[name].assign(rows, _numbers(values))
        predicted = [predictions_of({PREDICTED_VALUES: p}) for p in attribute_column(trials, PREDICTED_VALUES)]
        labels = (", ".join(get(name).label for name in p if name in OBJECTIVES) or None for p in predicted)
        self.texts[PREDICTED_VALUES].assign(rows, labels)
        for name, details in INTERVALS.items():
            ends = [
                (p[name].low, p[name].high) if name in p else _interval(name, measured or {})
                for p, measured in zip(predicted, attribute_column(trials, details), strict=True)
            ]
            for index, end in enumerate(("low", "high")):
                self.numbers[f"{name}_{end}"].assign(rows, _numbers([interval[index] for interval in ends]))
        self.numbers["started"].assign(rows, [_seconds(trial.datetime_start) for trial in trials])
        self.numbers["finished"].assign(rows, [_seconds(trial.datetime_complete) for trial in trials])
        primary = self.objectives[primary_index(self.objectives)].name
        intervals = [(predicted or {}).get(primary) for predicted in attribute_column(trials, PREDICTED)]
        for index, name in enumerate(PREDICTED_COLUMNS):
            self.numbers[name].assign(rows, _numbers([interval and interval[index] for interval in intervals]))

    def _set_architectures(self, rows: Rows, architectures: Sequence[Mapping[str, Any] | None]) -> None:
        mixers = [mixer_names(architecture) for architecture in architectures]
        self.texts["mixer"].assign(rows, (names[-1] if names else None for names in mixers))
        self.texts["mixers"].assign(rows, (" → ".join(names) if names else None for names in mixers))
        counts = [block_counts(architecture) for architecture in architectures]
        self.blocks.assign(
            rows, [sum(c.values()) if names else np.nan for c, names in zip(counts, mixers, strict=True)]
        )
        for mixer in dict.fromkeys(mixer for count in counts for mixer in count):
            column = self.numbers.setdefault(BLOCKS_PREFIX + mixer, GrowingColumn(np.nan, "f8"))
            column.assign(rows, [count.get(mixer, np.nan) for count in counts])

    def _set_choices(self, trials: Sequence[AnyTrial]) -> None:
        cells: dict[str, tuple[list[int], list[int]]] = {}
        for trial in trials:
            for name, value in trial.params.items():
                cell = self._choice_codes.get((name, value.__class__, value))
                key, code = cell or self._add_choice(name, value)
                numbers, codes = cells.get(key) or cells.setdefault(key, ([], []))
                numbers.append(trial.number)
                codes.append(code)
        for key, (numbers, codes) in cells.items():
            self.choices[key].codes.assign(np.array(numbers, np.int64), codes)

    def _add_choice(self, name: str, value: Any) -> tuple[str, int]:
        """The column of the parameter `name` and the code of `value` in it, which are added if they are new."""
        key = CHOICE_PREFIX + name.partition("{")[0]  # what stands in braces are the values to choose from
        code = self.choices.setdefault(key, TextColumn()).code(choice_text(value))
        self._choice_codes[name, value.__class__, value] = key, code
        return key, code

    def parameters(self) -> dict[str, TextColumn]:
        """The columns of the parameters of the search space, by the names of the parameters."""
        return {key.removeprefix(CHOICE_PREFIX): column for key, column in self.choices.items()}

    def parameter_codes(self) -> dict[str, NDArray[Any]]:
        """The code of each parameter in each trial, by the names of the parameters, `(trials,)`; -1 where it has no value."""
        return {name: column.codes.first(self.count) for name, column in self.parameters().items()}

    def _set_curves(
        self, rows: Rows, trials: Sequence[AnyTrial], curves: Sequence[Sequence[Mapping[str, Any]]]
    ) -> None:
        validated = [[e["val_accuracy"] for e in curve if e.get("val_accuracy") is not None] for curve in curves]
        self.curves.assign(rows, validated)
        accuracy = self.numbers["accuracy"]
        for row in rows[np.isnan(accuracy.first(self.count)[rows])].tolist():  # it is no objective of the study
            curve = self.curves[row]
            if len(curve) and self._is_counted(row):
                accuracy.set(row, curve[-1])

    def _is_counted(self, row: int) -> bool:
        state = self.texts["state"]
        return state.texts[state.codes.first(self.count)[row]] == "complete" and bool(
            self.feasible.first(self.count)[row]
        )

    def _note_complete(self, trials: Sequence[AnyTrial], states: Sequence[str]) -> None:
        """Keep complete trials for the front."""
        seen, feasible = self.in_history.first(self.count), self.feasible.first(self.count)
        finished = self.numbers["finished"].first(self.count)
        for trial, state in zip(trials, states, strict=True):
            row = trial.number
            if state != "complete" or not feasible[row] or seen[row] or not trial.values:
                continue
            values = np.array(trial.values, np.float64)
            if np.isfinite(values).all():
                seen[row] = 1
                self._unseen.append((float(finished[row]), row, values))


def _reason(state: str, attributes: Mapping[str, Any]) -> str | None:
    """Why the trial has no result, without what differs between trials; None if it has one."""
    if state == "failed":
        return short_reason(attributes.get("failure"))
    if state == "refused":
        return str(attributes.get("refused") or "no reason recorded").partition(":")[0]
    return "duplicate of an earlier trial" if state == "duplicate" else None


def interval_columns() -> tuple[str, ...]:
    """The columns of the ends of `INTERVALS`."""
    return tuple(f"{name}_{end}" for name in INTERVALS for end in ("low", "high"))


def _interval(name: str, details: Mapping[str, Any]) -> Sequence[float | None]:
    """The 95 % interval of a measured value. It is stored in images per second; a latency is that of one image."""
    stored = details.get("images_per_s_interval")
    low, high = (
        stored if isinstance(stored, list) and len(stored) == 2 and all(map(is_number, stored)) else (None, None)
    )
    return (1000 / high, 1000 / low) if name == "latency_ms" and low and high else (low, high)


def _numbers(values: Sequence[Any]) -> Floats:
    """`values` as numbers; NaN for what is none."""
    try:
        numbers = np.array(values, np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    return numbers if numbers.shape == (len(values),) else np.array([_number(value) for value in values])


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _seconds(time: datetime | None) -> float:
    return np.nan if time is None else time.timestamp()


def choice_text(value: Any) -> str:
    """The value of a parameter as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
