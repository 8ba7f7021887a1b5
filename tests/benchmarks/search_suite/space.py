"""A search space whose points are rows of numbers, so that a whole space is evaluated by NumPy at once.

A row has a number for each parameter: the index of its value, or the position from 0 to 1 of a `FloatDistribution` (on its
scale); -1 for a parameter that the point does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

Floats = NDArray[np.float64]
Rng = np.random.Generator

ABSENT = -1
_CHUNK = 200_000


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Args:
        name: its name.
        distribution: its values.
        ordered: True if neighbouring values have similar results.
        parent: the index of an earlier parameter that decides whether this one exists; None: it always does.
        parent_levels: the levels of the parent with which it exists.
    """

    name: str
    distribution: BaseDistribution
    ordered: bool
    parent: int | None = None
    parent_levels: tuple[int, ...] = ()

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """The values in the order of levels; empty for floats."""
        if isinstance(self.distribution, CategoricalDistribution):
            return tuple(self.distribution.choices)
        if isinstance(self.distribution, IntDistribution):
            return tuple(range(self.distribution.low, self.distribution.high + 1, self.distribution.step))
        return ()

    @cached_property
    def levels(self) -> Mapping[Any, int]:
        """Value -> level."""
        return {value: level for level, value in enumerate(self.values)}

    def position(self, value: Any) -> float:
        """The number of `value` in a row."""
        if not isinstance(self.distribution, FloatDistribution):
            return self.levels[value]
        low, high = self.distribution.low, self.distribution.high
        if self.distribution.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def value(self, position: float) -> Any:
        """The inverse of `position`."""
        if not isinstance(self.distribution, FloatDistribution):
            return self.values[int(position)]
        low, high = self.distribution.low, self.distribution.high
        if self.distribution.log:
            return float(np.clip(low * (high / low) ** position, low, high))
        return float(np.clip(low + position * (high - low), low, high))


def categorical(name: str, *values: Any) -> Parameter:
    """A parameter without an order."""
    return Parameter(name, CategoricalDistribution(values), ordered=False)


def ordinal(name: str, *values: Any) -> Parameter:
    """A parameter whose values are in the order of their effects."""
    return Parameter(name, CategoricalDistribution(values), ordered=True)


class Space:
    """The combinations of parameters.

    Args:
        parameters: a parent stands before its children.
    """

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self.parameters = parameters
        self.names = tuple(parameter.name for parameter in parameters)
        self.conditional = any(parameter.parent is not None for parameter in parameters)
        self.counts = np.array([len(parameter.values) for parameter in parameters])
        self.continuous = bool((self.counts == 0).any())
        self.product = math.inf if self.continuous else math.prod(self.counts.tolist())
        self.distributions = {parameter.name: parameter.distribution for parameter in parameters}

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Suggest the parameters that a point has, one after the other."""
        levels: list[float] = []
        params: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.parent is not None and levels[parameter.parent] not in parameter.parent_levels:
                levels.append(ABSENT)
                continue
            value = _suggest(trial, parameter)
            params[parameter.name] = value
            levels.append(parameter.position(value))
        return params

    def row(self, params: Mapping[str, Any]) -> Floats:
        """The row of a point."""
        return np.array(
            [p.position(params[p.name]) if p.name in params else ABSENT for p in self.parameters], dtype=float
        )

    def params(self, row: Floats) -> dict[str, Any]:
        """The inverse of `row`."""
        return {p.name: p.value(x) for p, x in zip(self.parameters, row, strict=True) if x != ABSENT}

    def sample(self, rng: Rng, count: int) -> Floats:
        """Random rows, `(count, d)`."""
        columns = [rng.random(count) if n == 0 else rng.integers(n, size=count) for n in self.counts]
        return self.canonical(np.stack(columns, axis=1).astype(np.float64))

    def canonical(self, rows: Floats) -> Floats:
        """`rows` without the parameters that the points do not have."""
        if not self.conditional:
            return rows
        rows = rows.copy()
        for i, parameter in enumerate(self.parameters):
            if parameter.parent is not None:
                present = np.isin(rows[:, parameter.parent], parameter.parent_levels)
                rows[:, i] = np.where(present, np.maximum(rows[:, i], 0), ABSENT)
        return rows

    def chunks(self) -> Iterator[Floats]:
        """All rows, in parts; a conditional space repeats points."""
        for start in range(0, int(self.product), _CHUNK):
            index = np.arange(start, min(start + _CHUNK, int(self.product)))
            levels = np.unravel_index(index, tuple(self.counts.tolist()))
            yield self.canonical(np.stack(levels, axis=1).astype(np.float64))

    def neighbours(self, rows: Floats, rng: Rng) -> Floats:
        """All rows that differ in one parameter from one of `rows`; of a float eight positions near it and elsewhere."""
        found = []
        for i, count in enumerate(self.counts):
            steps = np.concatenate([rng.normal(0, 0.03, 5), rng.random(3)])
            for step in steps if count == 0 else range(1, count):
                other = rows.copy()
                if count == 0:
                    near = abs(step) < 0.2
                    other[:, i] = np.clip(other[:, i] + step, 0, 1) if near else step
                else:
                    other[:, i] = (other[:, i] + step) % count
                found.append(other[rows[:, i] != ABSENT])
        return self.canonical(np.concatenate(found))


def _suggest(trial: Trial, parameter: Parameter) -> Any:
    distribution = parameter.distribution
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(parameter.name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(parameter.name, distribution.low, distribution.high, step=distribution.step)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(parameter.name, distribution.low, distribution.high, log=distribution.log)
