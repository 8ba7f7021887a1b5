"""The architectures of a `SearchSpace` as a domain: a decision is what a stage mixes with, how wide it is, an option."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.sampler.domain import Coding, Domain, Floats, Rng, one_hot, pool_matrix, thermometer
from search_space import Architecture, SearchSpace
from search_space.decisions import Decision, decisions_of, nearest_to
from search_space.errors import SpaceError

Kept = TypeVar("Kept")

REMEMBERED = 20_000  # architectures whose bits are not computed again
VOCABULARY = 1000  # random architectures whose choices make the bits


class Architectures(Domain[Architecture]):
    """The architectures of `space`.

    A decision that an architecture does not come to (an option of another mixer, a further stage) leaves its bits zero.
    """

    fresh = 32

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._bits: dict[str, NDArray[np.bool_]] = {}  # of what was seen of late, by id
        self._decisions: dict[str, list[tuple[Decision, Any]]] = {}
        rng = np.random.default_rng(0)
        values: dict[str, dict[Any, None]] = {}
        for _ in range(min(VOCABULARY, 4 * space.size)):
            for place, value in _numbered(decisions_of(space.sample(rng))).items():
                values.setdefault(place, {})[value] = None
        self._rows: dict[tuple[str, Any], Floats] = {}
        self._begin: dict[str, int] = {}
        self.coding = self._code({place: tuple(found) for place, found in values.items() if len(found) > 1})

    def _code(self, values: Mapping[str, tuple[Any, ...]]) -> Coding:
        group: list[int] = []
        weight: list[float] = []
        pools: list[Hashable | None] = []
        decision = 0
        for place, found in values.items():
            numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)
            levels = sorted(found) if numbers else list(found)
            count = len(levels)
            table = one_hot(count)
            self._begin[place] = len(group)
            group += [decision] * count
            weight += [0.5] * count
            pools += [(re.sub(r"\d+", "*", place), level) for level in levels]
            decision += 1
            if numbers and count > 2:
                table = np.concatenate([table, thermometer(count)], axis=1)
                group += [decision] * (count - 1)
                weight += [1 / (count - 1)] * (count - 1)
                pools += [None] * (count - 1)
                decision += 1
            self._rows |= {(place, level): row for level, row in zip(levels, table, strict=True)}
        return Coding(np.array(group, np.intp), np.array(weight), pool_matrix(pools))

    @property
    def size(self) -> int:
        return self.space.size

    def all(self) -> Iterable[Architecture]:
        return iter(self.space)

    def sample(self, rng: Rng) -> Architecture:
        return self.space.sample(rng)

    def mutated(self, point: Architecture, rng: Rng) -> Architecture:
        met = self._met(point)
        if not met:
            return point
        decision, value = met[int(rng.integers(len(met)))]
        others = [other for other in decision.values if other != value]
        changed = others[int(rng.integers(len(others)))]
        return self.space.walk(nearest_to({**decisions_of(point), decision.place: changed}))

    def _met(self, point: Architecture) -> list[tuple[Decision, Any]]:
        """The decisions that lead to `point`, and how they are taken."""
        if point.id not in self._decisions:
            met: list[tuple[Decision, Any]] = []
            nearest = nearest_to(decisions_of(point))

            def note(decision: Decision) -> Any:
                met.append((decision, nearest(decision)))
                return met[-1][1]

            self.space.walk(note)
            _remember(self._decisions, point.id, met)
        return self._decisions[point.id]

    def crossed(self, a: Architecture, b: Architecture, rng: Rng) -> Architecture:
        of_a, of_b = decisions_of(a), decisions_of(b)
        # A stage comes from one parent as a whole or decision by decision, the rest likewise.
        mixed = {**of_b, **of_a}
        whole = rng.random() < 0.5
        from_b: dict[str, bool] = {}
        for place in of_b:
            unit = ".".join(place.split(".")[:2]) if whole else place
            if from_b.setdefault(unit, bool(rng.random() < 0.5)):
                mixed[place] = of_b[place]
        return self.space.walk(nearest_to(mixed))

    def bits(self, points: Sequence[Architecture]) -> Floats:
        rows = [self._bits_of(point) for point in points]
        return np.stack(rows).astype(np.float64) if rows else np.zeros((0, len(self.coding.group)))

    def _bits_of(self, point: Architecture) -> NDArray[np.bool_]:
        if point.id not in self._bits:
            row = np.zeros(len(self.coding.group), dtype=bool)
            for place, value in _numbered(decisions_of(point)).items():
                code = self._rows.get((place, value))
                if code is not None:
                    row[self._begin[place] : self._begin[place] + len(code)] = code
            _remember(self._bits, point.id, row)
        return self._bits[point.id]

    def key(self, point: Architecture) -> Hashable:
        return point.id

    def params(self, point: Architecture) -> dict[str, Any]:
        return dict(self.space.encode(point))

    def point(self, params: Mapping[str, Any]) -> Architecture | None:
        try:
            return self.space.decode(params)
        except SpaceError:
            return None

    def known(self, point: Architecture) -> Architecture:
        return point


def _remember(cache: dict[str, Kept], name: str, value: Kept) -> None:
    if len(cache) >= REMEMBERED:
        cache.clear()
    cache[name] = value


def _numbered(decisions: Mapping[str, Any]) -> dict[str, Any]:
    """`decisions` with each tuple (a pair of groups) taken apart into its numbers."""
    found: dict[str, Any] = {}
    for place, value in decisions.items():
        if isinstance(value, tuple):
            found |= {f"{place}.{i}": part for i, part in enumerate(value)}
        else:
            found[place] = value
    return found
