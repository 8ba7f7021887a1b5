"""The figures of a study drawn with plotly: one thin function for each info of `info.py`.

A mixer has the same colour and symbol in every figure of a study; the colours are those of Okabe and Ito, which colour-blind
readers can tell apart. Points carry the trial's number as `customdata`, a plain list, so that a page knows which one was
clicked. Backgrounds are transparent, so that the page chooses between light and dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from nas.analysis.architecture_text import mixer_names
from nas.analysis.results import Results
from nas.figures.info import UNKNOWN, Axis, CurvesInfo, FrontInfo, HistoryInfo, SharesInfo
from nas.figures.plotly_text import plotly_text

PLOTLY_CONFIG: Final[dict[str, Any]] = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}
"""Plotly's configuration for every figure: no logo and no upload button."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8A6D3B", "#7F7F7F")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon", "star", "hexagon")
TEXT_COLOUR = "#55606e"  # until the page applies its theme
MIDDLE_GREY = "#7d8896"  # of lines, visible on light and on dark pages
TRANSPARENT = "rgba(0,0,0,0)"
_GRID = "rgba(128,140,155,0.25)"
MAX_SVG_POINTS = 2000  # above, points are drawn with WebGL


@dataclass(frozen=True)
class Palette:
    """The colour and symbol of each mixer of a study."""

    mixers: tuple[str, ...]

    @classmethod
    def of(cls, results: Results) -> Palette:
        """All mixers of the study in alphabetical order, so that colours do not depend on the order of trials."""
        names = {name for architecture in results.trials["architecture"] for name in mixer_names(architecture)}
        return cls((*sorted(names), UNKNOWN))

    def colour(self, mixer: str) -> str:
        """The colour of `mixer`."""
        return COLOURS[self.mixers.index(mixer) % len(COLOURS)]

    def symbol(self, mixer: str) -> str:
        """The symbol of `mixer`; there is one more symbol than colours, so that pairs of both repeat late."""
        return _SYMBOLS[self.mixers.index(mixer) % len(_SYMBOLS)]


def front_figure(info: FrontInfo, palette: Palette) -> go.Figure:
    """All complete trials in the plane of two objectives, the study's front in strong colours.

    A dotted step line shows the Pareto front of these two objectives alone.
    """
    figure = styled_figure(info.x, info.y)
    scatter = go.Scattergl if len(info.trials) > MAX_SVG_POINTS else go.Scatter
    step = {"color": MIDDLE_GREY, "width": 1.5, "shape": info.step_shape, "dash": "dot"}
    figure.add_trace(
        go.Scatter(x=info.step_x, y=info.step_y, mode="lines", line=step, hoverinfo="skip", showlegend=False)
    )
    present = [name for name in palette.mixers if name in set(info.mixers)]
    for is_front in (False, True):
        for mixer in present:
            chosen = [i for i, name in enumerate(info.mixers) if name == mixer and info.on_front[i] == is_front]
            if chosen:
                figure.add_trace(scatter(**_points(info, chosen, palette, mixer, is_front)))
    for mixer in present:  # traces without points for the legend, so that each mixer has one entry
        marker = {"color": palette.colour(mixer), "symbol": palette.symbol(mixer), "size": 10}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=mixer, legendgroup=mixer, marker=marker))
    figure.update_layout(legend_title_text="last stage's mixer", hovermode="closest", showlegend=True)
    return figure


def history_figure(info: HistoryInfo) -> go.Figure:
    """A value over trials, with the best value so far as a step line."""
    figure = styled_figure(Axis("trial", "trial", False, "d"), info.axis)
    _tick_each_unit(figure, max(info.trials, default=0))
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
    """Validation accuracy over epochs, a line per trial on the front in the colour of its last stage's mixer."""
    figure = styled_figure(
        Axis("epoch", "epoch", False, "d"), Axis("validation accuracy", "validation accuracy", False, ".4f")
    )
    _tick_each_unit(figure, max((epoch for epochs in info.epochs for epoch in epochs), default=0))
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
    """Two bars per mixer: its share of blocks on the front and over all complete trials."""
    figure = styled_figure(Axis("share of blocks", "share of blocks", False, ".1%"), Axis("", "", False, ""))
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


def _points(info: FrontInfo, chosen: list[int], palette: Palette, mixer: str, is_front: bool) -> dict[str, Any]:
    """The arguments of the trace of one mixer's points, on the front or not."""
    bright = {"size": 11, "opacity": 1.0, "line": {"width": 1, "color": "rgba(255,255,255,0.7)"}}
    faint = {"size": 7, "opacity": 0.4} if len(info.trials) <= MAX_SVG_POINTS else {"size": 5, "opacity": 0.25}
    return {
        "x": [info.x_values[i] for i in chosen],
        "y": [info.y_values[i] for i in chosen],
        "customdata": [info.trials[i] for i in chosen],
        "text": [info.texts[i] for i in chosen],
        "mode": "markers",
        "name": mixer,
        "legendgroup": mixer,
        "showlegend": False,
        "marker": {"color": palette.colour(mixer), "symbol": palette.symbol(mixer), **(bright if is_front else faint)},
        "hovertemplate": f"%{{text}}<br>{_hover('y', info.y)}<br>{_hover('x', info.x)}<extra></extra>",
    }


def _hover(letter: str, axis: Axis) -> str:
    """A line of the hover box: "MACs 1.23M"."""
    return f"{plotly_text(axis.name)} %{{{letter}:{axis.hover}}}"


def _tick_each_unit(figure: go.Figure, highest: int) -> None:
    """A tick at every whole number of a short x axis, so that plotly draws none at half epochs."""
    if highest <= 12:
        figure.update_xaxes(dtick=1)


def apply_style(figure: go.Figure) -> None:
    """Fonts, colours and axes of every figure; backgrounds are transparent, the page chooses between light and dark."""
    figure.update_layout(
        template="none",
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        font={"family": "system-ui, sans-serif", "size": 12, "color": TEXT_COLOUR},
        modebar={"bgcolor": TRANSPARENT, "color": TEXT_COLOUR, "activecolor": COLOURS[0]},
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(gridcolor=_GRID, zeroline=False, ticks="outside", tickcolor=_GRID, automargin=True, title_standoff=10)


def styled_figure(x: Axis, y: Axis) -> go.Figure:
    """An empty figure with two styled axes."""
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
