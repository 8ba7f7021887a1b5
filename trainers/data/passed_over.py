"""Counts what is passed over, by part and reason, and keeps the names of the first of each."""

from __future__ import annotations

import os
from collections.abc import Set

from trainers.data.file_types import IMAGE_SUFFIXES, OTHER_SUFFIXES, suffix_of
from trainers.data.types import MAX_PASSED_OVER_NAMES, Part, PassedOver

KNOWN_SUFFIXES = IMAGE_SUFFIXES | OTHER_SUFFIXES


class PassedOverCounter:
    """Files and folders below `root` that are passed over.

    Args:
        root: the folder of the data; names are relative to it.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/"
        self._names: dict[tuple[Part | None, str], list[str]] = {}
        self._counts: dict[tuple[Part | None, str], int] = {}

    def add(self, part: Part | None, reason: str, path: str) -> None:
        """Count the file `path`, or the folder if it ends in a slash."""
        key = part, reason
        self._counts[key] = self._counts.get(key, 0) + 1
        names = self._names.setdefault(key, [])
        if len(names) < MAX_PASSED_OVER_NAMES:
            # A name that is no text would not be in the header of the prepared file either.
            names.append(path.removeprefix(self._root).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

    def add_unlisted(self, part: Part, folder: str, listed: Set[str], note: str) -> None:
        """Count the files in `folder` and below that are not `listed`, by their types, with `note` in the reason."""
        for current, _, names in os.walk(folder, followlinks=True):
            for path in (f"{current}/{name}" for name in sorted(names)):
                if path not in listed:
                    suffix = suffix_of(path.rpartition("/")[2])
                    kind = f"of type {suffix}" if suffix in KNOWN_SUFFIXES else "of an unknown type"
                    self.add(part, f"file {kind if suffix else 'without a suffix'}, {note}", path)

    def records(self) -> tuple[PassedOver, ...]:
        """What was counted: by part, the most frequent reason first."""
        keys = sorted(self._counts, key=lambda key: (str(key[0]), -self._counts[key], key[1]))
        return tuple(
            PassedOver(part, reason, self._counts[part, reason], tuple(self._names[part, reason]))
            for part, reason in keys
        )

    def counts(self) -> dict[str, int]:
        """The number of each reason so far, over all parts."""
        counts: dict[str, int] = {}
        for (_, reason), count in self._counts.items():
            counts[reason] = counts.get(reason, 0) + count
        return counts
