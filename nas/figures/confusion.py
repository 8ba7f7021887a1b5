"""The confusion matrix of a trial as a figure."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from nas.figures.plot import COLOURS, apply_style
from nas.figures.plotly_text import plotly_text
from trainers.training.confusion import Confusion

MAX_COUNTED_CLASSES = 20
"""Most classes for which each cell shows its number of images."""


@dataclass(frozen=True)
class ConfusionInfo:
    """The content of the figure.

    Args:
        classes: the name of each class.
        counts: a row for each class: its images by predicted class.
        shares: the same as shares of the row; 0 in a row without images.
    """

    classes: list[str]
    counts: list[list[int]]
    shares: list[list[float]]


def confusion_info(confusion: Confusion, classes: list[str]) -> ConfusionInfo:
    """The content for `confusion`, whose classes are called `classes`."""
    counts = confusion.matrix()
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    return ConfusionInfo(classes, counts.tolist(), shares.round(4).tolist())


def confusion_figure(info: ConfusionInfo) -> go.Figure:
    """A cell for each pair of classes, in the colour of its share of the row: the diagonal is the recall."""
    count = len(info.classes)
    figure = go.Figure()
    apply_style(figure)
    names = [plotly_text(name if len(name) <= 24 else f"{name[:23]}…") for name in info.classes]
    figure.add_trace(
        go.Heatmap(
            z=info.shares,
            x=list(range(count)),
            y=list(range(count)),
            customdata=[[[names[i], names[j], n] for j, n in enumerate(row)] for i, row in enumerate(info.counts)],
            text=[[str(n) if n else "" for n in row] for row in info.counts],
            texttemplate="%{text}" if count <= MAX_COUNTED_CLASSES else None,
            colorscale=[[0, "rgba(0,114,178,0.04)"], [1, COLOURS[0]]],
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": "share of the class", "side": "right"}, "thickness": 12, "tickformat": ".0%"},
            hovertemplate="%{customdata[2]} images of %{customdata[0]}<br>taken for %{customdata[1]}: %{z:.1%}<extra></extra>",
        )
    )
    ticks = {"tickvals": list(range(count)), "ticktext": names, "showgrid": False}
    figure.update_xaxes(title_text="predicted class", side="bottom", **ticks)
    figure.update_yaxes(title_text="class", autorange="reversed", **ticks)
    figure.update_layout(margin={"l": 64, "r": 16, "t": 16, "b": 52}, hoverlabel={"align": "left"})
    return figure
