"""What a sampler expects of a point that it proposes, in the units of the objective.

The model of `ParetoSampler` is normal on a warped scale, `z = -log((ceiling - y) / unit)` (`nas.sampler.warp`), so the result y
is not normal: `ceiling - y` is log-normal. A mean and a standard deviation would put the interval above the ceiling, so a
prediction is a median and the central interval of the same probability as one standard deviation of z on either side. It
includes the noise of one training: of good predictions 68.3 % of the trained values are within.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from optuna.trial import FrozenTrial

PREDICTED = "predicted"
"""The user attribute of a trial: {name of the objective: [median, low, high]}."""

INTERVAL_PROBABILITY = 0.682689
"""Of a normal value to be within one standard deviation of its mean."""


@dataclass(frozen=True)
class Prediction:
    """The prediction of one objective, in its own units.

    Args:
        objective: the index of the objective.
        median: half of the results are expected to be below.
        low, high: the ends of the central interval, which has `INTERVAL_PROBABILITY`.
    """

    objective: int
    median: float
    low: float
    high: float

    def to_list(self) -> list[float]:
        """[median, low, high], as the user attribute `predicted` holds it under the objective's name."""
        return [self.median, self.low, self.high]


@dataclass(frozen=True)
class Expectations:
    """What a model expects of the complete trials of a study if the objectives were known without noise.

    Args:
        front: the trials on the Pareto front, by number.
        values: trial -> the value expected of its primary objective: the mean of many trainings of its point, not the result of
            one, so without the noise of a training. It has the trials that the model has learned from (of thousands, the
            nearest to the front and some others); empty if there are too few results for a model.
    """

    front: Sequence[FrozenTrial]
    values: Mapping[int, Prediction] = field(default_factory=dict)


@runtime_checkable
class PredictingSampler(Protocol):
    """A sampler that says what it expects of its proposals."""

    def prediction(self, number: int) -> Prediction | None:
        """The prediction for the trial `number`, which runs; None if the sampler has not modelled it."""
