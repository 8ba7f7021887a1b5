"""A study as the JSON that the page's script reads.

A document is the whole study, a change is what differs since an earlier one. Trials are columns (`nas.page.arrays`), the row of a
trial is its number:

    key, name, folder    of the study; `key` identifies it among the studies of a page
    live, writable       whether a server sends changes, and takes notes and pins
    searching            whether a search runs now
    cursor, count        the trials that were read (`nas.study.database.reader.Cursor`), and their number
    objectives           as `Objective.to_dict`, with `limit`, the worst value allowed or null
    fields, columns      `nas.page.fields.Field`, and the values by key
    curves               validation accuracy by epoch of all trials, one after another: `values` and `offsets`
    history              each trial that ever entered the front, the hypervolume after it, and the trial that removed it or -1
    segments             which worker trained which trial when (`encode_segments`)
    drivers              who searches it (`nas.page.drivers.plain_drivers`)
    retrained            its full trainings (`nas.page.retrained.plain_retrained`)
    rungs                `nas.analysis.rungs.RungRow`; empty without a scheduler
    noise                {"accuracy": standard deviation between trainings of one architecture, or null if not measured}
    references           marks beside the trials: [{"label", "kind": "preset" or "study", "values": {objective: value}}]
    meta                 texts about the study and its data
    notes, pins          of the user
    analysis             findings that take a while: {"health", "importance", ...}, or null while they are not known

A change has `rows` with `index`, `columns`, `curves` and `segments` in place of those of all trials, and leaves out what stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.analysis.columns import StudyColumns
from nas.analysis.fidelity_file import read_fidelity
from nas.analysis.segment_columns import SECONDS
from nas.analysis.study_text import dataset_line, environment_lines, search_line
from nas.formatting import finite_or_none
from nas.page.arrays import Kind, encode, encode_codes
from nas.page.data import data_summary
from nas.page.fields import Field, fields_of
from nas.page.references import references
from nas.page.retrained import no_retrained
from nas.study.info import StudyInfo


@dataclass(frozen=True)
class PageState:
    """What a page says of a study besides its content.

    Args:
        key: identifies the study among those of the page.
        cursor: the trials that were read.
        is_live: whether a server sends changes.
        is_writable: whether notes and pins can be stored.
        is_searching: whether a search runs now.
        drivers: who searches it (`nas.page.drivers.plain_drivers`).
        retrained: its full trainings (`nas.page.retrained.plain_retrained`).
    """

    key: str
    cursor: str = ""
    is_live: bool = False
    is_writable: bool = False
    is_searching: bool = False
    drivers: Sequence[Mapping[str, Any]] = ()
    retrained: Mapping[str, Any] = field(default_factory=no_retrained)


def document(info: StudyInfo, columns: StudyColumns, state: PageState) -> dict[str, Any]:
    """The whole study as plain JSON."""
    fields = fields_of(columns)
    return {
        "key": state.key,
        "live": state.is_live,
        **state_parts(state, columns.count),
        **study_parts(info),
        **trial_parts(columns),
        "fields": [field.to_dict() for field in fields],
        **encode_trials(columns, fields, np.arange(columns.count)),
        "analysis": None,
    }


def state_parts(state: PageState, count: int) -> dict[str, Any]:
    """The parts that depend on what happens now."""
    now = {"writable": state.is_writable, "searching": state.is_searching, "drivers": list(state.drivers)}
    return {**now, "retrained": dict(state.retrained), "cursor": state.cursor, "count": count}


def study_parts(info: StudyInfo) -> dict[str, Any]:
    """The parts that depend on the user attributes of the study."""
    return {
        "name": info.name,
        "folder": None if info.folder is None else str(info.folder),
        "objectives": [
            objective.to_dict() | {"limit": info.limits.get(objective.name)} for objective in info.objectives
        ],
        "meta": _study_meta(info),
        "notes": info.notes,
        "pins": info.pins,
        "noise": {"accuracy": _accuracy_noise(info)},
        "references": references(info),
    }


def trial_parts(columns: StudyColumns) -> dict[str, Any]:
    """The parts that depend on all trials together, and are small."""
    return {"history": encode_history(columns), "rungs": [rung.to_dict() for rung in columns.rungs]}


def encode_trials(columns: StudyColumns, fields: Sequence[Field], rows: NDArray[np.int_]) -> dict[str, Any]:
    """What is known of the trials `rows`."""
    return {
        "columns": encode_rows(columns, fields, rows),
        "curves": encode_curves(columns, rows),
        "segments": encode_segments(columns, rows),
    }


def encode_rows(columns: StudyColumns, fields: Sequence[Field], rows: NDArray[np.int_]) -> dict[str, Any]:
    """The values of `fields` for the trials `rows`, by key."""
    return {field.key: _encode_field(columns, field, rows) for field in fields}


def _encode_field(columns: StudyColumns, field: Field, rows: NDArray[np.int_]) -> dict[str, Any]:
    count = columns.count
    if field.kind == "code":
        column = columns.texts[field.key] if field.key in columns.texts else columns.choices[field.key]
        return encode_codes(column.codes.first(count)[rows], len(column.texts))
    if field.key == "feasible":
        return encode(columns.feasible.first(count)[rows], "u1")
    if field.key == "blocks":
        return encode(columns.blocks.first(count)[rows], "f4")
    kind: Kind = "f4" if field.format in ("seconds", "int") else "f8"
    return encode(columns.numbers[field.key].first(count)[rows], kind)


def encode_curves(columns: StudyColumns, rows: NDArray[np.int_]) -> dict[str, Any]:
    """The learning curves of the trials `rows`, one after another."""
    offsets = np.concatenate([[0], np.cumsum(columns.curves.lengths(rows))])
    return {"offsets": encode(offsets, "i4"), "values": encode(columns.curves.gather(rows), "f4")}


def encode_segments(columns: StudyColumns, rows: NDArray[np.int_]) -> dict[str, Any]:
    """The segments of the trials `rows`, one after another, and all names that their codes stand for."""
    table = columns.segments.table(rows)
    seconds = {name: encode(table.seconds[:, column], "f4") for column, name in enumerate(SECONDS)}
    return {
        "workers": columns.segments.workers,
        "outcomes": columns.segments.outcomes,
        "trial": encode(table.trial, "i4"),
        "worker": encode(table.worker, "i4"),
        "outcome": encode(table.outcome, "i4"),
        "start": encode(table.start, "f8"),
        "end": encode(table.end, "f8"),
        **seconds,
    }


def encode_history(columns: StudyColumns) -> dict[str, Any]:
    """Every trial that entered the front, in the order of finishing."""
    entries = columns.front.entries
    return {
        "trial": encode([entry.trial for entry in entries], "i4"),
        "hypervolume": encode(columns.front.hypervolumes, "f8"),
        "removed_by": encode([entry.removed_by for entry in entries], "i4"),
    }


def _accuracy_noise(info: StudyInfo) -> float | None:
    """The standard deviation between trainings of one architecture; None unless `nas fidelity` has measured it."""
    if info.folder is None:
        return None
    measured = read_fidelity(info.folder, (info.config.get("train") or {}).get("epochs"))
    return None if measured is None else finite_or_none(measured.noise)


def _study_meta(info: StudyInfo) -> dict[str, Any]:
    """The texts and settings of a study as plain JSON."""
    return {
        "lines": [dataset_line(info), search_line(info), *environment_lines(info)],
        "config": info.config,
        "dataset": info.dataset,
        "data": data_summary(info.dataset),
        "space_size": None if info.space_size is None else str(info.space_size),
        "target": info.attributes.get("target") or {"trials": info.config.get("trials")},
        "end_reason": info.end_reason,
    }
