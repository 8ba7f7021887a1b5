"""Points that must not be proposed for a trial some of whose parameters are given."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set as AbstractSet
from typing import Any

from nas.sampler.candidate_pool import CandidatePool


class Restriction(AbstractSet[Hashable]):
    """The keys of points that were tried, and of those candidates that do not have what their domain is fixed to.

    Args:
        tried: keys of points.
        pool: the candidates.
    """

    def __init__(self, tried: AbstractSet[Hashable], pool: CandidatePool[Any]) -> None:
        self._tried = tried
        self._pool = pool

    def __contains__(self, key: object) -> bool:
        return key in self._tried or not self._has_fixed(key)

    def _has_fixed(self, key: Any) -> bool:
        index = self._pool.index.get(key)
        return index is None or self._pool.extractor.domain.has_fixed(self._pool.points[index])

    def __iter__(self) -> Iterator[Hashable]:
        yield from self._tried
        yield from (key for key in self._pool.index if key not in self._tried and not self._has_fixed(key))

    def __len__(self) -> int:
        return sum(1 for _ in self)
