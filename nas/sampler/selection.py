"""Which candidates to train: the best one, or several at once, each after those before it."""

from __future__ import annotations

import numpy as np

from nas.sampler.batch import Batch
from nas.sampler.objective_models import FrontEstimate
from nas.sampler.scoring import Scoring

MAX_BATCH_CANDIDATES = 512  # candidates from which all points of a batch are chosen


def select(scoring: Scoring, estimate: FrontEstimate, count: int) -> list[int]:
    """The indices of the best scored candidate and, with the best of the others, of those that follow it; at most `count`."""
    if count == 1:
        return scoring.pool.best(1)
    pool, model = scoring.pool, scoring.models.primary
    ranked = np.array([i for i in pool.best(len(pool)) if pool.score[i] > -np.inf])
    # The best ones are alike. Once one of them is chosen, the next may be of another kind: so half of them are of all ranks.
    half = MAX_BATCH_CANDIDATES // 2
    spread = (
        np.linspace(half, len(ranked) - 1, half).astype(np.intp)
        if len(ranked) > 2 * half
        else np.arange(half, len(ranked))
    )
    index = np.concatenate([ranked[:half], ranked[spread]])
    batch = Batch(
        estimate,
        scoring.expected_costs(estimate)[index],
        model.mean(pool.covariance(model)[index]),
        scoring.uncertainty(model, index),
        [scoring.uncertainty(objective.process, index) for objective in estimate.secondary],
    )
    weight = scoring.weight(index)
    return [int(index[i]) for i in batch.select(count, scoring.acquisition, weight)]
