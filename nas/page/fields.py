"""The fields of a study's trials: what each column is called, in which unit, and how its values are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from nas import objectives
from nas.analysis.columns import BLOCKS_PREFIX, CHOICE_PREFIX, StudyColumns, interval_columns
from nas.objectives import Objective
from nas.objectives.costs import COST_FIELDS
from nas.study.outcomes.predicted_values import PREDICTED_VALUES

FieldKind = Literal["number", "code", "time", "bool"]
FieldFormat = Literal["int", "si", "ratio", "seconds", "text", "datetime"]
FieldGroup = Literal[
    "trial", "predicted", "objective", "cost", "measured", "trained", "time", "choice", "architecture", "blocks"
]

_TEXTS: tuple[tuple[str, str, FieldGroup], ...] = (
    ("state", "state", "trial"),
    ("failure", "failure", "trial"),
    ("reason", "reason without a result", "trial"),
    ("refused", "refused", "trial"),
    ("device", "device", "measured"),
    (PREDICTED_VALUES, "predicted, not measured", "measured"),
    ("id", "architecture id", "architecture"),
    ("mixer", "mixer of the last stage", "architecture"),
    ("mixers", "mixers", "architecture"),
)
_TIMES = (("train_s", "training time"), ("overhead_s", "overhead"), ("idle_s", "idle time"), ("wall_s", "time"))
_PREDICTED = (
    ("predicted_median", "predicted {}"),
    ("predicted_low", "predicted {}, at least"),
    ("predicted_high", "predicted {}, at most"),
)
_COST_LABELS = {"fft_flops": ("FFT operations", ""), "activation_bytes": ("activation memory", "B")}


@dataclass(frozen=True)
class Field:
    """A column of the trials as people see it.

    Args:
        key: the name of the column.
        label: its heading.
        unit: of the values; empty for ratios and texts.
        kind: "number" (f8, NaN missing), "time" (seconds since 1970), "bool" (u1) or "code" (an index into `codes`).
        group: what it belongs to.
        log: whether ratios matter, so that an axis is logarithmic.
        direction: "maximize" or "minimize"; None if no value is better.
        format: how a value is written.
        codes: the texts of a field of codes.
    """

    key: str
    label: str
    unit: str
    kind: FieldKind
    group: FieldGroup
    log: bool = False
    direction: objectives.Direction | None = None
    format: FieldFormat = "text"
    codes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def fields_of(columns: StudyColumns) -> list[Field]:
    """The fields of the study's trials; numbers that no trial has are left out, except objectives."""
    return [*_number_fields(columns), *_text_fields(columns), *_choice_fields(columns)]


def _number_fields(columns: StudyColumns) -> Iterator[Field]:
    chosen = {objective.name for objective in columns.objectives}
    labels, predicted = dict(_TIMES), dict(_PREDICTED)
    primary = columns.objectives[objectives.primary_index(columns.objectives)]
    for objective in columns.objectives:
        yield _objective_field(objective, "objective")
    for name, column in columns.numbers.items():
        if name in chosen or not np.isfinite(column.first(columns.count)).any():
            continue
        if name in objectives.OBJECTIVES:
            objective = objectives.get(name)
            yield _objective_field(objective, objective.source)
        elif name in COST_FIELDS:
            label, unit = _COST_LABELS.get(name, (name, ""))
            yield Field(name, label, unit, "number", "cost", log=True, direction="minimize", format="si")
        elif name.startswith(BLOCKS_PREFIX):
            mixer = name.removeprefix(BLOCKS_PREFIX)
            yield Field(name, f"{mixer} blocks", "", "number", "blocks", format="int")
        elif name in predicted:
            field = _objective_field(primary, "predicted")
            yield replace(field, key=name, label=predicted[name].format(field.label), direction=None)
        elif name in interval_columns():
            yield _interval_field(name)
        elif name in labels:
            yield Field(name, labels[name], "s", "number", "time", format="seconds")
        elif name == "test_accuracy":
            yield Field(name, "test accuracy", "", "number", "trained", direction="maximize", format="ratio")
        elif name == "retried_from":
            yield Field(name, "repeats trial", "", "number", "trial", format="int")
        else:
            yield Field(name, name, "", "time", "time", format="datetime")
    yield Field("blocks", "blocks", "", "number", "architecture", format="int")
    yield Field("feasible", "within limits", "", "bool", "trial")


def _objective_field(objective: Objective, group: FieldGroup) -> Field:
    style: FieldFormat = "si" if objective.log or objective.unit else "ratio"
    return Field(
        key=objective.name,
        label=objective.label,
        unit=objective.unit,
        kind="number",
        group=group,
        log=objective.log,
        direction=objective.direction,
        format=style,
    )


def _interval_field(key: str) -> Field:
    name, _, end = key.rpartition("_")
    objective = objectives.get(name)
    label = f"{objective.label}, {'lower' if end == 'low' else 'upper'} end"
    return Field(key, label, objective.unit, "number", "measured", log=objective.log, format="si")


def _text_fields(columns: StudyColumns) -> Iterator[Field]:
    for key, label, group in _TEXTS:
        texts = columns.texts[key].texts
        if texts or key == "state":
            yield Field(key, label, "", "code", group, codes=tuple(texts))


def _choice_fields(columns: StudyColumns) -> Iterator[Field]:
    for key, column in columns.choices.items():
        yield Field(key, key.removeprefix(CHOICE_PREFIX), "", "code", "choice", codes=tuple(column.texts))
