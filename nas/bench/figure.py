"""The figure of a benchmark: hypervolume over trainings, a line per sampler with a band between the quartiles of its seeds.

An info (plain content), a thin plotly function, and a self-contained HTML page of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from nas import html as pages
from nas.bench.compare import Contest
from nas.bench.summary import HYPERVOLUME_TARGETS, SamplerSummary
from nas.figures.plot import COLOURS, MIDDLE_GREY, PLOTLY_CONFIG, apply_style
from nas.figures.plotly_text import plotly_text

_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class SamplerLineInfo:
    """One sampler with one number of workers; `q1`, `median` and `q3` have a share for each training."""

    name: str
    sampler: str
    workers: int
    q1: list[float]
    median: list[float]
    q3: list[float]


@dataclass(frozen=True)
class BenchmarkInfo:
    """All lines of a benchmark.

    Args:
        title: name of the table of architectures.
        lines: in the order of the legend.
    """

    title: str
    lines: list[SamplerLineInfo]


def benchmark_info(contest: Contest, summaries: Sequence[SamplerSummary]) -> BenchmarkInfo:
    """A line for each of `summaries`."""
    several_counts = len({summary.workers for summary in summaries}) > 1
    lines = []
    for summary in summaries:
        spreads = [summary.share_after(number) for number in range(1, contest.length + 1)]
        name = f"{summary.sampler}, {summary.workers} at a time" if several_counts else summary.sampler
        q1, median, q3 = ([round(getattr(spread, field), 6) for spread in spreads] for field in ("q1", "median", "q3"))
        lines.append(SamplerLineInfo(name, summary.sampler, summary.workers, q1, median, q3))
    return BenchmarkInfo(contest.table.file.name, lines)


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
        figure.add_hline(target, line={"color": MIDDLE_GREY, "width": 1, "dash": "dot"})
    apply_style(figure)
    figure.update_layout(hovermode="closest", margin={"l": 64, "r": 16, "t": 16, "b": 52})
    figure.update_xaxes(title_text="trainings", rangemode="tozero")
    figure.update_yaxes(title_text="share of the true hypervolume, higher is better")
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
        name=plotly_text(line.name),
        legendgroup=line.name,
        line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=f"{plotly_text(line.name)}<br>after %{{x}} trainings: %{{y:.4f}}<extra></extra>",
    )


def write_page(info: BenchmarkInfo, file: Path) -> None:
    """Write the figure as a self-contained HTML page; an existing file is replaced whole or not at all."""
    figure = pages.figure_record(
        "hypervolume over trainings, median and quartiles over seeds", benchmark_figure(info), wide=True
    )
    page = pages.Page(
        title=f"Samplers on {info.title}",
        header="<p>Share of the true hypervolume. Dotted lines: the targets of the benchmark.</p>",
        data={"figures": [figure], "config": PLOTLY_CONFIG},
    )
    pages.write_page(page, file)
