"""The figures of a fidelity run: for each one an info (plain content) and a thin plotly function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from nas.fidelity.tables import cost_text, interval_text, label_text
from nas.fidelity.values import FAMILIES, Findings, RankingMethod
from nas.figures.plot import COLOURS, MIDDLE_GREY, apply_style
from nas.figures.plotly_text import plotly_text
from nas.formatting import count, si

_SYMBOLS = ("star", "diamond", "circle", "square", "triangle-up", "triangle-down", "cross", "x", "hexagon")
_COLOURS = (*COLOURS, "#B03A48")
_LABEL_POSITIONS = {
    "cut": "bottom left",
    "epochs": "top left",
}  # elsewhere "middle right"; these two families have similar costs
_JOINED_FAMILIES = ("cut", "epochs", "images")  # whose members differ in one amount
_DECADES = {10.0**power: f"{10.0 ** (power + 2):.{max(0, -power - 2)}f} %" for power in range(-7, 3)}


@dataclass(frozen=True)
class Mark:
    """A ranking method as a point: Kendall's tau, with its interval, over cost.

    Args:
        family: a key of `FAMILIES`.
        short: the label beside the mark.
        text: HTML of the hover box.
        cost: as a share of the proxy's.
        tau: Kendall's tau with the reference.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    family: str
    short: str
    text: str
    cost: float
    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class CostInfo:
    """All ways of ranking that have a cost and a correlation.

    Args:
        marks: the marks, by ascending cost.
        proxy_tau: tau of the study's proxy; None if it is unknown.
        zero_cost: the position of costs near zero on the logarithmic axis: a third of the smallest other cost.
    """

    marks: list[Mark]
    proxy_tau: float | None
    zero_cost: float


@dataclass(frozen=True)
class AccuracyInfo:
    """Architectures by their accuracy at the proxy (x) and at the large budget (y); lists have an entry for each.

    `x` and `y` are means over seeds, `x_range` and `y_range` the lowest and the highest seed. `x_rank` and `y_rank` are the
    ranks of the means, from 1 for the best; equal means share the mean of their ranks.
    """

    proxy_epochs: int
    large_epochs: int
    x_rank: list[float]
    y_rank: list[float]
    x: list[float]
    y: list[float]
    x_range: list[tuple[float, float]]
    y_range: list[tuple[float, float]]
    log_macs: list[float]
    texts: list[str]


def cost_info(findings: Findings) -> CostInfo:
    """Correlation over cost."""
    marks = []
    for proxy in reversed(findings.proxies):
        tau = proxy.kendall
        if not proxy.cost or math.isnan(tau.value):
            continue
        low, high = (tau.value if math.isnan(end) else end for end in (tau.low, tau.high))
        lines = (f"tau {interval_text(tau)}", f"rho {interval_text(proxy.spearman)}", f"{cost_text(proxy)} of the cost")
        text = "<br>".join(plotly_text(line) for line in (label_text(findings, proxy), *lines))
        marks.append(Mark(proxy.family, _short_label(proxy), text, proxy.cost, tau.value, low, high))
    proxy_tau = next((mark.tau for mark in marks if mark.family == "proxy"), None)
    return CostInfo(marks, proxy_tau, min((mark.cost for mark in marks if mark.family != "cost"), default=1.0) / 3)


def _short_label(proxy: RankingMethod) -> str:
    """The label beside a mark; within a family, what distinguishes its members."""
    if proxy.family == "images":
        return proxy.label.partition(" ")[0]
    if proxy.family == "epochs":
        return f"{proxy.label.partition(' ')[0]} ep."
    if proxy.family == "cut":
        return f"at {proxy.name.partition('/')[2]}"
    return proxy.label if proxy.family in ("score", "cost") else ""


def accuracy_info(findings: Findings) -> AccuracyInfo:
    """The architectures that have both accuracies."""
    points = [point for point in findings.points if point.proxy and point.large]
    x = [sum(point.proxy) / len(point.proxy) for point in points]
    y = [sum(point.large) / len(point.large) for point in points]
    return AccuracyInfo(
        proxy_epochs=findings.noise["proxy"].epochs,
        large_epochs=findings.noise["large"].epochs,
        x_rank=_ranks(x),
        y_rank=_ranks(y),
        x=x,
        y=y,
        x_range=[(min(point.proxy), max(point.proxy)) for point in points],
        y_range=[(min(point.large), max(point.large)) for point in points],
        log_macs=[math.log10(point.macs) for point in points],
        texts=[f"{' → '.join(point.mixers)}<br>{si(point.macs, 'MACs')}<br>{point.id}" for point in points],
    )


def _ranks(values: list[float]) -> list[float]:
    """The rank of each value, 1 for the highest; equal values share the mean of their ranks."""
    return [sum(other > value for other in values) + (values.count(value) + 1) / 2 for value in values]


