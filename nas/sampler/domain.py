"""What the sampler chooses among: points, how they vary, and what of them the model sees.

A `Domain` hides what a point is. `Box` is a set of Optuna distributions (a point is a tuple of level indices);
`Architectures` (architectures.py) is a `search_space.SearchSpace`.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Point = TypeVar("Point")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Floats = NDArray[np.float64]
Rng = np.random.Generator

ABSENT = -1  # the level of a parameter that a trial did not ask for: its bits are zero
LEVELS = 32  # of a range of more values, so many are chosen among


@dataclass(frozen=True)
class Coding:
    """What the bits of a point mean.

    Args:
        group: the decision that each bit belongs to, counted from 0, `(p,)`.
        weight: the distance that each differing bit makes, `(p,)`.
        pools: which bits count the same choice in different places, `(p, q)`: `bits @ pools` are the counts of choices.
    """

    group: NDArray[np.intp]
    weight: Floats
    pools: Floats


class Domain(ABC, Generic[Point]):
    """The points to choose among.

    Args:
        coding: what their bits mean.
        fresh: candidates made anew at a suggestion, before and again after the first look: fewer where each takes time.
    """

    coding: Coding
    fresh: int = 64

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of points."""

    @abstractmethod
    def all(self) -> Iterable[Point]:
        """Every point, each once."""

    @abstractmethod
    def sample(self, rng: Rng) -> Point:
        """A random point."""

    @abstractmethod
    def mutated(self, point: Point, rng: Rng) -> Point:
        """`point` with one decision made anew."""

    @abstractmethod
    def crossed(self, a: Point, b: Point, rng: Rng) -> Point:
        """A point that takes each decision from `a` or from `b`."""

    @abstractmethod
    def bits(self, points: Sequence[Point]) -> Floats:
        """What the model sees of `points`: zeros and ones, `(n, p)`; `coding` says what they mean."""

    @abstractmethod
    def key(self, point: Point) -> Hashable:
        """Equal for equal points, and only for them."""

    @abstractmethod
    def params(self, point: Point) -> dict[str, Any]:
        """`point` as the parameters of an Optuna trial."""

    @abstractmethod
    def point(self, params: Mapping[str, Any]) -> Point | None:
        """The point of a trial's parameters; None if they are none of this domain's."""

    @abstractmethod
    def known(self, point: Point) -> Any:
        """What the functions of known costs are given."""


Levels = tuple[int, ...]


