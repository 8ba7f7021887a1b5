"""The best front of a space: exact where all points can be evaluated, else that of a long search without noise.

The search is an evolutionary one (mutations and crossovers of the front), followed by a Pareto local search: all neighbours
of all points of the front are evaluated until the front stays as it is. `tests/nas/bench/test_search_suite.py` compares it
with the exact front of spaces that can be enumerated.
"""

from __future__ import annotations

from collections.abc import Callable

import moocore
import numpy as np
from numpy.typing import NDArray

from search_suite.space import ABSENT, Floats, Rng, Space

MAX_ENUMERATED = 1_200_000
GENERATIONS = 150
CHILDREN = 4000
MAX_FRONT = 1500  # points of a front with three and more objectives whose neighbours are searched
LOCAL_ROUNDS = 12

Evaluate = Callable[[Floats], Floats]
"""Rows `(n, d)` -> values to be minimised `(n, m)`; NaN: not feasible."""


def best_front(space: Space, evaluate: Evaluate, seed: int = 0) -> tuple[Floats, bool]:
    """The values of the best front, `(k, m)` to be minimised, and whether it is exact."""
    if space.product <= MAX_ENUMERATED:
        front = np.empty((0, 0))
        for rows in space.chunks():
            values = evaluate(rows)
            front = nondominated(values if not len(front) else np.concatenate([front, values]))
        return front, True
    return _search(space, evaluate, np.random.default_rng(seed)), False


def nondominated(values: Floats) -> Floats:
    """The distinct rows of `values` that no other dominates, without those that are not finite."""
    return values[_mask(values)]


def _mask(values: Floats) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    if mask.any():
        mask[mask] = moocore.is_nondominated(values[mask], keep_weakly=False)
    return mask


def _search(space: Space, evaluate: Evaluate, rng: Rng) -> Floats:
    rows = space.sample(rng, 20_000)
    rows, values = _keep(rows, evaluate(rows), rng)
    for _ in range(GENERATIONS):
        children = _children(space, rows, rng)
        rows, values = _keep(np.concatenate([rows, children]), np.concatenate([values, evaluate(children)]), rng)
    for _ in range(LOCAL_ROUNDS):
        neighbours = space.neighbours(rows, rng)
        before = values
        rows, values = _keep(np.concatenate([rows, neighbours]), np.concatenate([values, evaluate(neighbours)]), rng)
        if len(before) == len(values) and np.array_equal(np.sort(before, axis=0), np.sort(values, axis=0)):
            break
    return values


def _keep(rows: Floats, values: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """The points of the front, at most `MAX_FRONT` of them: those with the extreme values and random ones."""
    mask = _mask(values)
    rows, values = rows[mask], values[mask]
    if len(rows) > MAX_FRONT:
        extremes = np.unique(np.concatenate([values.argmin(axis=0), values.argmax(axis=0)]))
        others = np.setdiff1d(np.arange(len(rows)), extremes)
        kept = np.concatenate([extremes, rng.choice(others, MAX_FRONT - len(extremes), replace=False)])
        rows, values = rows[kept], values[kept]
    return rows, values


def _children(space: Space, rows: Floats, rng: Rng) -> Floats:
    """Crossovers of two points of the front, with one to three random changes."""
    a, b = rows[rng.integers(len(rows), size=(2, CHILDREN))]
    children = np.where((rng.random(a.shape) < 0.5) & (rng.random((CHILDREN, 1)) < 0.6), b, a)
    changes = rng.random(a.shape) < rng.integers(1, 4, size=(CHILDREN, 1)) / a.shape[1]
    random = np.where(
        space.counts == 0, rng.random(a.shape), np.floor(rng.random(a.shape) * np.maximum(space.counts, 1))
    )
    near = np.clip(children + rng.normal(0, 0.05, a.shape), 0, 1)
    random = np.where((space.counts == 0) & (rng.random(a.shape) < 0.5) & (children != ABSENT), near, random)
    return space.canonical(np.where(changes, random, children))
