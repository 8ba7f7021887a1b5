"""The content of each figure of a study as plain lists, without plotly and ready for JSON.

For each figure there is a dataclass `...Info` and a function that fills it from `Results`; `plot.py` draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np

from nas.analysis.architecture_text import block_counts, mixer_names
from nas.analysis.front import front_mask, hypervolume_over
from nas.analysis.results import Results
from nas.figures.plotly_text import plotly_text
from nas.formatting import value_text
from nas.objectives import Objective

StepShape: TypeAlias = Literal["hv", "vh"]
UNKNOWN = "unknown"
"""The mixer of a trial that has no architecture."""


@dataclass(frozen=True)
class Axis:
    """An axis.

    Args:
        name: the quantity.
        label: the axis title.
        log: whether the scale is logarithmic.
        hover: format of a value in the hover box (d3-format).
        from_zero: whether the axis includes zero whatever the values are.
    """

    name: str
    label: str
    log: bool
    hover: str
    from_zero: bool = False

    @classmethod
    def of(cls, objective: Objective) -> Axis:
        """The axis of an objective; its label says which direction is better."""
        unit = f" ({objective.unit})" if objective.unit and objective.unit != objective.label else ""
        better = "higher" if objective.direction == "maximize" else "lower"
        hover = ".3s" if objective.log else ".4f"
        return cls(
            name=objective.label, label=f"{objective.label}{unit}, {better} is better", log=objective.log, hover=hover
        )


@dataclass(frozen=True)
class FrontInfo:
    """All complete trials in the plane of two objectives; lists have an entry per trial.

    `step_x` and `step_y` are the trials that are Pareto-optimal in these two objectives alone, by rising x. `step_shape`
    joins them horizontally first ("hv") or vertically first ("vh"), so that the line bounds the attained region.
    """

    x: Axis
    y: Axis
    trials: list[int]
    x_values: list[float]
    y_values: list[float]
    mixers: list[str]
    texts: list[str]
    on_front: list[bool]
    step_x: list[float]
    step_y: list[float]
    step_shape: StepShape


@dataclass(frozen=True)
class HistoryInfo:
    """A value after each complete trial, in the order of trial numbers."""

    axis: Axis
    trials: list[int]
    values: list[float]
    best: list[float]


@dataclass(frozen=True)
class CurvesInfo:
    """Validation accuracy over epochs of the trials on the front; lists have an entry per trial."""

    trials: list[int]
    mixers: list[str]
    epochs: list[list[int]]
    accuracies: list[list[float | None]]


@dataclass(frozen=True)
class SharesInfo:
    """Each mixer's share of all blocks, 0 to 1, on the front and over all complete trials."""

    mixers: list[str]
    on_front: list[float]
    overall: list[float]


def objective_pairs(objectives: Sequence[Objective]) -> list[tuple[Objective, Objective]]:
    """Each pair of objectives as (x, y): the later one is x, unless only the earlier one is cheap."""
    return [(a, b) if a.cheap and not b.cheap else (b, a) for a, b in combinations(objectives, 2)]


def front_info(results: Results, x: Objective, y: Objective) -> FrontInfo:
    """The complete trials of a study in the plane of `x` and `y`."""
    table = results.complete
    points = table[[x.name, y.name]].to_numpy(dtype=np.float64)
    mask = front_mask(points, [x.direction, y.direction])
    corners = np.unique(points[mask], axis=0)  # by x
    others = [objective for objective in results.objectives if objective.name not in (x.name, y.name)]
    return FrontInfo(
        x=Axis.of(x),
        y=Axis.of(y),
        trials=[int(number) for number in table["trial"]],
        x_values=_rounded(points[:, 0]),
        y_values=_rounded(points[:, 1]),
        mixers=[_last_mixer(architecture) for architecture in table["architecture"]],
        texts=[_hover_text(row, others) for row in table.to_dict("records")],
        on_front=[bool(on) for on in table["on_front"]],
        step_x=_rounded(corners[:, 0]),
        step_y=_rounded(corners[:, 1]),
        step_shape="hv" if x.direction == "minimize" else "vh",
    )


def hypervolume_info(results: Results) -> HistoryInfo:
    """The hypervolume after each complete trial."""
    numbers = results.complete.index.to_numpy()
    volumes = _rounded(hypervolume_over(results.values[numbers], results.objectives))
    axis = Axis("hypervolume", "hypervolume", False, ".4f", from_zero=True)
    return HistoryInfo(axis, numbers.tolist(), volumes, volumes)


def objective_info(results: Results, objective: Objective) -> HistoryInfo:
    """One objective over trials and its best value so far: the main figure of a study with a single objective."""
    values = results.complete[objective.name].to_numpy(dtype=np.float64)
    best = np.maximum.accumulate(values) if objective.direction == "maximize" else np.minimum.accumulate(values)
    return HistoryInfo(Axis.of(objective), results.complete.index.tolist(), _rounded(values), _rounded(best))


def curves_info(results: Results) -> CurvesInfo:
    """The learning curves of the front."""
    rows = [row for row in results.front.to_dict("records") if row["curve"]]
    validated = [[entry for entry in row["curve"] if entry.get("val_accuracy") is not None] for row in rows]
    return CurvesInfo(
        trials=[int(row["trial"]) for row in rows],
        mixers=[_last_mixer(row["architecture"]) for row in rows],
        epochs=[[int(entry["epoch"]) for entry in entries] for entries in validated],
        accuracies=[[entry["val_accuracy"] for entry in entries] for entries in validated],
    )


def shares_info(results: Results) -> SharesInfo:
    """The share of blocks of each mixer on the front and overall, the most frequent on the front first."""
    front, overall = _shares(results.front["architecture"]), _shares(results.complete["architecture"])
    names = sorted(overall, key=lambda name: (-front.get(name, 0.0), -overall[name], name))
    return SharesInfo(names, [front.get(name, 0.0) for name in names], [overall[name] for name in names])


def _last_mixer(architecture: dict[str, Any] | None) -> str:
    return (mixer_names(architecture) or (UNKNOWN,))[-1]


def _hover_text(row: dict[Any, Any], others: Sequence[Objective]) -> str:
    """The text of the hover box besides the two values: trial, mixers of the stages, the other objectives."""
    lines = [f"trial {row['trial']}", " → ".join(mixer_names(row["architecture"])) or UNKNOWN]
    lines += [f"{other.label} {value_text(other, row[other.name])}" for other in others]
    return "<br>".join(plotly_text(line) for line in lines)


def _shares(architectures: Iterable[dict[str, Any] | None]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for architecture in architectures:
        for name, blocks in block_counts(architecture).items():
            counts[name] = counts.get(name, 0) + blocks
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def _rounded(values: Any) -> list[float]:
    """Seven significant digits: more than a screen can show, in half the bytes."""
    return [float(f"{value:.7g}") for value in values]
