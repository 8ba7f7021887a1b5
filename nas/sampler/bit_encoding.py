"""How points are encoded as zeros and ones for the models: one-hot bits, and a thermometer code for ordered levels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAME_LEVEL_WEIGHT = 0.2
"""Prior weight of whether two levels of an ordered decision are the same one, where that of how far they are apart is 1.

Given 1 before, fits to 100 random points gave it .1 to .6 on 12 of 13 problems (`tests/benchmarks/hyperparameters.py`).
"""


@dataclass(frozen=True)
class BitEncoding:
    """The meaning of the bits of a point.

    Args:
        decision: the decision that each bit belongs to, counted from 0, `(p,)`; of an ordered one, whose levels have names,
            the one-hot bits and the thermometer count as two.
        distance: the distance that each differing bit adds, `(p,)`.
        weight: the prior median of the weight of each decision in a model, `(decisions,)`; they add up to 1.
        count_matrix: which bits stand for the same choice in different places, `(p, q)`: `bits @ count_matrix` gives how
            often each choice is made.
    """

    decision: NDArray[np.intp]
    distance: Floats
    weight: Floats
    count_matrix: Floats


@dataclass(frozen=True)
class DecisionLevels:
    """The levels of one decision.

    Args:
        count: the number of levels.
        ordered: the levels are numbers in ascending order, so that close ones are similar.
        names: for each level the name under which it is counted in every decision; None for the levels of a range, of which
            only the order counts, not whether two are the same.
    """

    count: int
    ordered: bool
    names: Sequence[Hashable] | None


def encode_decisions(decisions: Sequence[DecisionLevels]) -> tuple[list[Floats], BitEncoding]:
    """The tables of bits, and their meaning.

    Returns:
        For each decision a table `(levels + 1, bits)` with a row per level and a last row of zeros for an absent decision;
        and the encoding of all bits.
    """
    tables: list[Floats] = []
    decision_of_bit: list[int] = []
    distance: list[float] = []
    weight: list[float] = []
    names: list[Hashable | None] = []
    for levels in decisions:
        parts = []
        if levels.names is not None:
            parts.append(np.eye(levels.count))
            distance += [0.5] * levels.count
            names += levels.names
        if levels.ordered and (levels.count > 2 or levels.names is None):  # a thermometer: one bit for each level below
            parts.append(np.tri(levels.count, levels.count - 1, -1))
            distance += [1 / (levels.count - 1)] * (levels.count - 1)
            names += [None] * (levels.count - 1)
        weight += [SAME_LEVEL_WEIGHT, 1.0] if len(parts) == 2 else [1.0]
        for part in parts:
            decision_of_bit += [decision_of_bit[-1] + 1 if decision_of_bit else 0] * part.shape[1]
        rows = np.concatenate(parts, axis=1)
        tables.append(np.concatenate([rows, np.zeros((1, rows.shape[1]))]))
    encoding = BitEncoding(
        np.array(decision_of_bit, np.intp),
        np.array(distance),
        np.array(weight) / sum(weight or [1.0]),
        _count_matrix(names),
    )
    return tables, encoding


def _count_matrix(names: Sequence[Hashable | None]) -> Floats:
    """`(p, q)`: the bits of each name that more than one bit has."""
    shared = list(dict.fromkeys(name for name in names if name is not None and names.count(name) > 1))
    matrix = np.zeros((len(names), len(shared)))
    for i, name in enumerate(names):
        if name in shared:
            matrix[i, shared.index(name)] = 1.0
    return matrix
