"""A cache of bounded size."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(dict[Key, Value]):
    """A dictionary that is emptied when it is full, which costs less than to track what was used last.

    Args:
        max_entries: number of entries at which it is full.
    """

    def __init__(self, max_entries: int) -> None:
        super().__init__()
        self.max_entries = max_entries

    def store(self, key: Key, value: Value) -> Value:
        """Store `value` under `key` and return it."""
        if len(self) >= self.max_entries:
            self.clear()
        self[key] = value
        return value
