"""Small standalone HTML for notebooks: a study and its front. Every text of a study is escaped.

`results_html` and `front_html` return a fragment without scripts and with inline styles only, fit for `_repr_html_`. They take
a `StudyResults`, the part of `nas.analysis.results.Results` that they read.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from nas.analysis.architecture_text import mixer_names
from nas.formatting import count, ratio, si, value_text
from nas.objectives import Objective

_NOTE = "opacity:.7;font-size:.9em"


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
    """The state of a study in two lines, and its front as a table."""
    states = ", ".join(f"{number} {state}" for state, number in results.state_counts.items()) or "no trials yet"
    lines = [states]
    if results.best is not None:
        lines.append(f"best: trial {results.best['trial']}, {', '.join(_best_values(results, results.best))}")
    front = f"front: {count(len(results.front), 'trial')}, hypervolume {ratio(results.hypervolume)}"
    title = f"<strong>{_escape(results.name)}</strong> <span style='{_NOTE}'>{_escape(results.folder)}</span>"
    text = "<br>".join(map(_escape, [*lines, front]))
    return f"<div><p>{title}<br>{text}</p>{front_html(results)}</div>"


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
