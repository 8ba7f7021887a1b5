"""The architectures of a `SearchSpace` as a domain: a decision is a stage's token mixer, its width, one of its options."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.sampler.bit_encoding import BitEncoding, DecisionLevels, encode_decisions
from nas.sampler.bounded_cache import BoundedCache
from nas.sampler.domain import Domain, Floats, Rng
from search_space import Architecture, SearchSpace
from search_space.errors import SpaceError
from search_space.spaces.decisions import Decision, decisions_of, nearest_to

MAX_CACHED_ARCHITECTURES = 5000  # several kB each
NUM_VOCABULARY_SAMPLES = 1000  # random architectures whose choices define the bits


class ArchitectureDomain(Domain[Architecture]):
    """The architectures of `space`.

    A decision that an architecture does not have (an option of another mixer, a further stage) leaves its bits zero.
    """

    num_new_candidates = 32

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._bits: BoundedCache[str, NDArray[np.bool_]] = BoundedCache(MAX_CACHED_ARCHITECTURES)  # by id
        self._decisions: BoundedCache[str, list[tuple[Decision, Any]]] = BoundedCache(MAX_CACHED_ARCHITECTURES)

    @property
    def encoding(self) -> BitEncoding:
        return self._bit_tables[1]

    @cached_property
    def _bit_tables(self) -> tuple[dict[str, _DecisionBits], BitEncoding]:
        """The bits of each decision, and the meaning of all bits."""
        rng = np.random.default_rng(0)
        values: dict[str, dict[Any, None]] = {}
        for _ in range(min(NUM_VOCABULARY_SAMPLES, 4 * self.space.size)):
            for place, value in _split_tuples(decisions_of(self.space.sample(rng))).items():
                values.setdefault(place, {})[value] = None
        levels = {place: _sort_numbers(tuple(sampled)) for place, sampled in values.items() if len(sampled) > 1}
        tables, encoding = encode_decisions(
            [
                DecisionLevels(
                    len(choices),
                    _are_numbers(choices),
                    [(re.sub(r"\d+", "*", place), choice) for choice in choices],
                )
                for place, choices in levels.items()
            ]
        )
        bits_of_decision, start = {}, 0
        for (place, choices), table in zip(levels.items(), tables, strict=True):
            stop = start + table.shape[1]
            rows = dict(zip(choices, table.astype(bool), strict=False))
            bits_of_decision[place] = _DecisionBits(slice(start, stop), rows)
            start = stop
        return bits_of_decision, encoding

    @property
    def size(self) -> int:
        return self.space.size

    def points(self) -> Iterable[Architecture]:
        return iter(self.space)

    def sample(self, rng: Rng) -> Architecture:
        return self.space.sample(rng)

    def mutate(self, point: Architecture, rng: Rng) -> Architecture:
        decisions = self._decisions_made(point)
        if not decisions:
            return point
        decision, value = decisions[int(rng.integers(len(decisions)))]
        others = [other for other in decision.values if other != value]
        changed = others[int(rng.integers(len(others)))]
        return self._decide({**decisions_of(point), decision.place: changed})

    def _decisions_made(self, point: Architecture) -> list[tuple[Decision, Any]]:
        """The decisions that lead to `point`, each with its value."""
        if point.id not in self._decisions:
            self._decide(decisions_of(point))
        return self._decisions[point.id]

    def _decide(self, values: Mapping[str, Any]) -> Architecture:
        """The architecture whose decisions have the `values`, or the nearest allowed ones; its decisions are cached."""
        decisions: list[tuple[Decision, Any]] = []
        nearest = nearest_to(values)

        def choose(decision: Decision) -> Any:
            decisions.append((decision, nearest(decision)))
            return decisions[-1][1]

        architecture = self.space.walk(choose)
        self._decisions.store(architecture.id, decisions)
        return architecture

    def crossover(self, a: Architecture, b: Architecture, rng: Rng) -> Architecture:
        of_a, of_b = decisions_of(a), decisions_of(b)
        # A stage comes from one parent as a whole or decision by decision; the other decisions likewise.
        mixed = {**of_b, **of_a}
        whole_stages = rng.random() < 0.5
        from_b: dict[str, bool] = {}
        for place in of_b:
            unit = ".".join(place.split(".")[:2]) if whole_stages else place
            if from_b.setdefault(unit, bool(rng.random() < 0.5)):
                mixed[place] = of_b[place]
        return self._decide(mixed)

    def encode(self, points: Sequence[Architecture]) -> Floats:
        rows = [self._encode_point(point) for point in points]
        return np.stack(rows).astype(np.float64) if rows else np.zeros((0, len(self.encoding.decision)))

    def _encode_point(self, point: Architecture) -> NDArray[np.bool_]:
        if point.id in self._bits:
            return self._bits[point.id]
        bits_of_decision, encoding = self._bit_tables
        row = np.zeros(len(encoding.decision), dtype=bool)
        for place, value in _split_tuples(decisions_of(point)).items():
            bits = bits_of_decision.get(place)
            if bits is not None and value in bits.rows:
                row[bits.position] = bits.rows[value]
        return self._bits.store(point.id, row)

    def key(self, point: Architecture) -> Hashable:
        return point.id

    def to_params(self, point: Architecture) -> dict[str, Any]:
        return dict(self.space.encode(point))

    def from_params(self, params: Mapping[str, Any]) -> Architecture | None:
        try:
            return self.space.decode(params)
        except SpaceError:
            return None

    def complete(self, params: Mapping[str, Any], rng: Rng) -> Architecture | None:
        if not params:
            return None
        nearest = nearest_to(decisions_of(self.space.sample(rng)))
        used = set()

        def choose(decision: Decision) -> Any:
            if decision.name in params and params[decision.name] in decision.labels:
                used.add(decision.name)
                return decision.values[decision.labels.index(params[decision.name])]
            return nearest(decision)

        architecture = self.space.walk(choose)
        return architecture if len(used) == len(params) else None

    def function_argument(self, point: Architecture) -> Architecture:
        return point


@dataclass(frozen=True)
class _DecisionBits:
    """The position of a decision's bits, and the bits of each of its values."""

    position: slice
    rows: Mapping[Any, NDArray[np.bool_]]


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _sort_numbers(values: Sequence[Any]) -> Sequence[Any]:
    """Numbers in ascending order; other values in the order given."""
    return sorted(values) if _are_numbers(values) else values


def _split_tuples(decisions: Mapping[str, Any]) -> dict[str, Any]:
    """`decisions` with each tuple (a pair of groups) split into its numbers."""
    split: dict[str, Any] = {}
    for place, value in decisions.items():
        if isinstance(value, tuple):
            split |= {f"{place}.{i}": part for i, part in enumerate(value)}
        else:
            split[place] = value
    return split
