"""Importance of parameters and preferences of the front drawn with plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from nas.analysis.importance import Importance
from nas.analysis.preferences import Preference
from nas.figures.info import Axis
from nas.figures.plot import COLOURS, MIDDLE_GREY, styled_figure
from nas.figures.plotly_text import plotly_text
from nas.objectives import OBJECTIVES

MAX_PARAMETERS = 12
"""The most important ones that are drawn; the others have hardly any share."""

ROW_HEIGHT_PX = 30
MAX_LOG2_ODDS = 4.0
"""Colours end at odds of 16 to 1: beyond, intervals are wide."""

_DIVERGING = [[0.0, COLOURS[5]], [0.5, "#f4f4f4"], [1.0, COLOURS[4]]]  # light, so that dark text can be read on them


def importance_figure(importances: Sequence[Importance]) -> go.Figure:
    """A group of bars per parameter, one bar per objective, with the standard deviation over forests.

    Objectives without a result (too few trials) are left out; the note of each is below the figure.
    """
    figure = styled_figure(Axis("share", "share of importance", False, ".0%", from_zero=True), Axis("", "", False, ""))
    drawn = [item for item in importances if item.shares]
    best = {name: max(item.shares.get(name, (0.0, 0.0))[0] for item in drawn) for item in drawn for name in item.shares}
    names = sorted(best, key=lambda name: (-best[name], name))[:MAX_PARAMETERS]
    for index, item in enumerate(drawn):
        shares = [item.shares.get(name, (0.0, 0.0)) for name in names]
        label = OBJECTIVES[item.objective].label if item.objective in OBJECTIVES else item.objective
        figure.add_trace(
            go.Bar(
                y=[plotly_text(name) for name in names],
                x=[share for share, _ in shares],
                error_x={
                    "type": "data",
                    "array": [sd for _, sd in shares],
                    "arrayminus": [min(sd, share) for share, sd in shares],
                    "thickness": 1,
                    "color": MIDDLE_GREY,
                },
                orientation="h",
                name=plotly_text(label),
                marker={"color": COLOURS[index % len(COLOURS)]},
                hovertemplate="%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
            )
        )
    notes = [f"{item.objective}: {item.note}" for item in importances if item.note]
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(barmode="group", height=140 + ROW_HEIGHT_PX * max(1, len(names)))
    if notes:
        text = plotly_text("; ".join(notes))
        figure.add_annotation(text=text, xref="paper", yref="paper", x=0, y=1.02, yanchor="bottom", showarrow=False)
        figure.update_layout(margin={"t": 48}, legend={"y": 1.0 + 24 / 140})
    return figure


def preferences_figure(preferences: Sequence[Preference]) -> go.Figure:
    """A row per parameter, a cell per value, numbers by size: blue where the front prefers it, orange where it avoids it.

    The text of a cell is the value; it has an asterisk where the 95 % interval of the odds ratio excludes 1.
    """
    rows: dict[str, list[Preference]] = {}
    for preference in preferences:
        rows.setdefault(preference.parameter, []).append(preference)
    rows = {name: _ordered(values) for name, values in rows.items() if len(values) > 1}  # one alone is no choice
    columns = max(map(len, rows.values()), default=0)
    figure = styled_figure(Axis("", "", False, ""), Axis("", "", False, ""))
    figure.add_trace(
        go.Heatmap(
            z=[_padded([_log2_odds(item) for item in values], columns, None) for values in rows.values()],
            y=[plotly_text(name) for name in rows],
            text=[_padded([_cell_text(item) for item in values], columns, "") for values in rows.values()],
            hovertext=[_padded([_hover_text(item) for item in values], columns, "") for values in rows.values()],
            texttemplate="%{text}",
            textfont={"color": "#1b1f24"},
            hovertemplate="%{hovertext}<extra></extra>",
            hoverongaps=False,
            colorscale=_DIVERGING,
            zmid=0.0,
            zmin=-MAX_LOG2_ODDS,
            zmax=MAX_LOG2_ODDS,
            xgap=2,
            ygap=2,
            colorbar={
                "title": {"text": "odds ratio"},
                "tickvals": [-4, -2, 0, 2, 4],
                "ticktext": ["1/16", "1/4", "1", "4", "16"],
            },
        )
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(height=110 + ROW_HEIGHT_PX * max(1, len(rows)))
    return figure


def _ordered(values: list[Preference]) -> list[Preference]:
    """Numbers by size; others as they are."""
    try:
        return sorted(values, key=lambda item: float(item.value))
    except ValueError:
        return values


def _log2_odds(preference: Preference) -> float:
    return max(-MAX_LOG2_ODDS, min(MAX_LOG2_ODDS, math.log2(preference.odds_ratio)))


def _cell_text(preference: Preference) -> str:
    is_certain = not preference.low <= 1 <= preference.high
    return f"{plotly_text(preference.value)}{' *' if is_certain else ''}"


def _hover_text(preference: Preference) -> str:
    shares = f"on the front {preference.front_share:.0%}, overall {preference.overall_share:.0%}"
    odds = f"odds ratio {preference.odds_ratio:.2f} ({preference.low:.2f} to {preference.high:.2f})"
    name = plotly_text(f"{preference.parameter} = {preference.value}")
    return f"{name}<br>{shares}<br>{odds}<br>{preference.trials} trials"


def _padded(items: list[object], length: int, filler: object) -> list[object]:
    return [*items, *[filler] * (length - len(items))]
