"""The figures of a study: for each one an info (`info.py`, plain content) and a thin plotly function (`plot.py`).

For own use there is one function for each, `Results -> plotly figure` (`study_figures.py`):

    from nas.figures import curves, front, hypervolume, importance, preferences, shares, workers

    front(Study.open("runs/digits").results(), x="macs", y="accuracy").show()
"""

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
from nas.figures.plot_choices import importance_figure, preferences_figure
from nas.figures.plot_workers import workers_figure
from nas.figures.study_figures import curves, front, hypervolume, importance, preferences, shares, workers
from nas.figures.workers import WorkerBar, WorkersInfo, workers_info

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
    "WorkerBar",
    "WorkersInfo",
    "channels_figure",
    "channels_info",
    "confusion_figure",
    "confusion_info",
    "curves",
    "curves_figure",
    "curves_info",
    "front",
    "front_figure",
    "front_info",
    "history_figure",
    "hypervolume",
    "hypervolume_info",
    "importance",
    "importance_figure",
    "objective_info",
    "objective_pairs",
    "preferences",
    "preferences_figure",
    "shares",
    "shares_figure",
    "shares_info",
    "workers",
    "workers_figure",
    "workers_info",
]
