"""Small standalone HTML for notebooks: a study and its front. Every text of a study is escaped.

`results_html` and `front_html` return a fragment without scripts and with inline styles only, fit for `_repr_html_`. They take
a `StudyResults`, the part of `nas.analysis.results.Results` that they read.

The front is drawn as an image in the page (a `data:` address): it needs no network, and also notebooks that are not trusted show
it, from which Jupyter removes scripts and `<svg>`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from nas.analysis.architecture_text import mixer_names
from nas.analysis.front_picture import DrawnStudy, front_svg, picture_text
from nas.formatting import count, ratio, si, value_text
from nas.objectives import Objective

_NOTE = "opacity:.7;font-size:.9em"


class StudyResults(DrawnStudy, Protocol):
    """What these functions read of a study's results."""

    @property
    def name(self) -> str:
        """The study's name."""

    @property
    def folder(self) -> Path:
        """The study's folder."""

    @property
    def further_objectives(self) -> tuple[Objective, ...]:
        """The objectives that tables show although the study does not optimise them."""

    @property
    def state_counts(self) -> Mapping[str, int]:
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
    """The state of a study in two lines, its front as a picture and as a table."""
    states = ", ".join(f"{number} {state}" for state, number in results.state_counts.items()) or "no trials yet"
    lines = [states]
    if results.best is not None:
        lines.append(f"best: trial {results.best['trial']}, {', '.join(_best_values(results, results.best))}")
    front = f"front: {count(len(results.front), 'trial')}, hypervolume {ratio(results.hypervolume)}"
    title = f"<strong>{_escape(results.name)}</strong> <span style='{_NOTE}'>{_escape(results.folder)}</span>"
    text = "<br>".join(map(_escape, [*lines, front]))
    return f"<div><p>{title}<br>{text}</p>{front_image(results)}{front_html(results)}</div>"


def front_image(results: StudyResults) -> str:
    """The picture of the front (`nas.analysis.front_picture`) as an `<img>`; empty if there is nothing to draw."""
    svg = front_svg(results)
    if not svg:
        return ""
    source = base64.b64encode(svg.encode()).decode()
    text = _escape(picture_text(results, len(results.front)))
    return f"<img alt='{text}' style='max-width:100%' src='data:image/svg+xml;base64,{source}'>"


def front_html(results: StudyResults) -> str:
    """The Pareto front as a table: objectives, MACs, parameters, mixers; the best trial in bold."""
    costs = [objective for objective in results.further_objectives if objective.cheap]
    heads = ["trial", *(o.label for o in results.objectives), *(o.unit_label for o in costs), "mixers"]
    best = None if results.best is None else results.best["trial"]
    rows = []
    for row in results.front.to_dict("records"):
        values = [value_text(o, row[o.name], unit=False) for o in results.objectives]
        texts = [str(row["trial"]), *values, *(si(row[o.name]) for o in costs)]
        cells = map(_escape, [*texts, " → ".join(mixer_names(row["architecture"]))])
        rows.append([f"<b>{cell}</b>" if row["trial"] == best else cell for cell in cells])
    return _table(map(_escape, heads), rows)


def _best_values(results: StudyResults, best: pd.Series[Any]) -> list[str]:
    """The objectives with units: "validation accuracy 0.9722", "MACs 6.59 M"."""
    return [f"{o.label} {value_text(o, best[o.name], unit=o.unit != o.label)}" for o in results.objectives]


def _table(heads: Iterable[str], rows: Iterable[list[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _escape(text: object) -> str:
    return html.escape(str(text))
