"""The figure of a benchmark: hypervolume over trainings, a line per sampler with a band between the quartiles of its seeds.

A plain info value, a thin plotly function, and the self-contained HTML page of both.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from nas.bench.compare import Contest
from nas.bench.summary import HYPERVOLUME_TARGETS, SamplerSummary
from nas.figures.plot import COLOURS, CONFIG, INK, dress

_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class SamplerLineInfo:
    """One sampler with one number of workers; the lists have one value per training, starting with the first."""

    name: str
    sampler: str
    workers: int
    q1: list[float]
    median: list[float]
    q3: list[float]


@dataclass(frozen=True)
class BenchmarkInfo:
    """All lines of a benchmark."""

    title: str
    lines: list[SamplerLineInfo]


def benchmark_info(contest: Contest, summaries: Sequence[SamplerSummary]) -> BenchmarkInfo:
    """One line for each of `summaries`."""
    several_counts = len({summary.workers for summary in summaries}) > 1
    lines = []
    for summary in summaries:
        spreads = [summary.share_after(number) for number in range(1, contest.length + 1)]
        name = f"{summary.sampler}, {summary.workers} at a time" if several_counts else summary.sampler
        q1, median, q3 = ([round(getattr(spread, field), 6) for spread in spreads] for field in ("q1", "median", "q3"))
        lines.append(SamplerLineInfo(name, summary.sampler, summary.workers, q1, median, q3))
    title = f"{contest.table.file.name}: share of the true hypervolume, median and quartiles over seeds"
    return BenchmarkInfo(title, lines)


def benchmark_figure(info: BenchmarkInfo) -> go.Figure:
    """A colour per sampler, a dash per number of workers, a band between the quartiles, and a thin line at each target."""
    figure = go.Figure()
    samplers = list(dict.fromkeys(line.sampler for line in info.lines))
    workers = list(dict.fromkeys(line.workers for line in info.lines))
    for line in info.lines:
        colour = COLOURS[samplers.index(line.sampler) % len(COLOURS)]
        dash = _DASHES[workers.index(line.workers) % len(_DASHES)]
        figure.add_trace(_quartile_band(line, colour))
        figure.add_trace(_median_line(line, colour, dash))
    for target in HYPERVOLUME_TARGETS:
        figure.add_hline(target, line={"color": INK, "width": 1, "dash": "dot"})
    _style(figure, info)
    return figure


def _quartile_band(line: SamplerLineInfo, colour: str) -> go.Scatter:
    x = list(range(1, len(line.median) + 1))
    return go.Scatter(
        x=x + x[::-1],
        y=line.q3 + line.q1[::-1],
        legendgroup=line.name,
        showlegend=False,
        hoverinfo="skip",
        fill="toself",
        fillcolor=colour,
        opacity=0.15,
        line={"width": 0},
        mode="lines",
    )


def _median_line(line: SamplerLineInfo, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=list(range(1, len(line.median) + 1)),
        y=line.median,
        mode="lines",
        name=html.escape(line.name),
        legendgroup=line.name,
        line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=f"{html.escape(line.name)}<br>after %{{x}} trainings: %{{y:.4f}}<extra></extra>",
    )


def _style(figure: go.Figure, info: BenchmarkInfo) -> None:
    """Set titles and axes; on a white background, since the page holds nothing else."""
    dress(figure)
    figure.update_layout(
        title={"text": html.escape(info.title), "x": 0, "xref": "paper", "font": {"size": 14}},
        height=640,
        paper_bgcolor="#ffffff",
        hovermode="closest",
    )
    figure.update_xaxes(title_text="trainings", rangemode="tozero")
    figure.update_yaxes(title_text="share of the true hypervolume, higher is better")


def write_page(info: BenchmarkInfo, file: Path) -> None:
    """Write the figure as a self-contained HTML page, which loads nothing from a network."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page = benchmark_figure(info).to_html(include_plotlyjs=True, full_html=True, config=CONFIG)
    file.write_text(page, encoding="utf-8")
