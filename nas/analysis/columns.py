"""All trials of a study as columns, which grow while the study is searched: what pages and quick summaries read.

Row `n` is trial `n`. A missing number is NaN, a missing text the code -1. Texts are codes into a list that only grows, so that a
page that knows a prefix of the list stays valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.analysis.architecture_text import block_counts, mixer_names
from nas.analysis.failures import short_reason
from nas.analysis.rungs import RungColumns, RungRow
from nas.analysis.running_front import RunningFront
from nas.analysis.segment_columns import SegmentColumns
from nas.analysis.trial_fields import TEXTS, number_columns, state_of
from nas.objectives import Objective, primary_index
from nas.study.trials import RETRIED_FROM, AnyTrial

MISSING_CODE = -1
TIME_COLUMNS = ("started", "finished")
"""Seconds since 1970 in local time, as Optuna stores times."""
PREDICTED_COLUMNS = ("predicted_median", "predicted_low", "predicted_high")
"""What the sampler expected of the primary objective: median, and the central 68.3 % interval."""
BLOCKS_PREFIX = "blocks:"
"""Of the columns of the number of blocks with a mixer; NaN: none."""
INTERVALS = {"images_per_s": "throughput", "latency_ms": "latency"}
"""Measured values whose 95 % intervals are columns `NAME_low` and `NAME_high`, and the attribute with their details."""
CHOICE_PREFIX = "param:"
"""Of the columns of the parameters of the search space."""


@dataclass
class GrowingColumn:
    """A column that grows by doubling.

    Args:
        fill: the value of rows that were never set.
        dtype: of the array.
    """

    fill: float
    dtype: str
    _values: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._values = np.full(64, self.fill, self.dtype)

    def set(self, row: int, value: float) -> None:
        """Set the value of `row`, which may be beyond the end."""
        if row >= len(self._values):
            size = max(2 * len(self._values), row + 1)
            grown = np.full(size, self.fill, self.dtype)
            grown[: len(self._values)] = self._values
            self._values = grown
        self._values[row] = value

    def first(self, count: int) -> NDArray[Any]:
        """The first `count` rows."""
        if count > len(self._values):
            self.set(count - 1, self.fill)
        return self._values[:count]


@dataclass
class TextColumn:
    """A column of texts as codes.

    Args:
        texts: the different texts, in the order of their first appearance.
    """

    texts: list[str] = field(default_factory=list)
    codes: GrowingColumn = field(default_factory=lambda: GrowingColumn(MISSING_CODE, "i4"))
    _code_of: dict[str, int] = field(default_factory=dict)

    def set(self, row: int, text: str | None) -> None:
        """Set the text of `row`."""
        if text is None:
            self.codes.set(row, MISSING_CODE)
            return
        code = self._code_of.get(text)
        if code is None:
            code = self._code_of[text] = len(self.texts)
            self.texts.append(text)
        self.codes.set(row, code)


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
        self.texts = {name: TextColumn() for name in ("state", "reason", *TEXTS, "mixer", "mixers")}
        self.choices: dict[str, TextColumn] = {}
        self.feasible = GrowingColumn(1, "u1")
        self.blocks = GrowingColumn(np.nan, "f4")
        self.curves: list[NDArray[np.float32]] = []
        self.front = RunningFront(objectives)
        self.segments = SegmentColumns()
        self._rungs = RungColumns()

    def update(self, trials: Iterable[AnyTrial]) -> list[int]:
        """Add `trials`, or the new state of trials that were added before; returns their numbers, ascending."""
        changed = sorted(trials, key=lambda trial: trial.number)
        for trial in changed:
            self._set(trial)
        finished = [trial for trial in changed if self._is_counted(trial.number)]
        for trial in sorted(
            finished, key=lambda trial: (self.numbers["finished"].first(self.count)[trial.number], trial.number)
        ):
            values = np.array(trial.values, dtype=np.float64)
            if np.isfinite(values).all():
                self.front.add(trial.number, values)
        return [trial.number for trial in changed]

    def set_test_accuracy(self, accuracies: Mapping[str, float]) -> list[int]:
        """Set the test accuracy of trials by their number as text; returns the numbers of those that changed."""
        column = self.numbers["test_accuracy"].first(self.count)
        changed = [int(n) for n, value in accuracies.items() if int(n) < self.count and column[int(n)] != value]
        for number in changed:
            column[number] = accuracies[str(number)]
        return sorted(changed)

    @property
    def rungs(self) -> list[RungRow]:
        """The rungs; none if the study has no scheduler."""
        state = self.texts["state"]
        return self._rungs.rows([state.texts[code] for code in state.codes.first(self.count)])

    def _is_counted(self, row: int) -> bool:
        state = self.texts["state"]
        return state.texts[state.codes.first(self.count)[row]] == "complete" and bool(
            self.feasible.first(self.count)[row]
        )

    def _set(self, trial: AnyTrial) -> None:
        row, attributes = trial.number, trial.user_attrs
        self.count = max(self.count, row + 1)
        self.texts["state"].set(row, state_of(trial))
        for name in TEXTS:
            text = attributes.get(name)
            self.texts[name].set(row, None if text is None else str(text))
        self.texts["reason"].set(row, _reason(state_of(trial), attributes))
        values: Sequence[Any] = trial.values or [attributes.get(objective.name) for objective in self.objectives]
        of_objectives = dict(zip((objective.name for objective in self.objectives), values, strict=True))
        for name, column in self.numbers.items():
            column.set(row, _number(of_objectives.get(name, attributes.get(name))))
        self.numbers["retried_from"].set(row, _number(attributes.get(RETRIED_FROM)))
        self.numbers["started"].set(row, _seconds(trial.datetime_start))
        self.numbers["finished"].set(row, _seconds(trial.datetime_complete))
        for name, value in zip(interval_columns(), _interval_ends(attributes), strict=True):
            self.numbers[name].set(row, value)
        self.feasible.set(row, all(value <= 0 for value in trial.constraints.values()))
        self._set_architecture(row, attributes.get("architecture"), trial.params)
        self._set_predicted(row, attributes.get("predicted") or {})
        curve = attributes.get("curve") or []
        self._set_curve(row, curve)
        self._rungs.set(row, trial.intermediate_values, attributes.get("until"), curve)
        self.segments.set(row, attributes.get("segments") or [])

    def _set_architecture(self, row: int, architecture: Mapping[str, Any] | None, params: Mapping[str, Any]) -> None:
        mixers = mixer_names(architecture)
        self.texts["mixer"].set(row, mixers[-1] if mixers else None)
        self.texts["mixers"].set(row, " → ".join(mixers) if mixers else None)
        counts = block_counts(architecture)
        self.blocks.set(row, sum(counts.values()) if mixers else np.nan)
        for mixer, number in counts.items():
            self.numbers.setdefault(BLOCKS_PREFIX + mixer, GrowingColumn(np.nan, "f8")).set(row, number)
        for name, value in params.items():
            key = CHOICE_PREFIX + name.partition("{")[0]  # what stands in braces are the values to choose from
            self.choices.setdefault(key, TextColumn()).set(row, choice_text(value))

    def _set_predicted(self, row: int, predicted: Mapping[str, Any]) -> None:
        interval = predicted.get(self.objectives[primary_index(self.objectives)].name) or [None, None, None]
        for name, value in zip(PREDICTED_COLUMNS, interval, strict=True):
            self.numbers[name].set(row, _number(value))

    def _set_curve(self, row: int, curve: Sequence[Mapping[str, Any]]) -> None:
        while len(self.curves) <= row:
            self.curves.append(np.empty(0, np.float32))
        validated = [entry["val_accuracy"] for entry in curve if entry.get("val_accuracy") is not None]
        self.curves[row] = np.array(validated, np.float32)
        if np.isnan(self.numbers["accuracy"].first(self.count)[row]) and validated and self._is_counted(row):
            self.numbers["accuracy"].set(row, validated[-1])  # it is no objective of the study


def _reason(state: str, attributes: Mapping[str, Any]) -> str | None:
    """Why the trial has no result, without what differs between trials; None if it has one."""
    if state == "failed":
        return short_reason({"failure": attributes.get("failure")})
    if state == "refused":
        return str(attributes.get("refused") or "no reason recorded").partition(":")[0]
    return "duplicate of an earlier trial" if state == "duplicate" else None


def interval_columns() -> tuple[str, ...]:
    """The columns of the ends of `INTERVALS`."""
    return tuple(f"{name}_{end}" for name in INTERVALS for end in ("low", "high"))


def _interval_ends(attributes: Mapping[str, Any]) -> Iterator[float]:
    """The values of `interval_columns`. Both intervals are stored in images per second; a latency is that of one image."""
    for name, details in INTERVALS.items():
        low, high = (attributes.get(details) or {}).get("images_per_s_interval") or (None, None)
        if name == "latency_ms" and low and high:
            low, high = 1000 / high, 1000 / low
        yield from (_number(low), _number(high))


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _seconds(time: datetime | None) -> float:
    return np.nan if time is None else time.timestamp()


def choice_text(value: Any) -> str:
    """The value of a parameter as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
