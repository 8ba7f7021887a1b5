"""One parameter of a domain: the levels it may have in a point, how they vary, and how they are encoded for the models.

`Choices` has few values, and a level is the index of one. A `Range` has many: a level is the value itself, so that nothing
between its ends is out of reach. Its bits are a thermometer, its coordinate is exact.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampler.bit_encoding import DecisionLevels

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Rng = np.random.Generator
Level = int | float

ABSENT_LEVEL = -math.inf
"""The level of a parameter that a trial does not have; its bits are zero."""

MAX_CHOICES_PER_RANGE = 32
"""The values of a range of numbers that are still choices."""

NUM_RANGE_BITS = 48
"""The bits of a range: its thermometer."""

CONTINUOUS_SIZE = 2**53
"""The number of values that a continuous range counts for."""

RESAMPLED_SHARE = 0.25
"""Of the mutations of a range: a value from anywhere. The others are steps from the value."""

MIN_STEP, MAX_STEP = 0.003, 0.3
"""The standard deviation of a step, a share of the range, is log-uniform between these."""

NumericDistribution = IntDistribution | FloatDistribution


class Parameter(ABC):
    """The levels of one parameter."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of levels."""

    @property
    @abstractmethod
    def ordered(self) -> bool:
        """Close levels are similar."""

    @property
    @abstractmethod
    def decision_levels(self) -> DecisionLevels:
        """What `encode_decisions` needs."""

    @abstractmethod
    def levels(self) -> Iterable[Level]:
        """All levels, in order; of a continuous range only its ends."""

    @abstractmethod
    def sample(self, rng: Rng) -> Level:
        """A random level."""

    @abstractmethod
    def mutate(self, level: Level, rng: Rng) -> Level:
        """Another level."""

    @abstractmethod
    def value(self, level: Level) -> Any:
        """The value of the parameter at `level`."""

    @abstractmethod
    def level(self, value: Any) -> Level | None:
        """The level that is nearest to `value`; None if there is none."""

    @abstractmethod
    def rows(self, levels: Floats) -> Indices:
        """The row of each of `levels` in the table of `encode_decisions`, `(n,)`; the last one of an absent parameter."""


class Choices(Parameter):
    """A few values, of which numbers are in ascending order.

    Args:
        values: the values.
        is_numeric: they are a range of numbers rather than categories.
    """

    def __init__(self, values: Iterable[Any], is_numeric: bool) -> None:
        self.values = tuple(values)
        self._ordered = is_numeric or _are_ordered(self.values)
        if self._ordered:
            self.values = tuple(sorted(self.values))
        self._index = {hashable(value): i for i, value in enumerate(self.values)}

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def ordered(self) -> bool:
        return self._ordered

    @property
    def decision_levels(self) -> DecisionLevels:
        name = tuple(map(hashable, self.values))
        return DecisionLevels(self.count, self.ordered, [(name, i) for i in range(self.count)])

    def levels(self) -> Iterable[Level]:
        return range(self.count)

    def sample(self, rng: Rng) -> Level:
        return int(rng.integers(self.count))

    def mutate(self, level: Level, rng: Rng) -> Level:
        other = int(rng.integers(self.count - 1))
        return other + (other >= level)

    def value(self, level: Level) -> Any:
        return self.values[int(level)]

    def level(self, value: Any) -> Level | None:
        level = self._index.get(hashable(value))
        if level is not None:
            return level
        if not self.ordered or isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # The value lies between two levels: another sampler proposed it.
        return int(np.argmin([abs(value - other) for other in self.values]))

    def rows(self, levels: Floats) -> Indices:
        return np.where(levels == ABSENT_LEVEL, self.count, levels).astype(np.intp)


