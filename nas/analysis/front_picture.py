"""The front of a study as a small SVG picture: no script, no fonts to load, readable on light and on dark pages.

The y axis is the objective that networks are trained for, the x axis the first cheap one, or the first other one. Grey points are
complete trials, blue ones the study's front, and the line the front of these two objectives alone.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.analysis.front import front_mask
from nas.formatting import si
from nas.objectives import Objective

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 52
MAX_POINTS = 1000
"""Trials that are drawn besides the front, evenly chosen by number: more would be one on another."""

TEXT, GRID, DOTS, FRONT = "#7d8896", "#80808040", "#8a94a3", "#3a8fd0"

Floats = NDArray[np.float64]


class DrawnStudy(Protocol):
    """What the picture shows of a study's results."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives in the study's order."""

    @property
    def primary(self) -> Objective:
        """The objective that networks are trained for."""

    @property
    def complete(self) -> pd.DataFrame:
        """The trials that count, a row each."""


@dataclass(frozen=True)
class PictureAxis:
    """An axis: its objective, the range that it shows, and the pixels of both ends.

    Args:
        objective: the objective.
        low, high: the lowest and the highest value shown.
        start, end: their pixels.
    """

    objective: Objective
    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, objective: Objective, values: Floats, start: float, end: float) -> PictureAxis:
        """The axis that shows `values`, with a margin on both sides."""
        low, high = float(values.min()), float(values.max())
        if objective.log and low > 0:
            margin = max((high / low) ** 0.04, 1.05)
            return cls(objective, low / margin, high * margin, start, end)
        margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
        return cls(objective, low - margin, high + margin, start, end)

    @property
    def is_log(self) -> bool:
        """True for a logarithmic scale."""
        return self.objective.log and self.low > 0

    def pixels(self, values: Floats) -> Floats:
        """Where `values` are."""
        low, high = (math.log10(end) if self.is_log else end for end in (self.low, self.high))
        scaled = np.log10(values) if self.is_log else values
        return np.asarray(self.start + (scaled - low) / (high - low) * (self.end - self.start))

    def ticks(self) -> list[float]:
        """Round values within the range: about five, or 1, 2 and 5 of each decade."""
        if self.is_log and self.high / self.low > 4:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            mantissas = (1.0, 2.0, 5.0) if self.high / self.low < 1000 else (1.0,)
            ticks = [mantissa * 10.0**exponent for exponent in exponents for mantissa in mantissas]
        else:
            rough = (self.high - self.low) / 5
            unit = 10.0 ** math.floor(math.log10(rough))
            step = unit * next((factor for factor in (1, 2, 5) if factor * unit >= rough), 10)
            first = math.ceil(self.low / step)
            ticks = [i * step for i in range(first, math.floor(self.high / step) + 1)]
        return [tick for tick in ticks if self.low <= tick <= self.high]

    @property
    def title(self) -> str:
        """The objective, its unit, and which direction is better."""
        unit = self.objective.unit
        suffix = f" ({unit})" if unit and unit != self.objective.label else ""
        return f"{self.objective.label}{suffix}, {'higher' if self.objective.direction == 'maximize' else 'lower'} is better"


def front_svg(results: DrawnStudy) -> str:
    """The picture as an SVG document; empty if the study has one objective, or no complete trial."""
    pair = picture_objectives(results)
    table = results.complete
    if pair is None or table.empty:
        return ""
    points = table[[objective.name for objective in pair]].to_numpy(dtype=np.float64)
    x = PictureAxis.of(pair[0], points[:, 0], LEFT, WIDTH - RIGHT)
    y = PictureAxis.of(pair[1], points[:, 1], HEIGHT - BOTTOM, TOP)
    places = np.column_stack([x.pixels(points[:, 0]), y.pixels(points[:, 1])])
    on_front = table["on_front"].to_numpy()
    others = np.flatnonzero(~on_front)
    others = others[np.linspace(0, len(others) - 1, min(len(others), MAX_POINTS)).astype(int)]
    parts = [
        *_axes(x, y),
        _dots(places[others], DOTS, 5, 0.55),
        _staircase(points, places, pair),
        _dots(places[on_front], FRONT, 8, 1.0),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'{head} font-family="sans-serif" font-size="12" fill="{TEXT}">{"".join(parts)}</svg>'


def picture_objectives(results: DrawnStudy) -> tuple[Objective, Objective] | None:
    """The objectives of the x and the y axis; None if the study has one objective."""
    others = [objective for objective in results.objectives if objective.name != results.primary.name]
    if not others:
        return None
    return next((objective for objective in others if objective.cheap), others[0]), results.primary


def _axes(x: PictureAxis, y: PictureAxis) -> list[str]:
    """Grid lines, tick labels and titles."""
    parts = []
    for value, place in zip(x.ticks(), x.pixels(np.array(x.ticks())), strict=True):
        parts.append(f'<path d="M{place:.1f} {TOP}V{y.start}" stroke="{GRID}"/>')
        parts.append(f'<text x="{place:.1f}" y="{y.start + 17}" text-anchor="middle">{_tick_text(value)}</text>')
    for value, place in zip(y.ticks(), y.pixels(np.array(y.ticks())), strict=True):
        parts.append(f'<path d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{place + 4:.1f}" text-anchor="end">{_tick_text(value)}</text>')
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{middle_x:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{html.escape(x.title)}</text>')
    turned = f'transform="translate(16 {middle_y:.0f}) rotate(-90)" text-anchor="middle"'
    return [*parts, f"<text {turned}>{html.escape(y.title)}</text>"]


def _tick_text(value: float) -> str:
    return si(value) if abs(value) >= 1000 else f"{value:.6g}"


def _dots(places: Floats, colour: str, size: float, opacity: float) -> str:
    """All points as one path of round dots, a tenth of the bytes of circles."""
    if not len(places):
        return ""
    path = "".join(f"M{px:.1f} {py:.1f}h0" for px, py in places.tolist())
    style = f'stroke="{colour}" stroke-width="{size}" stroke-linecap="round" stroke-opacity="{opacity}"'
    return f'<path d="{path}" fill="none" {style}/>'


def _staircase(points: Floats, places: Floats, pair: Sequence[Objective]) -> str:
    """The line that bounds what the front of both objectives attains, by rising x."""
    mask = front_mask(points, [objective.direction for objective in pair])
    corners = np.unique(places[mask], axis=0)
    if len(corners) < 2:
        return ""
    path = f"M{corners[0, 0]:.1f} {corners[0, 1]:.1f}"
    horizontal_first = pair[0].direction == "minimize"
    for px, py in corners[1:].tolist():
        path += f"H{px:.1f}V{py:.1f}" if horizontal_first else f"V{py:.1f}H{px:.1f}"
    return f'<path d="{path}" fill="none" stroke="{TEXT}" stroke-width="1.5" stroke-dasharray="2 3"/>'


def picture_text(results: DrawnStudy, front_size: int) -> str:
    """What the picture shows, for those who cannot see it."""
    pair: Any = picture_objectives(results)
    return f"{pair[1].label} over {pair[0].label} of {len(results.complete)} complete trials, {front_size} of them on the front"
