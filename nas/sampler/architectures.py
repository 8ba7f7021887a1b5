"""The architectures of a `SearchSpace` as a domain: a decision is what a stage mixes with, how wide it is, an option."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.sampler.domain import Choices, Coding, Domain, Floats, Rng, coded, remember
from search_space import Architecture, SearchSpace
from search_space.errors import SpaceError
from search_space.spaces.decisions import Decision, decisions_of, nearest_to

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

    @cached_property
    def coding(self) -> Coding:  # type: ignore[override]
        """What the bits mean."""
        return self._code[1]

    @cached_property
    def _code(self) -> tuple[dict[str, _Place], Coding]:
        """Where the bits of each decision stand, and what they mean."""
        rng = np.random.default_rng(0)
        values: dict[str, dict[Any, None]] = {}
        for _ in range(min(VOCABULARY, 4 * self.space.size)):
            for place, value in _numbered(decisions_of(self.space.sample(rng))).items():
                values.setdefault(place, {})[value] = None
        levels = {place: _in_order(tuple(found)) for place, found in values.items() if len(found) > 1}
        tables, coding = coded(
            [
                Choices(len(found), _are_numbers(found), [(re.sub(r"\d+", "*", place), level) for level in found])
                for place, found in levels.items()
            ]
        )
        places, begin = {}, 0
        for (place, found), table in zip(levels.items(), tables, strict=True):
            end = begin + table.shape[1]
            places[place] = _Place(slice(begin, end), dict(zip(found, table.astype(bool), strict=False)))
            begin = end
        return places, coding

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
        return self._walk({**decisions_of(point), decision.place: changed})

    def _met(self, point: Architecture) -> list[tuple[Decision, Any]]:
        """The decisions that lead to `point`, and how they are taken."""
        if point.id not in self._decisions:
            self._walk(decisions_of(point))
        return self._decisions[point.id]

    def _walk(self, wanted: Mapping[str, Any]) -> Architecture:
        """The architecture whose decisions are `wanted`, as far as they can be; how it is come by is remembered."""
        met: list[tuple[Decision, Any]] = []
        nearest = nearest_to(wanted)

        def note(decision: Decision) -> Any:
            met.append((decision, nearest(decision)))
            return met[-1][1]

        found = self.space.walk(note)
        remember(self._decisions, found.id, met, REMEMBERED)
        return found

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
        return self._walk(mixed)

    def bits(self, points: Sequence[Architecture]) -> Floats:
        rows = [self._bits_of(point) for point in points]
        return np.stack(rows).astype(np.float64) if rows else np.zeros((0, len(self.coding.group)))

    def _bits_of(self, point: Architecture) -> NDArray[np.bool_]:
        if point.id not in self._bits:
            row = np.zeros(len(self.coding.group), dtype=bool)
            for place, value in _numbered(decisions_of(point)).items():
                coded_place = self._code[0].get(place)
                if coded_place is not None and value in coded_place.rows:
                    row[coded_place.bits] = coded_place.rows[value]
            return remember(self._bits, point.id, row, REMEMBERED)
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


@dataclass(frozen=True)
class _Place:
    """Where a decision's bits stand, and its levels' bits."""

    bits: slice
    rows: Mapping[Any, NDArray[np.bool_]]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _in_order(values: Sequence[Any]) -> Sequence[Any]:
    return sorted(values) if _are_numbers(values) else values


def _numbered(decisions: Mapping[str, Any]) -> dict[str, Any]:
    """`decisions` with each tuple (a pair of groups) taken apart into its numbers."""
    found: dict[str, Any] = {}
    for place, value in decisions.items():
        if isinstance(value, tuple):
            found |= {f"{place}.{i}": part for i, part in enumerate(value)}
        else:
            found[place] = value
    return found
