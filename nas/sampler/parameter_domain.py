"""The combinations of the values of Optuna distributions as a domain: a point is a tuple of level indices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampler.bit_encoding import BitEncoding, DecisionLevels, encode_decisions
from nas.sampler.domain import Domain, Rng

Floats = NDArray[np.float64]
Levels = tuple[int, ...]

ABSENT_LEVEL = -1  # of a parameter that a trial does not have; its bits are zero
MAX_LEVELS_PER_RANGE = 32  # a range of more values is represented by this many


class ParameterDomain(Domain[Levels]):
    """All combinations of the values of Optuna distributions; long ranges are represented by `MAX_LEVELS_PER_RANGE` values.

    Args:
        distributions: parameter -> distribution.

    Raises:
        ValueError: there is no distribution.
        TypeError: a value is no Optuna distribution.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        if not distributions:
            raise ValueError("search_space: must hold at least one distribution, found none")
        self.names = tuple(distributions)
        self.values = tuple(levels_of(distribution) for distribution in distributions.values())
        self._index = [{_hashable(value): i for i, value in enumerate(values)} for values in self.values]
        self.ordered = tuple(
            not isinstance(distribution, CategoricalDistribution) or _are_ordered(values)
            for distribution, values in zip(distributions.values(), self.values, strict=True)
        )
        decisions = [
            DecisionLevels(len(values), ordered, [(tuple(map(_hashable, values)), i) for i in range(len(values))])
            for values, ordered in zip(self.values, self.ordered, strict=True)
        ]
        self._tables, self._encoding = encode_decisions(decisions)

    @property
    def encoding(self) -> BitEncoding:
        return self._encoding

    @property
    def size(self) -> int:
        return math.prod(map(len, self.values))

    def points(self) -> Iterable[Levels]:
        return itertools.product(*(range(len(values)) for values in self.values))

    def sample(self, rng: Rng) -> Levels:
        return tuple(int(rng.integers(len(values))) for values in self.values)

    def mutate(self, point: Levels, rng: Rng) -> Levels:
        variable = [i for i, values in enumerate(self.values) if len(values) > 1]
        if not variable:
            return point
        index = variable[int(rng.integers(len(variable)))]
        level = int(rng.integers(len(self.values[index]) - 1))
        return (*point[:index], level + (level >= point[index]), *point[index + 1 :])

    def crossover(self, a: Levels, b: Levels, rng: Rng) -> Levels:
        return tuple(x if from_a else y for x, y, from_a in zip(a, b, rng.random(len(a)) < 0.5, strict=True))

    def encode(self, points: Sequence[Levels]) -> Floats:
        levels = np.asarray(points, dtype=np.intp).reshape(len(points), len(self.names))
        return np.concatenate([table[levels[:, i]] for i, table in enumerate(self._tables)], axis=1)

    def key(self, point: Levels) -> Hashable:
        return point

    def to_params(self, point: Levels) -> dict[str, Any]:
        levels = zip(self.names, self.values, point, strict=True)
        return {name: values[level] for name, values, level in levels if level != ABSENT_LEVEL}

    def from_params(self, params: Mapping[str, Any]) -> Levels | None:
        if not any(name in params for name in self.names):
            return None
        levels = []
        for i, name in enumerate(self.names):
            if name not in params:
                levels.append(0 if len(self.values[i]) == 1 else ABSENT_LEVEL)
                continue
            level = self._level(i, params[name])
            if level is None:
                return None
            levels.append(level)
        return tuple(levels)

    def _level(self, i: int, value: Any) -> int | None:
        """The level of parameter `i` that is nearest to `value`; None if it has no such value."""
        level = self._index[i].get(_hashable(value))
        if level is not None:
            return level
        if not self.ordered[i] or not isinstance(value, int | float):
            return None
        # The value lies between two levels: another sampler proposed it.
        return int(np.argmin([abs(value - other) for other in self.values[i]]))

    def function_argument(self, point: Levels) -> dict[str, Any]:
        return self.to_params(point)


def levels_of(distribution: BaseDistribution) -> tuple[Any, ...]:
    """The values of `distribution` to choose among, in order.

    Raises:
        TypeError: it is no Optuna distribution.
    """
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        if len(values) <= MAX_LEVELS_PER_RANGE:
            return tuple(values)
        spaced = _spaced_values(distribution.low, distribution.high, distribution.log)
        steps = np.unique(np.round((spaced - distribution.low) / distribution.step).astype(int))
        return tuple(distribution.low + int(step) * distribution.step for step in steps)
    if isinstance(distribution, FloatDistribution):
        if distribution.step is None:
            return tuple(map(float, _spaced_values(distribution.low, distribution.high, distribution.log)))
        count = int((distribution.high - distribution.low) / distribution.step + 1e-9) + 1
        steps = np.unique(np.round(np.linspace(0, count - 1, min(count, MAX_LEVELS_PER_RANGE))).astype(int))
        return tuple(float(distribution.low + step * distribution.step) for step in steps)
    raise TypeError(f"search_space: must hold Optuna distributions, found {distribution!r}")


def _spaced_values(low: float, high: float, log: bool) -> Floats:
    """`MAX_LEVELS_PER_RANGE` values from `low` to `high`, evenly spaced on a linear or a logarithmic scale."""
    spaced = np.geomspace if log else np.linspace
    return np.asarray(np.clip(spaced(low, high, MAX_LEVELS_PER_RANGE), low, high))


def _hashable(value: Any) -> Hashable:
    """A key that tells True from 1."""
    return (type(value).__name__ if isinstance(value, bool) else "", value)


def _are_ordered(values: Sequence[Any]) -> bool:
    """True for more than two numbers; of two levels one is as far from the other either way."""
    return len(values) > 2 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
