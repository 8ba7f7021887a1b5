"""The data of a report's script as plain JSON: tables, figures, architectures.

The architectures of 10,000 trials share few different stages. Stages and described parts are stored once and referred to by
index, which keeps the page at a few hundred bytes a trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas.analysis.architecture_text import describe, mixer_names
from nas.analysis.results import Results
from nas.figures import (
    PLOTLY_CONFIG,
    Palette,
    curves_figure,
    curves_info,
    front_figure,
    front_info,
    history_figure,
    hypervolume_info,
    objective_info,
    objective_pairs,
    shares_figure,
    shares_info,
)
from nas.formatting import duration, ratio, shell_path, si, value_text
from nas.html import figure_record
from nas.report.channels import channel_graphs
from nas.report.classes import class_results


@dataclass(frozen=True)
class Column:
    """A column of the tables.

    Args:
        key: the column of `Results.trials`.
        label: its heading.
        number: whether it is sorted by number.
        front: whether the table of the front shows it too.
    """

    key: str
    label: str
    number: bool
    front: bool


def content(results: Results) -> dict[str, Any]:
    """The data of the script: figures, columns, a row per trial, architectures, channel graphs."""
    columns = _columns(results)
    best = results.best
    palette = Palette.of(results)
    return {
        "config": PLOTLY_CONFIG,
        "figures": _figures(results, palette),
        "columns": [asdict(column) for column in columns],
        "rows": [_row(results, columns, row) for row in results.trials.to_dict("records")],
        "front": [int(number) for number in results.front["trial"]],
        "best": None if best is None else int(best["trial"]),
        "colours": {name: palette.colour(name) for name in palette.mixers},
        "export": f"nas export {shell_path(results.folder)}",
        "channels": channel_graphs(results),
        "classes": class_results(results),
        **_architectures(results),
    }


def _columns(results: Results) -> list[Column]:
    objectives = [Column(o.name, o.label, True, True) for o in results.objectives]
    candidates = [Column(o.name, o.unit_label, True, True) for o in results.further_objectives]
    candidates += [Column("test_accuracy", "test accuracy", True, True), Column("wall_s", "time", True, True)]
    further = [column for column in candidates if results.trials[column.key].notna().any()]
    return [
        Column("trial", "trial", True, True),
        Column("state", "state", False, False),
        *objectives,
        *further,
        Column("mixers", "mixers", False, True),
    ]


def _row(results: Results, columns: list[Column], row: Mapping[Any, Any]) -> dict[str, Any]:
    """A trial: a text for each column, and for each column of numbers the value to sort by (None if missing)."""
    values = [_rounded(row[column.key]) if column.number else None for column in columns]
    entry = {"texts": [_text(results, column.key, row) for column in columns], "values": values}
    curve = [_rounded(item["val_accuracy"]) for item in row["curve"] if item.get("val_accuracy") is not None]
    return entry | ({"curve": curve} if curve else {})


def _text(results: Results, key: str, row: Mapping[Any, Any]) -> str:
    for objective in (*results.objectives, *results.further_objectives):
        if objective.name == key:
            return value_text(objective, row[key], unit=False)
    match key:
        case "trial":
            return str(row[key])
        case "state":
            return results.state_text(row)
        case "mixers":
            return " → ".join(mixer_names(row["architecture"]))
        case "wall_s":
            return duration(row[key])
        case "test_accuracy":
            return ratio(row[key])
        case _:
            return si(row[key])


def _figures(results: Results, palette: Palette) -> list[dict[str, Any]]:
    """The figures with their titles; none without a complete trial."""
    if results.complete.empty:
        return []
    figures = [
        figure_record(
            f"{y.label} against {x.label}",
            front_figure(front_info(results, x, y), palette, legend=number == 0),
            wide=number == 0,
        )
        for number, (x, y) in enumerate(objective_pairs(results.objectives))
    ]
    if not figures:
        (only,) = results.objectives
        figure = history_figure(objective_info(results, only))
        figures.append(figure_record(f"{only.label} over trials", figure, wide=True))
    figures.append(figure_record("hypervolume over trials", history_figure(hypervolume_info(results))))
    shares = shares_info(results)
    if shares.mixers:
        figures.append(figure_record("mixers: share of blocks", shares_figure(shares)))
    curves = curves_info(results)
    if any(len(accuracies) > 1 for accuracies in curves.accuracies):  # a single epoch is no curve
        is_alone = len(figures) % 2 == 1  # in its row of two, after the wide first figure
        figure = curves_figure(curves, palette)
        figures.append(figure_record("learning curves of the front", figure, wide=is_alone))
    return figures


def _architectures(results: Results) -> dict[str, Any]:
    """The architecture of each trial (None if it has none) by index into `frames`, `stages`, `parts` and `notes`.

    A frame is an architecture without its stages. `parts` are those of `describe`; `note` is there for an architecture that
    this release does not know.
    """
    frames, stages, parts, notes = _Interned(), _Interned(), _Interned(), _Interned()
    architectures: list[dict[str, Any] | None] = []
    for architecture in results.trials["architecture"]:
        if not architecture:
            architectures.append(None)
            continue
        has_stages = isinstance(architecture.get("stages"), list)
        frame = {key: value for key, value in architecture.items() if key != "stages" or not has_stages}
        text = describe(architecture)
        entry = {
            "frame": frames.index(frame),
            "stages": stages.indices(architecture["stages"]) if has_stages else None,
            "parts": parts.indices(asdict(part) for part in text.parts),
        }
        architectures.append(entry | ({"note": notes.index(text.note)} if text.note else {}))
    tables = {"frames": frames.items, "stages": stages.items, "parts": parts.items, "notes": notes.items}
    return {"architectures": architectures, **tables}


class _Interned:
    """Different items in the order of their first appearance, each stored once."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._indices: dict[str, int] = {}

    def index(self, item: Any) -> int:
        """The index of `item` in `items`, where it is added if it is new."""
        key = json.dumps(item)
        if key not in self._indices:
            self._indices[key] = len(self.items)
            self.items.append(item)
        return self._indices[key]

    def indices(self, items: Iterable[Any]) -> list[int]:
        """The index of each of `items`."""
        return [self.index(item) for item in items]


def _rounded(value: Any) -> float | None:
    """A finite number with seven significant digits, else None."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.7g}")
