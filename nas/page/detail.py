"""One trial in detail, as plain JSON: what the columns of the document do not hold.

Values and states are columns (`nas.analysis.columns`). Here are its architecture part by part with the cost of each, its
channel dependencies, its whole learning curve, the details of its measurements, its failure, and commands to copy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nas.analysis.architecture_text import describe
from nas.page.channels import channel_texts
from nas.page.classes import plain_classes
from nas.page.commands import trial_commands
from nas.page.endings import ending
from nas.page.measurements import measured_intervals, measurement_texts, prediction_texts
from nas.page.parts import known_architecture, known_parts, plain_parts, predicted_seconds
from nas.study.content import confusion_of
from nas.study.database.drivers import DRIVER
from nas.study.environment import ATTRIBUTE as ENVIRONMENTS, environment_of, environment_text
from nas.study.layout import OPERATORS
from nas.study.operator_table import OperatorTable, read_tables
from nas.study.outcomes.inheritance import Inheritance
from nas.study.trials import RETRIED_FROM, AnyTrial, damage_of

CURVE_DIGITS: Final = 5
_TIMES: Final = ("train_s", "overhead_s", "idle_s", "wall_s")


@dataclass(frozen=True)
class StudyContext:
    """What the details of all trials of a study have in common.

    Args:
        folder: the folder of the study; None: it is in a storage alone, without files.
        dataset: the description of the images, plain JSON.
        environments: the versions and machines of its searches (`nas.study.environment`).
        tables: objective -> operator table that predicts it.
        confusions: trial number as text -> confusion matrix on the test split, of tested trials.
    """

    folder: Path | None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    environments: Sequence[Mapping[str, Any]] = ()
    tables: Mapping[str, OperatorTable] = field(default_factory=dict)
    confusions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path | None, attributes: Mapping[str, Any]) -> StudyContext:
        """The context of the study with the user `attributes`; the operator tables are read from `folder`."""
        return cls(
            folder,
            dataset=attributes.get("dataset") or {},
            environments=attributes.get(ENVIRONMENTS) or (),
            tables={} if folder is None else read_tables(folder / OPERATORS),
            confusions=attributes.get("test_confusion") or {},
        )


def trial_detail(trial: AnyTrial, context: StudyContext) -> dict[str, Any]:
    """`trial` in detail. What does not apply is left out, but for `number` and `architecture`.

    Keys: those of `short_detail`, and

        id, device: as stored.
        predicted: as stored, what the sampler predicted.
        intervals: objective -> [low, high], the 95 % confidence interval of a measured value.
        times: `started` and `finished` (ISO 8601, local time), `train_s`, `overhead_s`, `idle_s`, `wall_s`.
        curve: a list for each key of the learning curve, an entry for each epoch, None where there is no value.
    """
    attributes = trial.user_attrs
    entries = {
        **{name: attributes.get(name) for name in ("id", "device", "predicted")},
        "intervals": measured_intervals(attributes),
        "times": _times(trial),
    }
    return short_detail(trial, context) | _present(entries) | detail_of_curve(trial)


def short_detail(trial: AnyTrial, context: StudyContext) -> dict[str, Any]:
    """`trial` in detail, without its curve and what the columns of the document have.

    Keys:
        number, seed, retried_from: as stored.
        environment: the versions and the machine of the search that started it, as text.
        architecture: as stored; None of a trial without one.
        note: why an architecture is only described from its JSON.
        parts: `nas.page.parts.plain_parts`.
        predicted_s: objective -> {`batch_size`, `seconds`: of the stem, of each stage, of the head}.
        channels: `nas.page.channels.channel_texts`.
        classes: `nas.page.classes.plain_classes`.
        inherited: what it has taken over from another trial, as text (`nas.study.outcomes.inheritance`).
        measurements: [[label of the objective, details as text], ...], and the attributes that are damaged.
        predictions: [[label of an objective that was predicted and not measured, its interval], ...].
        segments: as stored, the segments of its training.
        reason, traceback, limit, duplicate_of: of a trial that was not trained to an end (`nas.page.endings.ending`).
        commands: [[label, text to copy], ...].
    """
    attributes = trial.user_attrs
    architecture, inherited = attributes.get("architecture"), Inheritance.from_attributes(attributes)
    entries: dict[str, Any] = {
        **{name: attributes.get(name) for name in ("seed", RETRIED_FROM, "segments")},
        "environment": _environment(trial, context.environments),
        **_network(architecture, context.tables),
        "classes": _classes(trial.number, context),
        "inherited": "" if inherited is None else inherited.text,
        "measurements": [*measurement_texts(attributes), *(["damaged", text] for text in damage_of([trial]).values())],
        "predictions": prediction_texts(attributes),
        **ending(trial, context.folder),
        "commands": trial_commands(trial, context.folder),
    }
    return {"number": trial.number, "architecture": architecture, **_present(entries)}


def detail_of_curve(trial: AnyTrial) -> dict[str, Any]:
    """The key `curve` of a detail; empty for a trial without a curve."""
    return _present({"curve": curve_columns(trial.user_attrs.get("curve") or ())})


def _present(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value not in (None, "", [], {})}


def curve_columns(curve: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """A learning curve as a list for each key, rounded to `CURVE_DIGITS` digits; keys without a value are left out."""
    keys = dict.fromkeys(key for entry in curve for key in entry)
    columns = {key: [_rounded(entry.get(key)) for entry in curve] for key in keys}
    return {key: values for key, values in columns.items() if any(value is not None for value in values)}


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{CURVE_DIGITS}g}") if math.isfinite(value) else None


def _environment(trial: AnyTrial, environments: Sequence[Mapping[str, Any]]) -> str:
    """The environment of the search that ran the trial."""
    if trial.datetime_start is None or not environments:
        return ""
    return environment_text(environment_of(environments, trial.datetime_start, trial.user_attrs.get(DRIVER)))


def _times(trial: AnyTrial) -> dict[str, Any]:
    moments = {"started": trial.datetime_start, "finished": trial.datetime_complete}
    times = {name: moment.isoformat(timespec="seconds") for name, moment in moments.items() if moment is not None}
    return times | {name: _rounded(trial.user_attrs[name]) for name in _TIMES if name in trial.user_attrs}


def _network(architecture: Mapping[str, Any] | None, tables: Mapping[str, OperatorTable]) -> dict[str, Any]:
    if not architecture:
        return {}
    known = known_architecture(architecture)
    if known is None:
        text = describe(architecture)
        return {"parts": plain_parts(text), "note": text.note}
    predicted = {
        name: {"batch_size": table.batch_size, "seconds": predicted_seconds(table, known)}
        for name, table in tables.items()
    }
    return {"parts": known_parts(known), "channels": channel_texts(known), "predicted_s": predicted}


def _classes(number: int, context: StudyContext) -> dict[str, Any]:
    stored = context.confusions.get(str(number))
    confusion = confusion_of(stored) if stored else None
    return {} if confusion is None else plain_classes(confusion, context.dataset)
