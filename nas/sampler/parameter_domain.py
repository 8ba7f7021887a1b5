"""The combinations of the values of Optuna distributions as a domain: a point is a tuple of levels (`parameters`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from nas.sampler.bit_encoding import BitEncoding, encode_decisions
from nas.sampler.conditions import ALWAYS, Conditions
from nas.sampler.domain import Domain, Rng
from nas.sampler.parameters import ABSENT_LEVEL, Level, Range, parameter_of

Floats = NDArray[np.float64]
Levels = tuple[Level, ...]


class ParameterDomain(Domain[Levels]):
    """All combinations of the values of Optuna distributions.

    Args:
        distributions: parameter -> distribution.
        conditions: which points have which parameters.

    Raises:
        ValueError: there is no distribution.
        TypeError: a value is no Optuna distribution.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], conditions: Conditions = ALWAYS) -> None:
        if not distributions:
            raise ValueError("search_space: must hold at least one distribution, found none")
        self.distributions = dict(distributions)
        self.names = tuple(distributions)
        self.conditions = conditions
        self.parameters = tuple(map(parameter_of, distributions.values()))
        self._variable = [i for i, parameter in enumerate(self.parameters) if parameter.count > 1]
        self._ranges = [(i, p) for i, p in enumerate(self.parameters) if isinstance(p, Range)]
        self._tables, self._encoding = encode_decisions([parameter.decision_levels for parameter in self.parameters])
        self._fixed: Mapping[int, Level] = {}

    @property
    def ordered(self) -> tuple[bool, ...]:
        """Whether the levels of each parameter are ordered."""
        return tuple(parameter.ordered for parameter in self.parameters)

    @property
    def encoding(self) -> BitEncoding:
        return self._encoding

    @property
    def size(self) -> int:
        return math.prod(parameter.count for parameter in self.parameters)

    def points(self) -> Iterable[Levels]:
        every = itertools.product(*(parameter.levels() for parameter in self.parameters))
        if not self.conditions.trees:
            return every
        return dict.fromkeys(self._without_inactive(levels) for levels in every)

    def _without_inactive(self, levels: Levels) -> Levels:
        """`levels` with those parameters absent that the point does not have."""
        point = list(levels)
        for i in range(len(point)):
            if not self.conditions.is_active(i, point):
                point[i] = ABSENT_LEVEL
        return tuple(point)

    @contextmanager
    def fixed_to(self, params: Mapping[str, Any]) -> Iterator[None]:
        """Within the context all new points have the `params`, as far as they are in the domain."""
        outer, self._fixed = self._fixed, self._levels_of(params)
        try:
            yield
        finally:
            self._fixed = outer

    @property
    def is_fixed(self) -> bool:
        return bool(self._fixed)

    def has_fixed(self, point: Levels) -> bool:
        """True if `point` has the levels of `fixed_to`, as far as it has the parameters."""
        return all(point[i] in (level, ABSENT_LEVEL) for i, level in self._fixed.items())

    def _levels_of(self, params: Mapping[str, Any]) -> Mapping[int, Level]:
        levels = ((i, self._level(i, params[name])) for i, name in enumerate(self.names) if name in params)
        return {i: level for i, level in levels if level is not None}

    def sample(self, rng: Rng) -> Levels:
        return self._completed([parameter.sample(rng) for parameter in self.parameters], rng)

    def mutate(self, point: Levels, rng: Rng) -> Levels:
        variable = [i for i in self._variable if i not in self._fixed and point[i] != ABSENT_LEVEL]
        changed = list(point)
        if variable:
            index = variable[int(rng.integers(len(variable)))]
            changed[index] = self.parameters[index].mutate(point[index], rng)
        return self._completed(changed, rng)

    def crossover(self, a: Levels, b: Levels, rng: Rng) -> Levels:
        mixed = [x if from_a else y for x, y, from_a in zip(a, b, rng.random(len(a)) < 0.5, strict=True)]
        return self._completed(mixed, rng)

    def _completed(self, levels: list[Level], rng: Rng) -> Levels:
        """The point of `levels`, with random ones where a parameter is missing, and without those that it does not have."""
        for i, level in self._fixed.items():
            levels[i] = level
        for i in range(len(levels)):
            if not self.conditions.is_active(i, levels):
                levels[i] = ABSENT_LEVEL
            elif levels[i] == ABSENT_LEVEL:
                levels[i] = self._fixed[i] if i in self._fixed else self.parameters[i].sample(rng)
        return tuple(levels)

    def encode(self, points: Sequence[Levels]) -> Floats:
        levels = np.array(points, dtype=np.float64).reshape(len(points), len(self.names))
        parts = zip(self._tables, self.parameters, levels.T, strict=True)
        return np.concatenate([table[parameter.rows(column)] for table, parameter, column in parts], axis=1)

    def coordinates(self, points: Sequence[Levels]) -> Floats:
        columns = [np.array([point[i] for point in points], dtype=np.float64) for i, _ in self._ranges]
        table = np.empty((len(points), len(columns)))
        for j, ((_, parameter), column) in enumerate(zip(self._ranges, columns, strict=True)):
            absent = column == ABSENT_LEVEL
            table[:, j] = parameter.position(np.where(absent, parameter.low, column))
            table[absent, j] = 0.5
        return table

    def key(self, point: Levels) -> Hashable:
        return point

    def to_params(self, point: Levels) -> dict[str, Any]:
        levels = zip(self.names, self.parameters, point, strict=True)
        return {name: parameter.value(level) for name, parameter, level in levels if level != ABSENT_LEVEL}

    def from_params(self, params: Mapping[str, Any]) -> Levels | None:
        if not any(name in params for name in self.names):
            return None
        levels: list[Level] = []
        for i, name in enumerate(self.names):
            if name not in params:
                levels.append(0 if self.parameters[i].count == 1 and i not in self.conditions.trees else ABSENT_LEVEL)
                continue
            level = self._level(i, params[name])
            if level is None:
                return None
            levels.append(level)
        return tuple(levels)

    def complete(self, params: Mapping[str, Any], rng: Rng) -> Levels | None:
        point = self.from_params(params)
        if point is None or not any(
            level == ABSENT_LEVEL and self.conditions.is_active(i, point) for i, level in enumerate(point)
        ):
            return point
        with self.fixed_to({}):
            return self._completed(list(point), rng)

    def _level(self, i: int, value: Any) -> Level | None:
        """The level of parameter `i` that is nearest to `value`; None if it has no such value."""
        return self.parameters[i].level(value)

    def function_argument(self, point: Levels) -> dict[str, Any]:
        return self.to_params(point)
