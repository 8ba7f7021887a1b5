"""Values of measured objectives that were predicted and not measured: the attribute `predicted_values` of a trial.

With `throughput.measure: front` a trial that cannot be on the front is not measured (`nas.driver.front_measuring`). Its value in
the study is the prediction, and this attribute says so: a trial without the attribute was measured. The attribute of the
objective's own name, such as `images_per_s`, is that of a measurement alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.study.attribute_types import is_number

PREDICTED_VALUES = "predicted_values"
"""The user attribute of a trial: {objective: [value, low, high]}."""
OPERATOR_PREDICTIONS = "operator_predictions"
"""The user attribute of a trial: {objective: value}, what the operator table predicts, uncorrected."""


@dataclass(frozen=True)
class PredictedValue:
    """A prediction.

    Args:
        value: the predicted value.
        low, high: the ends of its interval (`nas.study.prediction_correction.CONFIDENCE`).

    Raises:
        ValueError: a number is not finite, or the value is not within the interval.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.value <= self.high < math.inf:
            raise ValueError(f"a prediction must be finite and within its interval, found {self}")

    def to_list(self) -> list[float]:
        """Plain JSON."""
        return [self.value, self.low, self.high]


def predictions_of(attributes: Mapping[str, Any]) -> dict[str, PredictedValue]:
    """Objective -> its prediction, of the measured objectives of a trial that were not measured; what is damaged is left out.

    Args:
        attributes: the user attributes of the trial.
    """
    plain = attributes.get(PREDICTED_VALUES)
    predictions = {}
    for name, numbers in plain.items() if isinstance(plain, Mapping) else ():
        if not isinstance(numbers, list) or len(numbers) != 3 or not all(map(is_number, numbers)):
            continue
        try:
            predictions[str(name)] = PredictedValue(*map(float, numbers))
        except ValueError:
            continue
    return predictions


def known_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The user `attributes` of a trial, with predicted values under the names of the objectives that were not measured."""
    predicted = {name: prediction.value for name, prediction in predictions_of(attributes).items()}
    return predicted | {name: value for name, value in attributes.items() if value is not None or name not in predicted}
