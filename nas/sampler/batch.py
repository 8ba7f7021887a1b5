"""Several points to train at once, from one model and one set of candidates.

After each choice the model is updated as if the result were the predicted one (kriging believer, as for points that are being
trained): the mean stays, the uncertainty around the chosen point falls, and the point joins the front. For a Gaussian process
that is an update of rank one of the covariance of the candidates, which takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.sampler.objective_models import FrontEstimate

Floats = NDArray[np.float64]

MIN_VARIANCE = 1e-9  # of a candidate, relative to the largest

Acquisition = Callable[[FrontEstimate, Floats, Floats, Floats], Floats]
"""Maps the front, costs, means and deviations of candidates to their acquisition values."""


@dataclass
class Batch:
    """The candidates, m in number.

    Args:
        estimate: the front so far.
        costs: `(m, k)`.
        mean: of the primary objective, `(m,)`.
        covariance: of the primary objective, `(m, m)`.
        noise_deviation: of one observation.
    """

    estimate: FrontEstimate
    costs: Floats
    mean: Floats
    covariance: Floats
    noise_deviation: float

    def select(self, count: int, acquisition: Acquisition, weight: Floats) -> list[int]:
        """The indices of the best candidate, of the best one after that, and so on; at most `count`.

        Args:
            count: the highest number of points.
            acquisition: the acquisition function.
            weight: by which its values are multiplied, `(m,)`.
        """
        chosen: list[int] = []
        floor = MIN_VARIANCE * max(float(np.diag(self.covariance).max()), MIN_VARIANCE)
        while True:
            deviation = np.sqrt(np.maximum(np.diag(self.covariance), floor))
            scores = weight * acquisition(self.estimate, self.costs, self.mean, deviation)
            scores[chosen] = -np.inf
            chosen.append(int(np.argmax(scores)))
            if len(chosen) >= min(count, len(self.mean)):
                return chosen
            self._believe(chosen[-1])

    def _believe(self, index: int) -> None:
        """Take the predicted result of the candidate `index` for an observation."""
        column = self.covariance[:, index]
        self.covariance = self.covariance - np.outer(column, column) / (column[index] + self.noise_deviation**2)
        y = self.estimate.warp.inverse(self.mean[index : index + 1])
        improvement = self.estimate.improvement.with_points(self.costs[index : index + 1], y)
        self.estimate = replace(self.estimate, improvement=improvement)
