"""What the script of a report's page gets, as plain values: the tables, the figures, the architectures.

A study of 10,000 trials holds few different stages: stages and drawn boxes are stored once and named by their index, which
keeps the page a few hundred bytes a trial.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import plotly.graph_objects as go

from nas.analysis.architecture_text import boxes, mixers
from nas.analysis.results import Results, outcome
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
    pairs,
    shares_figure,
    shares_info,
)
from nas.formatting import duration, ratio, si, value_text
from nas.report.channels import channel_graphs


@dataclass(frozen=True)
class Column:
    """A column of the tables: what it says, whether it sorts as numbers, and whether only the full table shows it."""

    key: str
    label: str
    number: bool
    front: bool


def content(results: Results) -> dict[str, Any]:
    """The data of the page's script: figures, columns, a row per trial, architectures, channel graphs."""
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
        "export": f"nas export {shlex.quote(str(results.folder))}",
        "channels": channel_graphs(results),
        **_architectures(results),
    }


def _columns(results: Results) -> list[Column]:
    objectives = [Column(o.name, o.label, True, True) for o in results.objectives]
    named = {o.name for o in results.objectives}
    more = [Column(key, label, True, True) for key, label in _MORE if key not in named]
    shown = [column for column in more if results.trials[column.key].notna().any()]
    return [
        Column("trial", "trial", True, True),
        Column("state", "state", False, False),
        *objectives,
        *shown,
        Column("mixers", "mixers", False, True),
    ]


_MORE = (
    ("macs", "MACs"),
    ("params", "parameters"),
    ("images_per_s", "images/s"),
    ("test_accuracy", "test accuracy"),
    ("wall_s", "time"),
)


def _row(results: Results, columns: list[Column], row: Mapping[Any, Any]) -> dict[str, Any]:
    """A trial: per column its text, and for a column of numbers the value to sort by (None if missing)."""
    values = [_number(row[column.key]) if column.number else None for column in columns]
    entry = {"texts": [_text(results, column.key, row) for column in columns], "values": values}
    curve = [_number(item["val_accuracy"]) for item in row["curve"] if item.get("val_accuracy") is not None]
    return entry | ({"curve": curve} if curve else {})


def _text(results: Results, key: str, row: Mapping[Any, Any]) -> str:
    for objective in results.objectives:
        if objective.name == key:
            return value_text(objective, row[key], unit=False)
    match key:
        case "trial":
            return str(row[key])
        case "state":
            return outcome(row)
        case "mixers":
            return " → ".join(mixers(row["architecture"]))
        case "wall_s":
            return duration(row[key])
        case "test_accuracy":
            return ratio(row[key])
        case _:
            return si(row[key])


def _figures(results: Results, palette: Palette) -> list[dict[str, Any]]:
    """Each figure with its heading; none without a complete trial."""
    if results.complete.empty:
        return []
    drawn = [
        _figure(
            f"{y.label} against {x.label}",
            front_figure(front_info(results, x, y), palette, legend=number == 0),
            wide=number == 0,
        )
        for number, (x, y) in enumerate(pairs(results.objectives))
    ]
    if not drawn:
        (only,) = results.objectives
        drawn.append(_figure(f"{only.label} over trials", history_figure(objective_info(results, only)), wide=True))
    drawn.append(_figure("Hypervolume over trials", history_figure(hypervolume_info(results))))
    shares = shares_info(results)
    if shares.mixers:
        drawn.append(_figure("Mixers: share of blocks", shares_figure(shares)))
    curves = curves_info(results)
    if curves.trials:
        alone = len(drawn) % 2 == 1  # the first is wide: an odd number fills its rows
        drawn.append(_figure("Learning curves of the front", curves_figure(curves, palette), wide=alone))
    return drawn


def _figure(title: str, figure: go.Figure, wide: bool = False) -> dict[str, Any]:
    plain = figure.to_plotly_json()
    return {"title": title[:1].upper() + title[1:], "wide": wide, "data": plain["data"], "layout": plain["layout"]}


def _architectures(results: Results) -> dict[str, Any]:
    """The architectures, each as [frame, stages..., boxes...] by index into tables of what differs."""
    frames, stages, drawn = _Table(), _Table(), _Table()
    entries: list[list[list[int]] | None] = []
    for architecture in results.trials["architecture"]:
        if not architecture:
            entries.append(None)
            continue
        frame = {key: value for key, value in architecture.items() if key != "stages"}
        entries.append(
            [
                [frames.index(frame)],
                stages.indices(architecture["stages"]),
                drawn.indices(asdict(box) for box in boxes(architecture)),
            ]
        )
    return {"architectures": entries, "frames": frames.items, "stages": stages.items, "boxes": drawn.items}


class _Table:
    """Items by order of first appearance, each once."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._places: dict[str, int] = {}

    def index(self, item: Any) -> int:
        key = json.dumps(item)
        if key not in self._places:
            self._places[key] = len(self.items)
            self.items.append(item)
        return self._places[key]

    def indices(self, items: Iterable[Any]) -> list[int]:
        return [self.index(item) for item in items]


def _number(value: Any) -> float | None:
    """Seven digits of a finite number, else None."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.7g}")