def cost_figure(info: CostInfo) -> go.Figure:
    """Kendall's tau with its interval over cost; a colour and a symbol for each family."""
    figure = go.Figure()
    if info.proxy_tau is not None:
        figure.add_hline(info.proxy_tau, line={"color": MIDDLE_GREY, "width": 1, "dash": "dot"})
    for index, (family, name) in enumerate(FAMILIES.items()):
        marks = [mark for mark in info.marks if mark.family == family]
        if not marks:
            continue
        figure.add_trace(
            go.Scatter(
                x=[max(mark.cost, info.zero_cost) for mark in marks],
                y=[mark.tau for mark in marks],
                error_y={
                    "array": [mark.high - mark.tau for mark in marks],
                    "arrayminus": [mark.tau - mark.low for mark in marks],
                    "thickness": 1,
                    "width": 3,
                },
                mode="lines+markers+text" if family in _JOINED_FAMILIES else "markers+text",
                line={"width": 1, "dash": "dot"},
                marker={"symbol": _SYMBOLS[index], "size": 11, "color": _COLOURS[index]},
                name=name,
                text=[f" {plotly_text(mark.short)} " for mark in marks],
                textposition=_LABEL_POSITIONS.get(family, "middle right"),
                hovertext=[mark.text for mark in marks],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    _apply_style(
        figure, "cost: seconds, as a share of one training of the study's proxy", "Kendall's tau with the large budget"
    )
    ticks = {info.zero_cost: "≈ 0"} | _decades([mark.cost for mark in info.marks if mark.cost > info.zero_cost])
    figure.update_xaxes(type="log", tickvals=list(ticks), ticktext=list(ticks.values()))
    return figure


def accuracy_figure(info: AccuracyInfo) -> go.Figure:
    """Accuracy at the large budget over accuracy at the proxy; bars from the lowest to the highest seed, colours by MACs."""
    bars = {"error_x": _bars(info.x, info.x_range), "error_y": _bars(info.y, info.y_range)}
    hover = "%{text}<br>proxy %{x:.4f}, large budget %{y:.4f}<extra></extra>"
    figure = go.Figure(go.Scatter(x=info.x, y=info.y, hovertemplate=hover, **bars, **_points(info)))
    _apply_style(
        figure, f"accuracy after {_epochs(info.proxy_epochs)} (proxy)", f"accuracy after {_epochs(info.large_epochs)}"
    )
    return figure


def rank_figure(info: AccuracyInfo) -> go.Figure:
    """The same by rank: on the diagonal, the proxy ranks as the large budget does."""
    hover = "%{text}<br>proxy: rank %{x}, large budget: rank %{y}<extra></extra>"
    figure = go.Figure(go.Scatter(x=info.x_rank, y=info.y_rank, hovertemplate=hover, **_points(info)))
    ends = [1, max(1, len(info.x_rank))]
    line = {"color": MIDDLE_GREY, "width": 1, "dash": "dot"}
    figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    _apply_style(figure, f"rank after {_epochs(info.proxy_epochs)} (proxy)", f"rank after {_epochs(info.large_epochs)}")
    figure.update_xaxes(autorange="reversed", rangemode="normal")
    figure.update_yaxes(autorange="reversed", rangemode="normal")
    return figure


def _points(info: AccuracyInfo) -> dict[str, Any]:
    """The trace arguments of both figures of architectures."""
    return {
        "mode": "markers",
        "marker": {
            "size": 11,
            "color": info.log_macs,
            "colorscale": "Cividis",
            "reversescale": True,
            "line": {"width": 1, "color": MIDDLE_GREY},
            "colorbar": {"title": {"text": "MACs", "side": "right"}, "thickness": 14, **_ticks(info.log_macs)},
        },
        "text": info.texts,
        "showlegend": False,
    }


def _epochs(number: int) -> str:
    return count(number, "epoch")


def _decades(costs: list[float]) -> dict[float, str]:
    """The ticks at powers of ten around `costs`."""
    low, high = (min(costs), max(costs)) if costs else (1.0, 1.0)
    return {value: text for value, text in _DECADES.items() if low / 10 < value < high * 10}


def _bars(values: list[float], ranges: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "array": [high - value for value, (_, high) in zip(values, ranges, strict=True)],
        "arrayminus": [value - low for value, (low, _) in zip(values, ranges, strict=True)],
        "thickness": 1,
        "width": 0,
        "color": MIDDLE_GREY,
    }


def _ticks(log_macs: list[float]) -> dict[str, Any]:
    """Four ticks for a logarithmic colour bar."""
    if not log_macs:
        return {}
    low, high = min(log_macs), max(log_macs)
    places = [low + (high - low) * step / 3 for step in range(4)] if high > low else [low]
    return {"tickvals": places, "ticktext": [si(10**place) for place in places]}


def _apply_style(figure: go.Figure, x: str, y: str) -> None:
    apply_style(figure)
    figure.update_layout(
        margin={"l": 64, "r": 16, "t": 28, "b": 52},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hovermode="closest",
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(title_text=plotly_text(x))
    figure.update_yaxes(title_text=plotly_text(y))
