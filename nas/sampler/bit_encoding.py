"""How points are encoded as zeros and ones for the models: one-hot bits, and a thermometer code for ordered levels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BitEncoding:
    """The meaning of the bits of a point.

    Args:
        decision: the decision that each bit belongs to, counted from 0, `(p,)`.
        distance: the distance that each differing bit adds, `(p,)`.
        count_matrix: which bits stand for the same choice in different places, `(p, q)`: `bits @ count_matrix` gives how
            often each choice is made.
    """

    decision: NDArray[np.intp]
    distance: Floats
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
        for part in parts:
            decision_of_bit += [decision_of_bit[-1] + 1 if decision_of_bit else 0] * part.shape[1]
        rows = np.concatenate(parts, axis=1)
        tables.append(np.concatenate([rows, np.zeros((1, rows.shape[1]))]))
    return tables, BitEncoding(np.array(decision_of_bit, np.intp), np.array(distance), _count_matrix(names))


def _count_matrix(names: Sequence[Hashable | None]) -> Floats:
    """`(p, q)`: the bits of each name that more than one bit has."""
    shared = list(dict.fromkeys(name for name in names if name is not None and names.count(name) > 1))
    matrix = np.zeros((len(names), len(shared)))
    for i, name in enumerate(names):
        if name in shared:
            matrix[i, shared.index(name)] = 1.0
    return matrix