class Box(Domain[Levels]):
    """All combinations of the values of Optuna distributions; ranges of very many values are cut into `LEVELS`.

    Args:
        distributions: parameter -> distribution.

    Raises:
        ValueError: there is none.
        TypeError: one is no Optuna distribution.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        if not distributions:
            raise ValueError("search_space: must hold a distribution at least, found none")
        self.names = tuple(distributions)
        self.values = tuple(levels_of(distribution) for distribution in distributions.values())
        self._index = [{_hashable(value): i for i, value in enumerate(values)} for values in self.values]
        self.ordered = tuple(
            not isinstance(distribution, CategoricalDistribution) or _are_numbers(values)
            for distribution, values in zip(distributions.values(), self.values, strict=True)
        )
        decisions = [
            Choices(len(values), ordered, [(tuple(map(_hashable, values)), i) for i in range(len(values))])
            for values, ordered in zip(self.values, self.ordered, strict=True)
        ]
        self._tables, self.coding = coded(decisions)

    @property
    def size(self) -> int:
        return math.prod(map(len, self.values))

    def all(self) -> Iterable[Levels]:
        return itertools.product(*(range(len(values)) for values in self.values))

    def sample(self, rng: Rng) -> Levels:
        return tuple(int(rng.integers(len(values))) for values in self.values)

    def mutated(self, point: Levels, rng: Rng) -> Levels:
        free = [i for i, values in enumerate(self.values) if len(values) > 1]
        if not free:
            return point
        place = free[int(rng.integers(len(free)))]
        level = int(rng.integers(len(self.values[place]) - 1))
        return (*point[:place], level + (level >= point[place]), *point[place + 1 :])

    def crossed(self, a: Levels, b: Levels, rng: Rng) -> Levels:
        return tuple(x if first else y for x, y, first in zip(a, b, rng.random(len(a)) < 0.5, strict=True))

    def bits(self, points: Sequence[Levels]) -> Floats:
        levels = np.asarray(points, dtype=np.intp).reshape(len(points), len(self.names))
        return np.concatenate([table[levels[:, i]] for i, table in enumerate(self._tables)], axis=1)

    def key(self, point: Levels) -> Hashable:
        return point

    def params(self, point: Levels) -> dict[str, Any]:
        return {name: values[i] for name, values, i in zip(self.names, self.values, point, strict=True) if i != ABSENT}

    def point(self, params: Mapping[str, Any]) -> Levels | None:
        if not any(name in params for name in self.names):
            return None
        levels = []
        for name, values, index, ordered in zip(self.names, self.values, self._index, self.ordered, strict=True):
            if name not in params:
                levels.append(0 if len(values) == 1 else ABSENT)
                continue
            value = params[name]
            level = index.get(_hashable(value))
            if level is None:
                if not ordered or not isinstance(value, int | float):
                    return None
                level = int(
                    np.argmin([abs(value - other) for other in values])
                )  # another's proposal, between two levels
            levels.append(level)
        return tuple(levels)

    def known(self, point: Levels) -> dict[str, Any]:
        return self.params(point)


def levels_of(distribution: BaseDistribution) -> tuple[Any, ...]:
    """The values of `distribution` that are chosen among, in order."""
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        if len(values) <= LEVELS:
            return tuple(values)
        places = _spread(distribution.low, distribution.high, distribution.log)
        steps = np.unique(np.round((places - distribution.low) / distribution.step).astype(int))
        return tuple(distribution.low + int(step) * distribution.step for step in steps)
    if isinstance(distribution, FloatDistribution):
        if distribution.step is None:
            return tuple(float(value) for value in _spread(distribution.low, distribution.high, distribution.log))
        count = int((distribution.high - distribution.low) / distribution.step + 1e-9) + 1
        chosen = np.unique(np.round(np.linspace(0, count - 1, min(count, LEVELS))).astype(int))
        return tuple(float(distribution.low + step * distribution.step) for step in chosen)
    raise TypeError(f"search_space: must hold Optuna distributions, found {distribution!r}")


def _spread(low: float, high: float, log: bool) -> Floats:
    values = np.geomspace(low, high, LEVELS) if log else np.linspace(low, high, LEVELS)
    return np.asarray(np.clip(values, low, high))


def _hashable(value: Any) -> Hashable:
    return (type(value).__name__ if isinstance(value, bool) else "", value)


def _are_numbers(values: Sequence[Any]) -> bool:
    return len(values) > 2 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


@dataclass(frozen=True)
class Choices:
    """One decision to be coded.

    Args:
        count: its levels.
        ordered: they are numbers in rising order: near ones are alike.
        names: for each level the name under which it is counted wherever it is chosen.
    """

    count: int
    ordered: bool
    names: Sequence[Hashable]


def coded(decisions: Sequence[Choices]) -> tuple[list[Floats], Coding]:
    """For each decision its table of bits, a row a level and one of zeros for none, `(levels + 1, bits)`; and what they mean."""
    tables: list[Floats] = []
    group: list[int] = []
    weight: list[float] = []
    pools: list[Hashable | None] = []
    for one in decisions:
        parts = [np.eye(one.count)]
        weight += [0.5] * one.count
        pools += one.names
        if one.ordered and one.count > 2:  # a thermometer: as many bits as levels are below
            parts.append(np.tri(one.count, one.count - 1, -1))
            weight += [1 / (one.count - 1)] * (one.count - 1)
            pools += [None] * (one.count - 1)
        for part in parts:
            group += [group[-1] + 1 if group else 0] * part.shape[1]
        rows = np.concatenate(parts, axis=1)
        tables.append(np.concatenate([rows, np.zeros((1, rows.shape[1]))]))
    return tables, Coding(np.array(group, np.intp), np.array(weight), _pool_matrix(pools))


def _pool_matrix(pools: Sequence[Hashable | None]) -> Floats:
    """`(p, q)`: the bits of each pool that holds more than one."""
    names = list(dict.fromkeys(name for name in pools if name is not None and pools.count(name) > 1))
    matrix = np.zeros((len(pools), len(names)))
    for i, name in enumerate(pools):
        if name in names:
            matrix[i, names.index(name)] = 1.0
    return matrix


def allows(distribution: BaseDistribution, value: Any) -> bool:
    """True if `value` may be an answer under `distribution`."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # a category that there is not
        return False


def remember(memory: dict[Key, Value], key: Key, value: Value, most: int) -> Value:
    """Keep `value` under `key`, at most so many of them; returns it."""
    if len(memory) >= most:
        memory.clear()
    memory[key] = value
    return value
