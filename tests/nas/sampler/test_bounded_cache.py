"""The bounded cache."""

from __future__ import annotations

import pickle

from nas.sampler.bounded_cache import BoundedCache


def test_full_cache_is_emptied_before_the_next_entry() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    assert [cache.store(name, number) for number, name in enumerate("abc")] == [0, 1, 2]
    assert cache == {"c": 2}


def test_cache_keeps_its_bound_when_pickled() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.store("a", 0)
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy, copy.max_entries) == ({"a": 0}, 2)
