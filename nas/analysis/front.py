"""Which trials are on the front, and how much of the objective space they cover.

Arrays of values are `(n, m)`: a row per trial, a column per objective in the study's order, in the objectives' own
units and directions. A row that holds a value that is not finite (a trial that has none yet) is kept in place and never
counted.

**Normalised box.** An objective whose ratios matter (`log=True`) is taken as its base-10 logarithm; then each objective
is scaled so that the worst value seen is 0 and the best 1. The hypervolume is the share of that box, 0 to 1, that the
points dominate, seen from the worst corner. It compares moments of *one* study (with the same bounds), not studies with
one another.

**Degenerate cases.** An objective with a single value cannot tell trials apart: all stand at 1 and it drops out of the
product. If no objective varies (no trial, one trial, all alike) there is no box and the hypervolume is 0. A value of
zero or less has no logarithm: in an objective with `log=True` its row is not counted.

Dominance and the exact hypervolume come from moocore (Fonseca, Paquete, López-Ibáñez 2006; Guerreiro, Fonseca 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.objectives import Direction, Objective

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


def front_mask(values: ArrayLike, directions: Sequence[Direction]) -> Mask:
    """Which rows no other row dominates: `(n, m) -> (n,)`.

    Equal rows do not dominate each other: all of them stay. Rows that are not finite are never on the front.

    Raises:
        ValueError: the number of columns is not the number of directions.
    """
    table = _table(values, len(directions))
    mask: Mask = np.asarray(np.isfinite(table).all(axis=1))
    if mask.any():
        maximise = [direction == "maximize" for direction in directions]
        mask[mask] = moocore.is_nondominated(table[mask], maximise=maximise, keep_weakly=True)
    return mask


@dataclass(frozen=True)
class Bounds:
    """The corners of the box: for each objective the worst and the best value seen, logarithms where `log`."""

    worst: tuple[float, ...]
    best: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.worst) != len(self.best) or not np.isfinite((*self.worst, *self.best)).all():
            raise ValueError(f"bounds need a finite worst and best per objective, found {self.worst} and {self.best}")

    @classmethod
    def of(cls, values: ArrayLike, objectives: Sequence[Objective]) -> Bounds:
        """The bounds of `values`, `(n, m)`; all zero if no row counts."""
        scaled = _scale(values, objectives)
        counted = scaled[np.isfinite(scaled).all(axis=1)]
        if not len(counted):
            return cls(worst=(0.0,) * len(objectives), best=(0.0,) * len(objectives))
        low, high = counted.min(axis=0).tolist(), counted.max(axis=0).tolist()
        rising = [objective.direction == "maximize" for objective in objectives]
        return cls(
            worst=tuple(a if up else b for a, b, up in zip(low, high, rising, strict=True)),
            best=tuple(b if up else a for a, b, up in zip(low, high, rising, strict=True)),
        )

    @property
    def is_point(self) -> bool:
        """True if no objective varies, so that there is no box."""
        return self.worst == self.best


def normalise(values: ArrayLike, objectives: Sequence[Objective], bounds: Bounds | None = None) -> Floats:
    """`(n, m) -> (n, m)`: 0 at the worst and 1 at the best of `bounds` (those of `values` unless given), clipped there.

    A row that does not count is NaN throughout.
    """
    bounds = bounds or Bounds.of(values, objectives)
    scaled = _scale(values, objectives)
    scaled[~np.isfinite(scaled).all(axis=1)] = np.nan
    worst, best = np.array(bounds.worst), np.array(bounds.best)
    if len(worst) != len(objectives):
        raise ValueError(f"bounds of {len(worst)} objectives cannot scale {len(objectives)}")
    width = best - worst
    flat = width == 0
    unit = (scaled - worst) / np.where(flat, 1.0, width)
    rising = np.array([objective.direction == "maximize" for objective in objectives])
    as_good = np.where(rising, scaled >= best, scaled <= best).astype(np.float64)
    unit[:, flat] = np.where(np.isnan(scaled), np.nan, as_good)[:, flat]
    return np.asarray(np.clip(unit, 0.0, 1.0), dtype=np.float64)


def hypervolume(values: ArrayLike, objectives: Sequence[Objective], bounds: Bounds | None = None) -> float:
    """The share of the normalised box that `values`, `(n, m)`, dominate: 0 to 1.

    Args:
        values: in the objectives' own units.
        objectives: the columns.
        bounds: the box; that of `values` unless given.
    """
    bounds = bounds or Bounds.of(values, objectives)
    unit = normalise(values, objectives, bounds)
    counted = unit[~np.isnan(unit[:, 0])]
    if bounds.is_point or not len(counted):
        return 0.0
    return min(_dominated_share(counted), 1.0)


def hypervolume_over(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    """The hypervolume after each trial in the order of rows, with the bounds of all: `(n, m) -> (n,)`, never falling."""
    bounds = Bounds.of(values, objectives)
    unit = normalise(values, objectives, bounds)
    if bounds.is_point:
        return np.zeros(len(unit))
    volume = Volume(unit.shape[1])
    return np.array([volume.add(point) for point in unit])


class Volume:
    """The share of the unit box that points dominate which come one by one, seen from 0, where 1 is best; exact.

    A point adds the part of its own box that the front before it does not dominate; only one that enters the front costs a
    computation, so that 10,000 points are a matter of a second or two.

    Args:
        objectives: the number of coordinates.
    """

    def __init__(self, objectives: int) -> None:
        self._value = 0.0
        self._front = np.empty((0, objectives))

    def add(self, point: Floats) -> float:
        """Take up `point`, `(objectives,)`, and return the volume; a point with NaN (a failure) adds nothing."""
        if not np.isnan(point).any() and not (self._front >= point).all(axis=1).any():
            shared = np.minimum(self._front, point)  # what the front dominates of this point's own box
            self._value += max(float(np.prod(point)) - _dominated_share(shared), 0.0)
            self._front = np.vstack([self._front[~(point >= self._front).all(axis=1)], point])
        return self.value

    @property
    def value(self) -> float:
        """The volume so far."""
        return min(self._value, 1.0)


def _dominated_share(unit: Floats) -> float:
    """The volume that points of the unit box dominate, seen from 0: `(n, m) -> float`."""
    return float(moocore.hypervolume(unit, ref=0.0, maximise=True)) if len(unit) else 0.0


def _scale(values: ArrayLike, objectives: Sequence[Objective]) -> Floats:
    """A copy of `values` with the logarithm where an objective wants it; what has none is NaN."""
    scaled = _table(values, len(objectives)).copy()
    for column, objective in enumerate(objectives):
        if objective.log:
            positive = np.where(scaled[:, column] > 0, scaled[:, column], np.nan)
            scaled[:, column] = np.log10(positive)
    return scaled


def _table(values: ArrayLike, columns: int) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0 and columns:
        table = table.reshape(0, columns)
    if table.ndim != 2 or table.shape[1] != columns or not columns:
        raise ValueError(f"values must be (n, {columns}), a column per objective, found the shape {table.shape}")
    return table
