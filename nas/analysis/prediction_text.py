"""Values that were predicted and not measured, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.formatting import value_text
from nas.objectives import Objective
from nas.study.outcomes.predicted_values import PREDICTED_VALUES, PredictedValue, predictions_of
from nas.study.prediction_correction import CONFIDENCE


def interval_text(objective: Objective, predicted: PredictedValue) -> str:
    """The interval of a prediction: "99.9 %: 4.61 k to 5.70 k images/s"."""
    low = value_text(objective, predicted.low, unit=False)
    return f"{100 * CONFIDENCE:g} %: {low} to {value_text(objective, predicted.high)}"


def prediction_note(objective: Objective, trial: Mapping[Any, Any]) -> str:
    """What follows a value of the row `trial` of a table: " (predicted; 99.9 %: 4.61 k to ...)"; empty if it was measured."""
    predicted = predictions_of(trial).get(objective.name) if trial.get(PREDICTED_VALUES) else None
    return "" if predicted is None else f" (predicted; {interval_text(objective, predicted)})"
