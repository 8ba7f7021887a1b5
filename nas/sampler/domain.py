"""The points that a sampler chooses among: how they vary, and how they are encoded for the models.

A `Domain` hides what a point is. A `ParameterDomain` (parameter_domain.py) is a set of Optuna distributions; an
`ArchitectureDomain` (architecture_domain.py) is a `search_space.SearchSpace`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.sampler.bit_encoding import BitEncoding

Point = TypeVar("Point")
Floats = NDArray[np.float64]
Rng = np.random.Generator


class Domain(ABC, Generic[Point]):
    """The points to choose among.

    Args:
        num_new_candidates: new candidates per suggestion, made before scoring and again after it; fewer where each takes
            long.
    """

    num_new_candidates: int = 64

    @property
    @abstractmethod
    def encoding(self) -> BitEncoding:
        """The meaning of the bits that `encode` gives."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of points."""

    @abstractmethod
    def points(self) -> Iterable[Point]:
        """All points, each once."""

    @abstractmethod
    def sample(self, rng: Rng) -> Point:
        """A random point."""

    @abstractmethod
    def mutate(self, point: Point, rng: Rng) -> Point:
        """`point` with one decision changed."""

    @abstractmethod
    def crossover(self, a: Point, b: Point, rng: Rng) -> Point:
        """A point that takes each decision from `a` or from `b`."""

    @abstractmethod
    def encode(self, points: Sequence[Point]) -> Floats:
        """`points` as zeros and ones, `(n, p)`; `encoding` gives their meaning."""

    @abstractmethod
    def key(self, point: Point) -> Hashable:
        """A key that is equal for equal points only."""

    @abstractmethod
    def to_params(self, point: Point) -> dict[str, Any]:
        """`point` as the parameters of an Optuna trial."""

    @abstractmethod
    def from_params(self, params: Mapping[str, Any]) -> Point | None:
        """The point with the parameters of a trial; None if this domain has no such point."""

    def complete(self, params: Mapping[str, Any], rng: Rng) -> Point | None:
        """The point with `params`, and with random values of the parameters that they lack; None if there is no such point."""
        return self.from_params(params)

    def coordinates(self, points: Sequence[Point]) -> Floats:
        """The positions of `points`, from 0 to 1, in the ranges that the bits of the domain do not resolve, `(n, c)`."""
        return np.zeros((len(points), 0))

    @contextmanager
    def fixed_to(self, params: Mapping[str, Any]) -> Iterator[None]:
        """Within the context the domain makes points that have `params` only, if it can."""
        yield

    @property
    def is_fixed(self) -> bool:
        """True within a context `fixed_to` that fixes anything."""
        return False

    def has_fixed(self, point: Point) -> bool:
        """True if `point` has the parameters of the context `fixed_to`, or there is none."""
        return True

    @abstractmethod
    def function_argument(self, point: Point) -> Any:
        """The argument of the user's functions (cheap objectives, features, feasibility) for `point`."""
