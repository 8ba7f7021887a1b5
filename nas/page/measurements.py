"""The details of a trial's measurements: the confidence interval of each value, and how it was measured or predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from nas import objectives
from nas.analysis.architecture_text import options_text
from nas.analysis.prediction_text import interval_text
from nas.objectives import Objective
from nas.study.attribute_types import is_number
from nas.study.outcomes.predicted_values import predictions_of

INTERVAL_DIGITS: Final = 5
_IMAGES_PER_S: Final = "images_per_s_interval"


def measured_intervals(attributes: Mapping[str, Any]) -> dict[str, list[float]]:
    """Objective -> [low, high], the 95 % confidence interval of its median, for each measured value that has one.

    Args:
        attributes: the user attributes of a trial.
    """
    intervals = {objective.name: _interval(objective, details) for objective, details in _details(attributes)}
    return {name: interval for name, interval in intervals.items() if interval is not None}


def measurement_texts(attributes: Mapping[str, Any]) -> list[list[str]]:
    """[[label of the objective, how it was measured], ...]: "batch size 16, threads 1, precision float32, ..."."""
    texts = []
    for objective, details in _details(attributes):
        shown = {key.replace("_", " "): value for key, value in details.items() if not key.endswith("_interval")}
        texts.append([objective.label, options_text(shown)])
    return texts


def prediction_texts(attributes: Mapping[str, Any]) -> list[list[str]]:
    """[[label of an objective that was predicted and not measured, its interval], ...]: "99.9 %: 4.61 k to 5.70 k images/s"."""
    return [
        [objective.label, interval_text(objective, predicted)]
        for name, predicted in predictions_of(attributes).items()
        if (objective := objectives.OBJECTIVES.get(name)) is not None
    ]


def _details(attributes: Mapping[str, Any]) -> list[tuple[Objective, Mapping[str, Any]]]:
    measured = [objectives.get(name) for name in objectives.names("measured")]
    return [(o, attributes[o.details_name]) for o in measured if isinstance(attributes.get(o.details_name), Mapping)]


def _interval(objective: Objective, details: Mapping[str, Any]) -> list[float] | None:
    """The interval in the unit of `objective`; that of a latency follows from the one of images per second."""
    ends = details.get(f"{objective.name}_interval")
    if ends is None and objective.from_seconds is not None and _IMAGES_PER_S in details:
        images, rates = details.get("batch_size"), details[_IMAGES_PER_S]
        if not isinstance(images, int) or not isinstance(rates, list) or not all(map(is_number, rates)):
            return None
        ends = [objective.from_seconds(images / rate, images) for rate in rates if rate > 0]
    if not isinstance(ends, list) or len(ends) != 2 or not all(is_number(end) and math.isfinite(end) for end in ends):
        return None
    return [float(f"{end:.{INTERVAL_DIGITS}g}") for end in sorted(ends)]
