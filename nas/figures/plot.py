"""How each figure of a study looks: one thin plotly function per info.

A colour and a symbol stand for a mixer, the same in every figure of a study; the colours are Okabe and Ito's, which
colour-blind eyes tell apart. Points carry their trial's number as `customdata`, a plain list, so that a page can tell
which one was clicked. Backgrounds are transparent: the page decides between light and dark.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from nas.analysis.architecture_text import mixers
from nas.analysis.results import Results
from nas.figures.info import UNKNOWN, Axis, CurvesInfo, FrontInfo, HistoryInfo, SharesInfo

PLOTLY_CONFIG: Final[dict[str, Any]] = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}
"""Plotly's configuration for every figure: no logo, nothing that uploads."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8A6D3B", "#7F7F7F")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon", "star", "hexagon")
TEXT_COLOUR, _GRID, TRANSPARENT = "#55606e", "rgba(128,140,155,0.25)", "rgba(0,0,0,0)"
_MANY_POINTS = 2000  # above, points are drawn by WebGL


@dataclass(frozen=True)
class Palette:
    """The colour and symbol of each mixer of a study."""

    mixers: tuple[str, ...]

    @classmethod
    def of(cls, results: Results) -> Palette:
        """Every mixer of the study in alphabetical order, so that colours do not depend on the order of trials."""
        found = {name for architecture in results.trials["architecture"] for name in mixers(architecture)}
        return cls((*sorted(found), UNKNOWN))

    def colour(self, mixer: str) -> str:
        """Its colour."""
        return COLOURS[self.mixers.index(mixer) % len(COLOURS)]

    def symbol(self, mixer: str) -> str:
        """Its symbol; colours and symbols come round at different numbers, so that the pair stays unique for long."""
        return _SYMBOLS[self.mixers.index(mixer) % len(_SYMBOLS)]


def front_figure(info: FrontInfo, palette: Palette, legend: bool = True) -> go.Figure:
    """All trials faint, those on the study's front strong, the trade-off of the two objectives as a step line."""
    figure = _figure(info.x, info.y)
    scatter = go.Scattergl if len(info.trials) > _MANY_POINTS else go.Scatter
    step = {"color": TEXT_COLOUR, "width": 1.5, "shape": info.step_shape, "dash": "dot"}
    figure.add_trace(
        go.Scatter(x=info.step_x, y=info.step_y, mode="lines", line=step, hoverinfo="skip", showlegend=False)
    )
    present = [name for name in palette.mixers if name in set(info.mixers)]
    for strong in (False, True):
        for mixer in present:
            chosen = [i for i, name in enumerate(info.mixers) if name == mixer and info.on_front[i] == strong]
            if chosen:
                figure.add_trace(scatter(**_points(info, chosen, palette, mixer, strong)))
    for mixer in present:  # the legend's own entries, so that each mixer has exactly one
        marker = {"color": palette.colour(mixer), "symbol": palette.symbol(mixer), "size": 10}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=mixer, legendgroup=mixer, marker=marker))
    figure.update_layout(legend_title_text="last stage's mixer", hovermode="closest", showlegend=legend)
    return figure


def history_figure(info: HistoryInfo) -> go.Figure:
    """A value over trials, with the best so far as a step line."""
    figure = _figure(Axis("trial", "trial", False, "d"), info.axis)
    _count(figure, max(info.trials, default=0))
    if info.values != info.best:
        marker = {"color": COLOURS[0], "size": 6, "opacity": 0.45}
        common = {"customdata": info.trials, "showlegend": False}
        hover = f"trial %{{x}}<br>%{{y:{info.axis.hover}}}<extra></extra>"
        figure.add_trace(
            go.Scatter(x=info.trials, y=info.values, mode="markers", marker=marker, hovertemplate=hover, **common)
        )
    figure.add_trace(
        go.Scatter(
            x=info.trials,
            y=info.best,
            mode="lines" if len(info.trials) > 1 else "markers",
            line={"color": COLOURS[0], "width": 2, "shape": "hv"},
            customdata=info.trials,
            hovertemplate=f"after trial %{{x}}: %{{y:{info.axis.hover}}}<extra></extra>",
            showlegend=False,
        )
    )
    return figure


