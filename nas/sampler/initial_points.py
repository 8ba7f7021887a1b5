"""The points that are trained before a model knows anything: they show how the objective depends on cost.

They also differ from one another in as many decisions as possible: what only one point has that turned out badly is avoided for
long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.sampler.candidate_pool import CandidatePool, Indices

COST_QUANTILES = (0.5, 0.25)  # of the points after those of lowest and highest cost
QUANTILE_REACH = 1 / 16  # to both sides of a quantile, as a share of all points
LONGEST_DURATION = 2.0  # of the point of highest cost, relative to the median of all points
NUM_INITIAL_POINTS = 2 + len(COST_QUANTILES)  # points trained before the model is used


def choose_initial(
    pool: CandidatePool[Any],
    available: Indices,
    started: int,
    trained: Sequence[Any],
    failed: Sequence[Any],
    likeness: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> int | None:
    """Choose the point of lowest cost, then of highest cost, then of median and of low cost.

    Of several of lowest cost it is a random one, of several of highest cost one that is most like the first point, so that their
    difference is one of cost. Points that take longer than `LONGEST_DURATION` are none of highest cost: the hugest network of a
    space may take a fifth of the time of a search. The others are those near the quantile that are least like the earlier points;
    if nothing is cheap, all are. Once some have failed, those after the first two are of the half of all points that resembles
    them least. Points beyond the reference of a cost are left out as long as there are others.

    Args:
        pool: the candidates.
        available: the indices of those that may be chosen.
        started: the number of points that were chosen before.
        trained: those of them that were trained or are being trained.
        failed: those that failed.
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
    if started < 2 and pool.extractor.num_cheap:
        if started:
            durations = pool.durations[available]
            available = available[durations <= LONGEST_DURATION * np.median(durations)]
        costs = pool.costs[available, 0]
        extreme = available[costs == (costs.min() if started == 0 else costs.max())]
        if started and len(trained) and len(extreme) > 1:
            distance = _distances(pool, extreme, trained[:1])[0]
            extreme = extreme[distance == distance.min()]
        return int(rng.choice(extreme)) if len(extreme) > 1 else int(extreme[0])
    unlike = available if likeness is None else available[likeness <= np.median(likeness)]
    if pool.extractor.num_cheap:
        unlike = _near_quantile(pool, unlike, COST_QUANTILES[(started - 2) % len(COST_QUANTILES)])
    if len(trained) or len(failed):
        closeness = (1 / (0.5 + _distances(pool, unlike, [*trained, *failed])) ** 2).sum(axis=0)
        unlike = unlike[closeness <= closeness.min() * (1 + 1e-9)]
    return int(rng.choice(unlike))


def _near_quantile(pool: CandidatePool[Any], index: Indices, quantile: float) -> Indices:
    """Those of the candidates `index` whose cost is near the quantile of their costs."""
    ranked = index[np.argsort(pool.costs[index, 0], kind="stable")]
    middle, reach = int(quantile * len(ranked)), int(QUANTILE_REACH * len(ranked))
    return ranked[max(middle - reach, 0) : middle + reach + 1]


def _distances(pool: CandidatePool[Any], index: Indices, points: Sequence[Any]) -> NDArray[np.float64]:
    """The number of decisions in which the candidates `index` differ from each of `points`, `(points, n)`."""
    encoding = pool.extractor.domain.encoding
    bits = pool.features.bits[index]
    return np.stack([np.abs(bits - row) @ encoding.distance for row in pool.extractor.domain.encode(points)])
