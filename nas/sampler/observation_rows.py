"""How a reader of studies holds many observations: numbers in arrays, points that are decoded when a model needs them."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class ObservationRows:
    """Observations of which all objectives are to be minimised: primary, secondary, cheap; NaN where unknown."""

    width: int
    items: list[Any] = field(default_factory=list)
    """The trial of each, or its point."""
    losses: array[float] = field(default_factory=lambda: array("d"))
    shortfalls: array[float] = field(default_factory=lambda: array("d"))

    def add(self, item: Any, losses: Sequence[float], shortfall: float) -> None:
        self.items.append(item)
        self.losses.extend(losses)
        self.shortfalls.append(shortfall)

    def table(self) -> NDArray[np.float64]:
        """A copy of the losses, `(n, width)`."""
        return np.array(self.losses).reshape(-1, self.width)


class LazyPoints(Sequence[Any]):
    """Points of the items of several lists, one after another; each is decoded when it is read."""

    def __init__(self, parts: Sequence[list[Any]], decode: Any) -> None:
        self._parts = parts
        self._decode = decode

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, index: Any) -> Any:
        for part in self._parts:
            if index < len(part):
                return self._decode(part[index])
            index -= len(part)
        raise IndexError(index)


class UnionOfSets(AbstractSet[Hashable]):
    """The union of two sets, which are not copied."""

    def __init__(self, first: AbstractSet[Hashable], second: AbstractSet[Hashable]) -> None:
        self._first, self._second = first, second

    def __contains__(self, key: object) -> bool:
        return key in self._first or key in self._second

    def __iter__(self) -> Iterator[Hashable]:
        yield from self._first
        yield from (key for key in self._second if key not in self._first)

    def __len__(self) -> int:
        return sum(1 for _ in self)
