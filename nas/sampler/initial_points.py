"""The points that are trained before a model knows anything: they show how the objective depends on cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.sampler.candidate_pool import CandidatePool, Indices

NUM_INITIAL_POINTS = 3  # points trained before the model is used


def choose_initial(
    pool: CandidatePool[Any],
    available: Indices,
    started: int,
    first: Sequence[Any],
    likeness: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> int | None:
    """Choose the point of lowest cost, then of highest cost, then one of median cost; a random one if nothing is cheap.

    Of several of lowest cost it is a random one, of several of highest cost one that is most like the first point, so that their
    difference is one of cost. Once some have failed, those after these two are of the half of all points that resembles them
    least. Points beyond the reference of a cost are left out as long as there are others.

    Args:
        pool: the candidates.
        available: the indices of those that may be chosen.
        started: the number of points that were chosen before.
        first: the first one of them, if it was trained.
        likeness: of each of `available` to points that failed, `(n,)`; None if none has.
        rng: for ties.

    Returns:
        The index of the candidate; None if there is none.
    """
    counts = (pool.costs[available] <= 1).all(axis=1)
    if counts.any():
        available, likeness = available[counts], None if likeness is None else likeness[counts]
    if not len(available):
        return None
    unlike = available if likeness is None else available[likeness <= np.median(likeness)]
    if not pool.extractor.num_cheap:
        return int(rng.choice(unlike))
    if started < 2:
        costs = pool.costs[available, 0]
        best = available[costs == (costs.min() if started == 0 else costs.max())]
        if len(best) > 1 and started and len(first):
            domain = pool.extractor.domain
            distance = np.abs(pool.features.bits[best] - domain.encode(first)) @ domain.encoding.distance
            best = best[distance == distance.min()]
        return int(best[0] if len(best) == 1 else rng.choice(best))
    ranked = unlike[np.argsort(pool.costs[unlike, 0], kind="stable")]
    middle, reach = len(ranked) // 2, len(ranked) // 16
    return int(rng.choice(ranked[middle - reach : middle + reach + 1]))
