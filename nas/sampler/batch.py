"""Several points to train at once, from one model and one set of candidates.

After each choice the models are updated as if the results were the predicted ones (kriging believer, as for points that are
being trained): the means stay, the uncertainty around the chosen point falls, and the point joins the front. For a Gaussian
process that is an update of rank one of the covariance of the candidates, which takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.sampler.improvement import Costs
from nas.sampler.objective_models import FrontEstimate

Floats = NDArray[np.float64]

MIN_VARIANCE = 1e-9  # of a candidate, relative to the largest

Acquisition = Callable[[FrontEstimate, Costs, Floats, Floats], Floats]
"""Maps the front, costs, means and deviations of candidates to their acquisition values."""


@dataclass
class Uncertainty:
    """That of one model at m candidates.

    Args:
        covariance: `(m, m)`.
        noise_deviation: of one observation.
    """

    covariance: Floats
    noise_deviation: float

    def __post_init__(self) -> None:
        self._min_variance = MIN_VARIANCE * max(float(np.diag(self.covariance).max()), MIN_VARIANCE)

    @property
    def deviation(self) -> Floats:
        """The standard deviation of each candidate, `(m,)`."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.covariance), self._min_variance)))

    def observe(self, index: int) -> None:
        """Take in an observation of the candidate `index`, whatever its value."""
        column = self.covariance[:, index]
        self.covariance = self.covariance - np.outer(column, column) / (column[index] + self.noise_deviation**2)


@dataclass
class Batch:
    """The candidates, m in number.

    Args:
        estimate: the front so far.
        costs: the expected ones, `(m, k)`.
        mean: of the primary objective, `(m,)`.
        primary: the uncertainty of the primary objective.
        secondary: that of each predicted cost, which are the last ones of `costs`.
    """

    estimate: FrontEstimate
    costs: Floats
    mean: Floats
    primary: Uncertainty
    secondary: Sequence[Uncertainty] = ()

    def select(self, count: int, acquisition: Acquisition, weight: Floats) -> list[int]:
        """The indices of the best candidate, of the best one after that, and so on; at most `count`.

        Args:
            count: the highest number of points.
            acquisition: the acquisition function.
            weight: by which its values are multiplied, `(m,)`.
        """
        chosen: list[int] = []
        while True:
            cost_deviations = np.array([model.deviation for model in self.secondary]).reshape(-1, len(self.mean)).T
            costs = Costs(self.costs, cost_deviations)
            scores = weight * acquisition(self.estimate, costs, self.mean, self.primary.deviation)
            scores[chosen] = -np.inf
            chosen.append(int(np.argmax(scores)))
            if len(chosen) >= min(count, len(self.mean)):
                return chosen
            self._believe(chosen[-1])

    def _believe(self, index: int) -> None:
        """Take the predicted results of the candidate `index` for an observation."""
        for model in (self.primary, *self.secondary):
            model.observe(index)
        y = self.estimate.warp.inverse(self.mean[index : index + 1])
        improvement = self.estimate.improvement.with_points(self.costs[index : index + 1], y)
        self.estimate = replace(self.estimate, improvement=improvement)
