"""The figures of a study: for each one an info (`info.py`, plain content) and a thin plotly function (`plot.py`)."""

from nas.figures.channels import ChannelsInfo, channels_info
from nas.figures.confusion import ConfusionInfo, confusion_figure, confusion_info
from nas.figures.info import (
    Axis,
    CurvesInfo,
    FrontInfo,
    HistoryInfo,
    SharesInfo,
    curves_info,
    front_info,
    hypervolume_info,
    objective_info,
    objective_pairs,
    shares_info,
)
from nas.figures.plot import PLOTLY_CONFIG, Palette, curves_figure, front_figure, history_figure, shares_figure
from nas.figures.plot_channels import channels_figure

__all__ = [
    "PLOTLY_CONFIG",
    "Axis",
    "ChannelsInfo",
    "ConfusionInfo",
    "CurvesInfo",
    "FrontInfo",
    "HistoryInfo",
    "Palette",
    "SharesInfo",
    "channels_figure",
    "channels_info",
    "confusion_figure",
    "confusion_info",
    "curves_figure",
    "curves_info",
    "front_figure",
    "front_info",
    "history_figure",
    "hypervolume_info",
    "objective_info",
    "objective_pairs",
    "shares_figure",
    "shares_info",
]