def curves_figure(info: CurvesInfo, palette: Palette) -> go.Figure:
    """Validation accuracy over epochs, a line per trial of the front in the colour of its last stage's mixer."""
    figure = _figure(
        Axis("epoch", "epoch", False, "d"), Axis("validation accuracy", "validation accuracy", False, ".4f")
    )
    _count(figure, max((epoch for epochs in info.epochs for epoch in epochs), default=0))
    for mixer in [name for name in palette.mixers if name in set(info.mixers)]:
        x: list[int | None] = []
        y: list[float | None] = []
        trials: list[int | None] = []
        for i in [i for i, name in enumerate(info.mixers) if name == mixer]:
            x += [*info.epochs[i], None]  # a gap between two trials
            y += [*info.accuracies[i], None]
            trials += [info.trials[i]] * len(info.epochs[i]) + [None]
        hover = "trial %{customdata}<br>epoch %{x}: %{y:.4f}<extra></extra>"
        line = {"color": palette.colour(mixer), "width": 1.5}
        figure.add_trace(
            go.Scatter(x=x, y=y, mode="lines", line=line, customdata=trials, name=mixer, hovertemplate=hover)
        )
    figure.update_layout(hovermode="closest", legend_title_text="last stage's mixer")
    return figure


def shares_figure(info: SharesInfo) -> go.Figure:
    """A pair of bars per mixer: its share of blocks on the front beside its share overall."""
    figure = _figure(Axis("share of blocks", "share of blocks", False, ".1%"), Axis("", "", False, ""))
    for name, values, colour in (
        ("on the front", info.on_front, COLOURS[0]),
        ("all complete trials", info.overall, "#b4bcc6"),
    ):
        hover = f"%{{y}}: %{{x:.1%}} {name}<extra></extra>"
        figure.add_trace(
            go.Bar(x=values, y=info.mixers, name=name, orientation="h", marker_color=colour, hovertemplate=hover)
        )
    figure.update_layout(barmode="group", bargap=0.3, hovermode="closest")
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False, ticklabelstandoff=6)
    return figure


def _points(info: FrontInfo, chosen: list[int], palette: Palette, mixer: str, strong: bool) -> dict[str, Any]:
    """The arguments of the trace of one mixer's points, strong on the front."""
    bright = {"size": 11, "opacity": 1.0, "line": {"width": 1, "color": "rgba(255,255,255,0.7)"}}
    faint = {"size": 7, "opacity": 0.4} if len(info.trials) <= _MANY_POINTS else {"size": 5, "opacity": 0.25}
    return {
        "x": [info.x_values[i] for i in chosen],
        "y": [info.y_values[i] for i in chosen],
        "customdata": [info.trials[i] for i in chosen],
        "text": [info.texts[i] for i in chosen],
        "mode": "markers",
        "name": mixer,
        "legendgroup": mixer,
        "showlegend": False,
        "marker": {"color": palette.colour(mixer), "symbol": palette.symbol(mixer), **(bright if strong else faint)},
        "hovertemplate": f"%{{text}}<br>{_hover('y', info.y)}<br>{_hover('x', info.x)}<extra></extra>",
    }


def _hover(letter: str, axis: Axis) -> str:
    """A value in the pointer's box: "MACs 1.23M"."""
    return f"{html.escape(axis.name)} %{{{letter}:{axis.hover}}}"


def _count(figure: go.Figure, highest: int) -> None:
    """The x axis counts: no half epochs where there is room for every whole one."""
    if highest <= 12:
        figure.update_xaxes(dtick=1)


def apply_style(figure: go.Figure) -> None:
    """The house's look; backgrounds are transparent, the page decides between light and dark."""
    figure.update_layout(
        template="none",
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        font={"family": "system-ui, sans-serif", "size": 12, "color": TEXT_COLOUR},
        modebar={"bgcolor": TRANSPARENT, "color": TEXT_COLOUR, "activecolor": COLOURS[0]},
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(gridcolor=_GRID, zeroline=False, ticks="outside", tickcolor=_GRID, automargin=True, title_standoff=10)


def _figure(x: Axis, y: Axis) -> go.Figure:
    """An empty figure with the house's axes."""
    figure = go.Figure()
    apply_style(figure)
    figure.update_layout(
        margin={"l": 64, "r": 16, "t": 16, "b": 52},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"font": {"size": 12}}},
        hoverlabel={"align": "left"},
    )
    for update, axis in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        update(
            title_text=axis.label,
            type="log" if axis.log else None,
            exponentformat="SI",
            rangemode="tozero" if axis.from_zero else "normal",
        )
    return figure
