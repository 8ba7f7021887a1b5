"""The timeline of workers drawn with plotly: a lane per worker, coloured by activity."""

from __future__ import annotations

from datetime import datetime

import plotly.graph_objects as go

from nas.figures.info import Axis
from nas.figures.plot import COLOURS, MAX_SVG_POINTS, MIDDLE_GREY, styled_figure
from nas.figures.plotly_text import plotly_text
from nas.figures.workers import ACTIVITIES, IDLE, LOST, MEASURING, RUNNING, TRAINING, WorkersInfo

BAR_WIDTH_PX = 12
LANE_HEIGHT_PX = 26
MIN_HEIGHT_PX = 180

_COLOURS = {MEASURING: COLOURS[5], TRAINING: COLOURS[0], RUNNING: COLOURS[2], IDLE: MIDDLE_GREY, LOST: COLOURS[1]}
_OPACITY = {IDLE: 0.25}


def workers_figure(info: WorkersInfo) -> go.Figure:
    """A lane per worker, time from left to right; local time of this machine."""
    figure = styled_figure(Axis("time", "", False, ""), Axis("worker", "", False, ""))
    scatter = go.Scattergl if 2 * len(info.bars) > MAX_SVG_POINTS else go.Scatter
    for activity in ACTIVITIES:
        bars = [bar for bar in info.bars if bar.activity == activity]
        if not bars:
            continue
        x: list[str | None] = []
        y: list[int | None] = []
        for bar in bars:
            x += [_time(bar.start_s), _time(bar.end_s), None]  # a gap after each bar
            y += [bar.lane, bar.lane, None]
        figure.add_trace(
            scatter(
                x=x,
                y=y,
                mode="lines",
                name=activity,
                line={"color": _COLOURS[activity], "width": BAR_WIDTH_PX},
                opacity=_OPACITY.get(activity, 1.0),
                customdata=[value for bar in bars for value in (bar.trial, bar.trial, None)],
                text=[value for bar in bars for value in (plotly_text(bar.text),) * 2 + ("",)],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    count = len(info.lanes)
    ticks = {
        "tickmode": "array",
        "tickvals": list(range(count)),
        "ticktext": [plotly_text(name) for name in info.lanes],
    }
    figure.update_yaxes(**ticks, range=[count - 0.5, -0.5], showgrid=False)
    figure.update_xaxes(type="date")
    figure.update_layout(hovermode="closest", height=max(MIN_HEIGHT_PX, 110 + LANE_HEIGHT_PX * count))
    return figure


def _time(seconds: float) -> str:
    """Local time, as Optuna stores the times of trials, in milliseconds."""
    return datetime.fromtimestamp(seconds).isoformat(timespec="milliseconds")
