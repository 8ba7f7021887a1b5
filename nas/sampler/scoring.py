"""The acquisition value of candidates: the expected hypervolume improvement of what can be trained, per time."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.sampler.batch import Uncertainty
from nas.sampler.candidate_pool import CandidatePool
from nas.sampler.feasibility import FeasibilityModel
from nas.sampler.gaussian_process import GaussianProcess
from nas.sampler.improvement import Costs
from nas.sampler.objective_models import FrontEstimate, ObjectiveModels

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MAX_DEVIATION_MULTIPLICATIONS = 6e7  # spent on the deviations of candidates in one scoring
MIN_SCORED_DEVIATIONS = 256  # candidates whose deviation is computed at least
MAX_UNCERTAIN_COSTS = 2048  # candidates for which the uncertainty of predicted costs counts, in one scoring


class Scoring:
    """Scores the candidates of a pool.

    Args:
        pool: the candidates.
        models: of the objectives.
        feasibility: which points can be trained.
        primary_limit: the lowest value allowed of the primary objective; -inf: there is none.
    """

    def __init__(
        self,
        pool: CandidatePool[Any],
        models: ObjectiveModels[Any],
        feasibility: FeasibilityModel[Any],
        primary_limit: float,
    ) -> None:
        self.pool, self.models, self.feasibility = pool, models, feasibility
        self.primary_limit = primary_limit

    def score(self, estimate: FrontEstimate, index: Indices) -> None:
        """Score the candidates `index`.

        Deviations are computed only of candidates that might be the best: with the same hyper-parameters they fall from
        observation to observation, so the last ones computed are upper bounds. Those of predicted costs are left out at first.
        """
        if not len(index):
            return
        pool, model = self.pool, self.models.primary
        covariance = pool.covariance(model)
        mean, costs = model.mean(covariance)[index], Costs.exact(self.expected_costs(estimate)[index])
        bound = np.minimum(pool.deviation, model.prior_standard_deviation(pool.features))[index]
        weight = self.weight(index)
        scores = weight * self.acquisition(estimate, costs, mean, bound)
        predicted = costs.mean[:, self.pool.extractor.num_cheap :].sum(axis=1)
        ranked = np.lexsort((predicted, -scores))  # if none is expected to keep a limit, those that are nearest
        num_exact = max(int(MAX_DEVIATION_MULTIPLICATIONS / model.num_observations**2), MIN_SCORED_DEVIATIONS)
        top = ranked[: min(num_exact, MAX_UNCERTAIN_COSTS) if estimate.secondary else num_exact]
        deviation = model.standard_deviation(covariance[index[top]], pool.features[index[top]])
        costs = Costs(costs.mean[top], self._cost_deviations(estimate, index[top]))
        exact = weight[top] * self.acquisition(estimate, costs, mean[top], deviation)
        scores = np.minimum(scores, exact.max() * (1 - 1e-9))  # a bound alone cannot win
        scores[top] = exact
        pool.score[index], pool.deviation[index[top]] = scores, deviation

    def weight(self, index: Indices) -> Floats:
        """By which the improvement of the candidates `index` counts: the probability that they can be trained, per time."""
        return np.asarray(self.feasibility.weight(self.pool)[index] / self.pool.durations[index])

    def uncertainty(self, model: GaussianProcess, index: Indices) -> Uncertainty:
        """That of a model at the candidates `index`."""
        pool = self.pool
        covariance = model.posterior_covariance(pool.covariance(model)[index], pool.features[index])
        return Uncertainty(covariance, model.noise_deviation)

    def expected_costs(self, estimate: FrontEstimate) -> Floats:
        """The costs of all candidates and the means of those that are predicted, `(candidates, costs)`."""
        pool = self.pool
        predicted = [objective.process.mean(pool.covariance(objective.process)) for objective in estimate.secondary]
        return np.column_stack([pool.costs, *predicted])

    def _cost_deviations(self, estimate: FrontEstimate, index: Indices) -> Floats:
        """The standard deviations of the predicted costs of the candidates `index`, `(m, predicted costs)`."""
        pool = self.pool
        deviations = [
            process.standard_deviation(pool.covariance(process)[index], pool.features[index])
            for process in (objective.process for objective in estimate.secondary)
        ]
        return np.stack(deviations, axis=1) if deviations else np.zeros((len(index), 0))

    def acquisition(self, estimate: FrontEstimate, costs: Costs, mean: Floats, deviation: Floats) -> Floats:
        """The expected hypervolume improvement of candidates, times the probability that they keep a limit, `(m,)`.

        That of a cost needs no probability: beyond it there is no improvement.
        """
        warp = estimate.warp
        improvement = estimate.improvement.expected(costs, mean, deviation, warp)
        if not np.isfinite(self.primary_limit):
            return improvement
        limit = min(self.primary_limit, warp.ceiling - 1e-9 * warp.unit)
        return np.asarray(scipy.special.ndtr((mean - warp(np.array(limit))) / deviation) * improvement)
