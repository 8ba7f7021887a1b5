"""Small standalone HTML for notebooks: a study, its front, an architecture. Every text of a study is escaped.

`results_html`, `front_html` and `architecture_html` return a fragment without scripts and with inline styles only, fit for
`_repr_html_`. They take a `StudyResults`, the part of `nas.analysis.results.Results` that they read.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from nas.analysis.architecture_text import PartText, PlainArchitecture, describe, mixer_names
from nas.formatting import TIMES, count, ratio, si, value_text
from nas.objectives import Objective

_BOX = "border:1px solid #8888;border-radius:4px;padding:.3em .6em;margin:.3em 0;max-width:42em"
_NOTE = "opacity:.7;font-size:.9em"
_COSTS = (("macs", "MACs"), ("params", "parameters"))


class StudyResults(Protocol):
    """What these functions read of a study's results."""

    @property
    def name(self) -> str:
        """The study's name."""

    @property
    def folder(self) -> Path:
        """The study's folder."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives in the study's order."""

    @property
    def counts(self) -> Mapping[str, int]:
        """State -> number of trials."""

    @property
    def front(self) -> pd.DataFrame:
        """The trials on the Pareto front, a row each."""

    @property
    def best(self) -> pd.Series[Any] | None:
        """The best trial; None if no trial is complete."""

    @property
    def hypervolume(self) -> float:
        """The hypervolume of the front, 0 to 1."""


def results_html(results: StudyResults) -> str:
    """The state of a study in two lines, and its front as a table."""
    states = ", ".join(f"{number} {state}" for state, number in results.counts.items()) or "no trials yet"
    lines = [states]
    if results.best is not None:
        lines.append(f"best: trial {results.best['trial']}, {', '.join(_best_values(results, results.best))}")
    front = f"front: {count(len(results.front), 'trial')}, hypervolume {ratio(results.hypervolume)}"
    title = f"<strong>{_escape(results.name)}</strong> <span style='{_NOTE}'>{_escape(results.folder)}</span>"
    text = "<br>".join(map(_escape, [*lines, front]))
    return f"<div><p>{title}<br>{text}</p>{front_html(results)}</div>"


def front_html(results: StudyResults) -> str:
    """The Pareto front as a table: objectives, MACs, parameters, mixers; the best trial in bold."""
    names = {objective.name for objective in results.objectives}
    costs = [(key, label) for key, label in _COSTS if key not in names and key in results.front]
    heads = ["trial", *(o.label for o in results.objectives), *(label for _, label in costs), "mixers"]
    best = None if results.best is None else results.best["trial"]
    rows = []
    for row in results.front.to_dict("records"):
        values = [value_text(o, row[o.name], unit=False) for o in results.objectives]
        texts = [str(row["trial"]), *values, *(si(row[key]) for key, _ in costs)]
        cells = map(_escape, [*texts, " → ".join(mixer_names(row["architecture"]))])
        rows.append([f"<b>{cell}</b>" if row["trial"] == best else cell for cell in cells])
    return _table(map(_escape, heads), rows)


def architecture_html(architecture: PlainArchitecture) -> str:
    """An architecture as a column of boxes from the image to the head.

    Args:
        architecture: as JSON, `Architecture.to_dict()`.
    """
    text = describe(architecture)
    note = f"<p><em>{_escape(text.note)}</em></p>" if text.note else ""
    return f"<div>{note}{''.join(map(_part_html, text.parts))}</div>"


def _best_values(results: StudyResults, best: pd.Series[Any]) -> list[str]:
    """The objectives with units: "validation accuracy 0.9722", "MACs 6.59 M"."""
    return [f"{o.label} {value_text(o, best[o.name], unit=o.unit != o.label)}" for o in results.objectives]


def _part_html(part: PartText) -> str:
    depth = f"{part.depth} {TIMES} " if part.mixer else ""
    lines = [part.transition] if part.transition else []
    layers = [f"<b>{_escape(name)}</b> {_escape(options)}".strip() for name, options in part.layers]
    body = [f"<div style='{_NOTE}'>{_escape(line)}</div>" for line in lines]
    body += [f"<div>{depth if index == 0 else ''}{layer}</div>" for index, layer in enumerate(layers)]
    body += [f"<div style='{_NOTE}'>{_escape(part.notes)}</div>"] if part.notes else []
    head = f"<div><b>{_escape(part.title)}</b> <span style='float:right'>{_escape(part.shape)}</span></div>"
    return f"<div style='{_BOX}'>{head}{''.join(body)}</div>"


def _table(heads: Iterable[str], rows: Iterable[list[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _escape(text: object) -> str:
    return html.escape(str(text))
