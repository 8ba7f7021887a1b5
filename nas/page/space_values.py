"""The values that the parameters of a search space can take."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nas.analysis.columns import CHOICE_PREFIX, choice_text
from search_space import SearchSpace
from search_space.errors import SpaceError
from search_space.spaces.decisions import Decision

MAX_WALKS = 400
"""A walk makes one architecture; each prefers values that the walks before it did not take."""
MAX_WALKS_WITHOUT_NEWS = 60


def space_values(space: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """The values of each parameter as texts, by the key of its column; None if this version cannot read `space`.

    Values that only a rare combination of others allows may be missing: the space is walked, not enumerated.

    Args:
        space: the part `space` of a study's configuration.
    """
    return _values(json.dumps(space)) if space else None


@lru_cache(maxsize=8)
def _values(space: str) -> dict[str, list[str]] | None:
    try:
        search_space = SearchSpace.from_dict(json.loads(space))
    except SpaceError:
        return None
    taken: dict[str, Counter[str]] = defaultdict(Counter)

    def choose(decision: Decision) -> Any:
        counts = taken[decision.place]
        texts = [choice_text(label) for label in decision.labels]
        counts.update(dict.fromkeys(texts, 0))
        least = min(range(len(texts)), key=lambda index: (counts[texts[index]], index))
        counts[texts[least]] += 1
        return decision.values[least]

    number, last_news = 0, 0
    for walk in range(MAX_WALKS):
        search_space.walk(choose)
        found = sum(map(len, taken.values()))
        if found > number:
            number, last_news = found, walk
        elif walk - last_news > MAX_WALKS_WITHOUT_NEWS:
            break
    return {CHOICE_PREFIX + place: list(counts) for place, counts in taken.items()}
