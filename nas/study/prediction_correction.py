"""Corrects the predictions of a measured objective by the values that were measured, and says how far off they may be.

The logarithm of measured / predicted is a linear function of the logarithms of the prediction and of exact costs, shrunk towards
its mean (ridge regression on standardised features): operators in a network are faster or slower than alone, and the more so the
larger their maps are. Without a prediction the logarithm of the value itself is the function of the costs.

The deviation comes from residuals of observations that are left out of the fit (Allen, "The relationship between variable
selection and data augmentation and a method for prediction", Technometrics 16, 1974), so that it is not that of an
overfitted function, and grows with the distance from what was measured. Needs NumPy alone, and one quantile of SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.study.outcomes.predicted_values import PredictedValue

Floats: TypeAlias = NDArray[np.float64]

MIN_OBSERVATIONS = 10
"""Values that are measured before one is predicted: twice the parameters of the function of a prediction and three costs."""
SHRINKAGE = 1.0
"""The weight of the penalty, in observations."""
MIN_SPREAD = 0.01
"""Of a feature's logarithm: one that was the same in all networks says nothing about a network in which it differs."""
MIN_DEVIATION = 0.01
"""Of the logarithm: measurements themselves are no more precise (`trainers.measuring.effort.Effort.interval`)."""
CONFIDENCE = 0.999
"""The probability with which a value is within the interval of its prediction, if residuals are normal. They are not quite: in a
search of 120 digits networks 95 % of the unmeasured values were within intervals of 0.99, and all within these, which have one
more trial measured."""


@dataclass(frozen=True)
class Observation:
    """What is known of a network before it is measured.

    Args:
        features: positive numbers, such as costs; as many for every network of a study.
        predicted: the value that the operator table predicts, positive; None: there is none.

    Raises:
        ValueError: a number is not finite and positive.
    """

    features: tuple[float, ...]
    predicted: float | None = None

    def __post_init__(self) -> None:
        numbers = self.features if self.predicted is None else (*self.features, self.predicted)
        if not all(0 < number < math.inf for number in numbers):
            raise ValueError(f"features and predictions must be positive and finite, found {self}")

    @property
    def base(self) -> float:
        """The logarithm of the prediction; 0 without one."""
        return 0.0 if self.predicted is None else math.log(self.predicted)

    @property
    def logarithms(self) -> list[float]:
        """Of everything that is known."""
        known = self.features if self.predicted is None else (self.predicted, *self.features)
        return [math.log(number) for number in known]


class PredictionCorrection:
    """A correction, fitted to measured values.

    Args:
        observations: what was known of the measured networks, all of the same kind.
        values: what was measured, positive, `(n,)`.

    Raises:
        ValueError: there are fewer than `MIN_OBSERVATIONS`, or not as many values.
    """

    def __init__(self, observations: Sequence[Observation], values: Sequence[float]) -> None:
        count = len(observations)
        if count < MIN_OBSERVATIONS or count != len(values):
            rule = f"a correction needs {MIN_OBSERVATIONS} observations or more, and a value of each"
            raise ValueError(f"{rule}, found {count} and {len(values)}")
        features = np.array([observation.logarithms for observation in observations])
        targets = np.log(values) - np.array([observation.base for observation in observations])
        self._centre, self._scale = features.mean(axis=0), np.maximum(features.std(axis=0), MIN_SPREAD)
        standardised = (features - self._centre) / self._scale
        self._mean = float(targets.mean())
        gram = standardised.T @ standardised + SHRINKAGE * np.eye(features.shape[1])
        self._inverse: Floats = np.linalg.inv(gram)
        self._weights: Floats = self._inverse @ standardised.T @ (targets - self._mean)
        leverages = np.einsum("ij,jk,ik->i", standardised, self._inverse, standardised) + 1 / count
        residuals = (targets - self._mean - standardised @ self._weights) / np.maximum(1 - leverages, 1e-9)
        self._count = count
        self.deviation = max(float(np.sqrt(np.mean(residuals**2))), MIN_DEVIATION)
        """The standard deviation of the logarithm of measured / predicted, of networks like those that were measured."""
        self._quantile = _student_quantile(0.5 + CONFIDENCE / 2, count - 1 - features.shape[1])

    def predict(self, observation: Observation) -> PredictedValue:
        """The value of a network of which this is known, with an interval that has it with the probability `CONFIDENCE`."""
        standardised = (np.array(observation.logarithms) - self._centre) / self._scale
        logarithm = observation.base + self._mean + float(standardised @ self._weights)
        leverage = float(standardised @ self._inverse @ standardised) + 1 / self._count
        width = self._quantile * self.deviation * math.sqrt(1 + leverage)
        return PredictedValue(*(math.exp(_bounded(logarithm + step)) for step in (0.0, -width, width)))


def _student_quantile(probability: float, degrees_of_freedom: int) -> float:
    from scipy.special import stdtrit  # slow to import, and a study that measures every trial does not need it

    return float(stdtrit(max(1, degrees_of_freedom), probability))


def _bounded(logarithm: float) -> float:
    """A logarithm whose exponential is a finite number above 0."""
    return min(max(logarithm, -700.0), 700.0)
