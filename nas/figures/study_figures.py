"""Figures of a study in one call each, for notebooks and scripts: `Results` in, a plotly figure out.

    from nas import Study
    from nas.figures import front, hypervolume, workers

    results = Study.open("runs/digits").results()
    front(results).show()                                     # validation accuracy over the first cheap objective
    front(results, x="images_per_s", y="accuracy").write_html("front.html")

The figures have transparent backgrounds; `figure.update_layout(template=...)` and all else of plotly apply.
"""

from __future__ import annotations

import plotly.graph_objects as go

from nas.analysis import importance as parameter_importance, preferences as value_preferences
from nas.analysis.columns import StudyColumns
from nas.analysis.results import Results
from nas.errors import UnknownNameError, UsageError
from nas.figures.info import curves_info, front_info, hypervolume_info, objective_info, objective_pairs, shares_info
from nas.figures.plot import Palette, curves_figure, front_figure, history_figure, shares_figure
from nas.figures.plot_choices import importance_figure, preferences_figure
from nas.figures.plot_workers import workers_figure
from nas.figures.workers import workers_info
from nas.objectives import Objective


def front(results: Results, x: str | None = None, y: str | None = None) -> go.Figure:
    """All complete trials in the plane of two objectives of the study, with the front.

    Args:
        results: the study.
        x: the name of an objective; by default that of the study's first pair, such as "macs".
        y: the same, such as "accuracy".

    Raises:
        UnknownNameError: the study has no such objective.
        UsageError: it has one objective only, or `x` and `y` are the same.
    """
    objectives = {objective.name: objective for objective in results.objectives}
    if len(objectives) < 2:
        raise UsageError(
            f"front: needs two objectives, found {', '.join(objectives)}; `hypervolume` draws the only one"
        )
    first, second = (None if name is None else _objective(objectives, key, name) for key, name in (("x", x), ("y", y)))
    both_ways = [way for pair in objective_pairs(results.objectives) for way in (pair, pair[::-1])]
    pairs = [pair for pair in both_ways if first in (None, pair[0]) and second in (None, pair[1])]
    if not pairs:
        raise UsageError(f"front: x and y must be two objectives, found {x} twice")
    return front_figure(front_info(results, *pairs[0]), Palette.of(results))


def _objective(objectives: dict[str, Objective], key: str, name: str) -> Objective:
    if name not in objectives:
        raise UnknownNameError(f"front: {key}", "objective of the study", name, objectives)
    return objectives[name]


def hypervolume(results: Results) -> go.Figure:
    """The hypervolume over trials; of a study with one objective, its values and the best one so far."""
    if len(results.objectives) > 1:
        return history_figure(hypervolume_info(results))
    return history_figure(objective_info(results, results.objectives[0]))


def curves(results: Results) -> go.Figure:
    """Validation accuracy over epochs of the trials on the front."""
    return curves_figure(curves_info(results), Palette.of(results))


def shares(results: Results) -> go.Figure:
    """The share of blocks of each token mixer, on the front and over all complete trials."""
    return shares_figure(shares_info(results))


def workers(results: Results) -> go.Figure:
    """The timeline of workers: measuring, training, idle, lost. Empty for studies of earlier versions."""
    return workers_figure(workers_info(results))


def importance(results: Results) -> go.Figure:
    """The importance of each parameter of the search space for each objective (`nas.analysis.importance`)."""
    columns = StudyColumns.of(results.objectives, results.records)
    return importance_figure(parameter_importance.importance(results, columns.parameter_codes()))


def preferences(results: Results) -> go.Figure:
    """Which values of each parameter the front prefers over all complete trials (`nas.analysis.preferences`)."""
    columns = StudyColumns.of(results.objectives, results.records)
    levels = {name: column.texts for name, column in columns.parameters().items()}
    return preferences_figure(value_preferences.preferences(results, columns.parameter_codes(), levels))