class Range(Parameter):
    """A range of many numbers.

    Args:
        distribution: with `low` below `high`.
    """

    def __init__(self, distribution: NumericDistribution) -> None:
        self.low, self.high, self.log = distribution.low, distribution.high, distribution.log
        self.step = distribution.step
        self._is_int = isinstance(distribution, IntDistribution)
        self._start, self._end = self._scaled(self.low), self._scaled(self.high)

    @property
    def count(self) -> int:
        return CONTINUOUS_SIZE if self.step is None else _num_steps(self.low, self.high, self.step)

    @property
    def ordered(self) -> bool:
        return True

    @property
    def decision_levels(self) -> DecisionLevels:
        return DecisionLevels(NUM_RANGE_BITS + 1, True, None)

    def levels(self) -> Iterable[Level]:
        if self.step is None:
            return (self.low, self.high)
        return (self._on_step(i) for i in range(self.count))

    def sample(self, rng: Rng) -> Level:
        return self._at(float(rng.random()))

    def mutate(self, level: Level, rng: Rng) -> Level:
        if rng.random() < RESAMPLED_SHARE:
            other = self.sample(rng)
        else:
            step = MIN_STEP * (MAX_STEP / MIN_STEP) ** rng.random()
            other = self._at(float(np.clip(self.position(level) + step * rng.normal(), 0.0, 1.0)))
        return other if other != level else self._neighbour(level)

    def _neighbour(self, level: Level) -> Level:
        """A level beside `level`."""
        if self.step is None:
            position = self.position(level)
            return self._at(position + MIN_STEP if position < 0.5 else position - MIN_STEP)
        index = round((level - self.low) / self.step)
        return self._on_step(index + 1 if index < self.count - 1 else index - 1)

    def value(self, level: Level) -> Any:
        return int(level) if self._is_int else float(level)

    def level(self, value: Any) -> Level | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return self.value(min(max(value, self.low), self.high))

    def rows(self, levels: Floats) -> Indices:
        position = self.position(np.where(levels == ABSENT_LEVEL, self.high, levels))
        rows = np.round(position * NUM_RANGE_BITS)
        return np.where(levels == ABSENT_LEVEL, NUM_RANGE_BITS + 1, rows).astype(np.intp)

    def position(self, levels: Any) -> Any:
        """Where `levels` are in the range, from 0 to 1 on its scale."""
        return (self._scaled(levels) - self._start) / (self._end - self._start)

    def _scaled(self, values: Any) -> Any:
        return np.log(values) if self.log else values

    def _at(self, position: float) -> Level:
        """The level at `position`."""
        if self.log:
            value = math.exp(self._start + position * (self._end - self._start))
        elif self.step is not None:  # so that the ends are as likely as the others
            value = self.low + self.step * (position * self.count - 0.5)
        else:
            value = self.low + position * (self.high - self.low)
        if self.step is not None:
            return self._on_step(round((value - self.low) / self.step))
        return min(max(value, self.low), self.high)

    def _on_step(self, index: int) -> Level:
        index = min(max(index, 0), self.count - 1)
        return self.value(min(self.low + index * (self.step or 0), self.high))


def parameter_of(distribution: BaseDistribution) -> Parameter:
    """The parameter with the values of `distribution`.

    Raises:
        TypeError: it is no Optuna distribution.
    """
    if isinstance(distribution, CategoricalDistribution):
        return Choices(distribution.choices, is_numeric=False)
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        raise TypeError(f"search_space: must hold Optuna distributions, found {distribution!r}")
    if distribution.single():
        return Choices([distribution.low], is_numeric=True)
    steps = Range(distribution)
    return Choices(map(steps.value, steps.levels()), True) if steps.count <= MAX_CHOICES_PER_RANGE else steps


def hashable(value: Any) -> Hashable:
    """A key that tells True from 1."""
    try:
        hash(value)
    except TypeError:  # Optuna allows any object as a choice
        return (type(value).__name__, repr(value))
    return (type(value).__name__ if isinstance(value, bool) else "", value)


def _num_steps(low: float, high: float, step: float) -> int:
    return int((high - low) / step + 1e-8) + 1


def _are_ordered(values: tuple[Any, ...]) -> bool:
    """True for more than two numbers; of two levels one is as far from the other either way."""
    return len(values) > 2 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
