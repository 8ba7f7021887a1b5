"""The figure of a benchmark: hypervolume over trainings, a line per sampler with a band from quartile to quartile of its seeds.

A pure info, a thin plotly function, and the self-contained HTML page of both.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from nas.bench.compare import Contest
from nas.bench.summary import TARGETS, Summary
from nas.figures.plot import COLOURS, PLOTLY_CONFIG, TEXT_COLOUR, apply_style

_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class LineInfo:
    """One sampler with one number of workers; the lists have an entry per training, from the first on."""

    name: str
    sampler: str
    workers: int
    q1: list[float]
    median: list[float]
    q3: list[float]


@dataclass(frozen=True)
class RaceInfo:
    """All of a benchmark's lines."""

    title: str
    lines: list[LineInfo]


def race_info(contest: Contest, found: Sequence[Summary]) -> RaceInfo:
    """The lines of `found`."""
    several = len({summary.workers for summary in found}) > 1
    lines = []
    for summary in found:
        spreads = [summary.share_at(number) for number in range(1, contest.length + 1)]
        name = f"{summary.sampler}, {summary.workers} at a time" if several else summary.sampler
        q1, median, q3 = ([round(getattr(one, field), 6) for one in spreads] for field in ("q1", "median", "q3"))
        lines.append(LineInfo(name, summary.sampler, summary.workers, q1, median, q3))
    return RaceInfo(f"{contest.table.file.name}: share of the true hypervolume, median and quartiles over seeds", lines)


def race_figure(info: RaceInfo) -> go.Figure:
    """A colour per sampler, a dash per number of workers; a band between the quartiles; the targets as thin lines."""
    figure = go.Figure()
    samplers = list(dict.fromkeys(line.sampler for line in info.lines))
    workers = list(dict.fromkeys(line.workers for line in info.lines))
    for line in info.lines:
        colour = COLOURS[samplers.index(line.sampler) % len(COLOURS)]
        x = list(range(1, len(line.median) + 1))
        band = {"fill": "toself", "fillcolor": colour, "opacity": 0.15, "line": {"width": 0}, "mode": "lines"}
        figure.add_trace(
            go.Scatter(
                x=x + x[::-1],
                y=line.q3 + line.q1[::-1],
                legendgroup=line.name,
                showlegend=False,
                hoverinfo="skip",
                **band,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=x,
                y=line.median,
                mode="lines",
                name=html.escape(line.name),
                legendgroup=line.name,
                line={"color": colour, "width": 2, "dash": _DASHES[workers.index(line.workers) % len(_DASHES)]},
                hovertemplate=f"{html.escape(line.name)}<br>after %{{x}} trainings: %{{y:.4f}}<extra></extra>",
            )
        )
    for target in TARGETS:
        figure.add_hline(target, line={"color": TEXT_COLOUR, "width": 1, "dash": "dot"})
    _apply_style(figure, info)
    return figure


def _apply_style(figure: go.Figure, info: RaceInfo) -> None:
    """On white: the page holds nothing else."""
    apply_style(figure)
    figure.update_layout(
        title={"text": html.escape(info.title), "x": 0, "xref": "paper", "font": {"size": 14}},
        height=640,
        paper_bgcolor="#ffffff",
        hovermode="closest",
    )
    figure.update_xaxes(title_text="trainings", rangemode="tozero")
    figure.update_yaxes(title_text="share of the true hypervolume, higher is better")


def write(info: RaceInfo, file: Path) -> None:
    """Write the figure as an HTML page that asks nothing of any network."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page = race_figure(info).to_html(include_plotlyjs=True, full_html=True, config=PLOTLY_CONFIG)
    file.write_text(page, encoding="utf-8")
