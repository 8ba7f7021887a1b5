"""Which trials a study measures with `throughput.measure: front`: those that may be on the front, or violate a limit.

The first trials are measured before training, as with `throughput.measure: all`. Then a trial is trained first, and its values
are predicted from the operator table, corrected by what was measured (`nas.study.prediction_correction`). It is left unmeasured
if a measured trial dominates it even at the best ends of the intervals, and they satisfy the limits at the worst ends. All
others are measured after training (`nas.driver.measurements`).

The decision is made once, before the trial ends, and needs no correction afterwards. What dominates the trial is complete and
measured, so that its values never change: a trial that is recorded with predicted values is dominated from then on, and the
front consists of measured trials at every moment. It is the front that measuring every trial would give, if no value that was
left unmeasured is beyond its interval.

A trial that pauses at a rung is not on the front yet: its values are predicted, and decided about at its end. An objective whose
ratios do not matter (`log` is false) is not predicted: all trials of a study with one are measured, before their training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nas import objectives as registered
from nas.analysis.running_front import RunningFront
from nas.objectives import Objective
from nas.study.operator_table import OperatorTable
from nas.study.outcomes.predicted_values import OPERATOR_PREDICTIONS, PredictedValue
from nas.study.prediction_correction import MIN_OBSERVATIONS, Observation, PredictionCorrection
from search_space import Architecture

FEATURES = ("macs", "params", "activation_bytes")
"""Exact costs that a correction depends on, besides the prediction of the operator table."""
MAX_OBSERVATIONS = 400
"""Measured trials that a correction is fitted to, the latest ones."""


class FrontMeasuring:
    """Predicts values of trials, and decides which of them are not measured.

    Args:
        objectives: the objectives of the study, in the order of values.
        names: the objectives that are measured, which may have a limit alone.
        limits: objective -> the worst value allowed.
        tables: measured objective -> its operator table; without one it is predicted from costs alone.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        names: Iterable[str],
        limits: Mapping[str, float],
        tables: Mapping[str, OperatorTable],
    ) -> None:
        self.objectives = tuple(objectives)
        self.names = tuple(names)
        self.limits = {name: limit for name, limit in limits.items() if name in self.names}
        self.tables = {name: table for name, table in tables.items() if name in self.names}
        self._front = RunningFront(self.objectives)
        self._on_front: set[int] = set()  # trials that the front has seen
        self._measured: dict[str, dict[int, tuple[Observation, float]]] = {name: {} for name in self.names}
        self._corrections: dict[str, tuple[int, PredictionCorrection]] = {}
        """With the number of trials that had been measured when it was fitted."""

    def attributes_of(self, architecture: Architecture) -> dict[str, Any]:
        """The user attributes of a new trial from which its values will be predicted, besides its costs."""
        if not self.tables:
            return {}
        predictions = {name: t.predict(registered.get(name), architecture) for name, t in self.tables.items()}
        return {OPERATOR_PREDICTIONS: predictions}

    def learn(self, number: int, attributes: Mapping[str, Any], values: Sequence[float] | None = None) -> None:
        """Take in what is known of the trial `number`; once or several times is the same.

        Args:
            number: the trial.
            attributes: its user attributes.
            values: of the objectives; None unless it is complete.
        """
        is_measured = True
        for name, measured in self._measured.items():
            value = attributes.get(name)
            is_measured &= isinstance(value, int | float)
            if number in measured or not isinstance(value, int | float) or not 0 < value < math.inf:
                continue
            observation = self._observation(name, attributes)
            if observation is not None:
                measured[number] = observation, float(value)
        if values is not None and is_measured and number not in self._on_front and np.isfinite(values).all():
            self._on_front.add(number)
            self._front.add(number, np.array(values, np.float64))

    def may_be_trained_first(self, attributes: Mapping[str, Any]) -> bool:
        """True if a trial with these user `attributes` is not measured before its training."""
        predictions = self._predictions(attributes)
        return predictions is not None and self._satisfies_limits(predictions)

    def predict_instead(
        self, attributes: Mapping[str, Any], values: Mapping[str, float], is_complete: bool
    ) -> dict[str, PredictedValue] | None:
        """The predicted values of a trained trial that is not measured; None: it has to be measured.

        Args:
            attributes: its user attributes.
            values: objective -> value after its training.
            is_complete: False if it pauses at a rung.
        """
        predictions = self._predictions(attributes)
        if predictions is None or not self._satisfies_limits(predictions):
            return None
        return predictions if not is_complete or self._is_dominated(predictions, {**attributes, **values}) else None

    def _predictions(self, attributes: Mapping[str, Any]) -> dict[str, PredictedValue] | None:
        """The predicted value of each measured objective; None if one cannot be predicted."""
        predictions = {}
        for name in self.names:
            observation, correction = self._observation(name, attributes), self._correction(name)
            if observation is None or correction is None:
                return None
            predictions[name] = correction.predict(observation)
        return predictions

    def _observation(self, name: str, attributes: Mapping[str, Any]) -> Observation | None:
        """What is known of the objective `name` of a trial before it is measured; None if too little is."""
        if not registered.get(name).log:  # a value that may be zero or less
            return None
        features = [attributes.get(feature) for feature in FEATURES]
        predicted = (attributes.get(OPERATOR_PREDICTIONS) or {}).get(name) if name in self.tables else None
        if any(feature is None for feature in features) or (predicted is None and name in self.tables):
            return None
        try:
            return Observation(tuple(map(float, features)), predicted)  # type: ignore[arg-type]
        except ValueError:
            return None

    def _correction(self, name: str) -> PredictionCorrection | None:
        """The correction of the objective `name` by all that was measured; None as long as that is too little."""
        measured = self._measured[name]
        if len(measured) < MIN_OBSERVATIONS:
            return None
        count, correction = self._corrections.get(name, (0, None))
        if correction is None or count != len(measured):
            observations, values = zip(*list(measured.values())[-MAX_OBSERVATIONS:], strict=True)
            correction = PredictionCorrection(observations, values)
            self._corrections[name] = len(measured), correction
        return correction

    def _satisfies_limits(self, predictions: Mapping[str, PredictedValue]) -> bool:
        """True if the values satisfy the limits even at the worst ends of their intervals."""
        return not any(
            registered.get(name).violates(_worst(registered.get(name), predictions[name]), limit)
            for name, limit in self.limits.items()
        )

    def _is_dominated(self, predictions: Mapping[str, PredictedValue], values: Mapping[str, Any]) -> bool:
        """True if a measured trial dominates a trial with these `values`, even at the best ends of its intervals."""
        best = [
            _best(objective, predictions[objective.name])
            if objective.name in predictions
            else values.get(objective.name)
            for objective in self.objectives
        ]
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in best):
            return True  # it fails for its missing value
        return self._front.dominates(np.array(best, np.float64))


def _best(objective: Objective, predicted: PredictedValue) -> float:
    return predicted.high if objective.direction == "maximize" else predicted.low


def _worst(objective: Objective, predicted: PredictedValue) -> float:
    return predicted.low if objective.direction == "maximize" else predicted.high
