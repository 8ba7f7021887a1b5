"""Images whose decoded pixels are equal: within a split, across splits (a leak), and with different labels. No torch.

Only exact copies are found, after decoding and resizing. An image that was cropped, compressed again or taken a second later
is another image here; `data.group_by` keeps such images together.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.data.types import PARTS, Part

MAX_EXAMPLES = 5
"""Sets of equal images that are named, of each kind."""
MAX_NAMES_OF_EXAMPLE = 3
"""Images of such a set that are named."""
SHOWN_EXAMPLES = 3
"""Examples that a warning shows."""

PAIRS: tuple[tuple[Part, Part], ...] = (("train", "val"), ("train", "test"), ("val", "test"))
"""The pairs of splits that must share no image."""


@dataclass(frozen=True)
class Copies:
    """How many images are copies of others, and some of them.

    Args:
        count: number of images.
        examples: the names of some sets of equal images, at most `MAX_EXAMPLES`.
    """

    count: int = 0
    examples: tuple[tuple[str, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"count": self.count, "examples": [list(names) for names in self.examples]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Copies:
        """The inverse of `to_dict`."""
        return cls(int(plain["count"]), tuple(tuple(names) for names in plain["examples"]))


@dataclass(frozen=True)
class Duplicates:
    """The equal images of a data set in its train, validation and test split.

    Args:
        within: for each split, the images that a split without copies would not have: all but one of each set.
        across: for each pair of splits, the images of the second that are also in the first: `("train", "val")`.
        conflicting: the images, of all splits, whose pixels occur with several labels.
        groups: for each pair of splits, the groups (`data.group_by`) that both have; only a source's own splits can. The
            examples are their names.
    """

    within: Mapping[Part, Copies] = field(default_factory=dict)
    across: Mapping[tuple[Part, Part], Copies] = field(default_factory=dict)
    conflicting: Copies = Copies()
    groups: Mapping[tuple[Part, Part], Copies] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: a pair of splits is "train/val", and what does not occur is left out."""
        plain: dict[str, Any] = {"within": {part: copies.to_dict() for part, copies in self.within.items()}}
        for name, pairs in (("across", self.across), ("groups", self.groups)):
            plain[name] = {"/".join(pair): copies.to_dict() for pair, copies in pairs.items()}
        return plain | {"conflicting": self.conflicting.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Duplicates:
        """The inverse of `to_dict`."""
        pairs = {"/".join(pair): pair for pair in PAIRS}
        across, groups = (
            {pairs[key]: Copies.from_dict(copies) for key, copies in plain.get(name, {}).items()}
            for name in ("across", "groups")
        )
        within = {part: Copies.from_dict(plain["within"][part]) for part in PARTS if part in plain["within"]}
        return cls(within, across, Copies.from_dict(plain["conflicting"]), groups)

    def warnings(self, counts: Mapping[Part, int]) -> tuple[str, ...]:
        """A sentence for each leak, and one for images with several labels; copies within a split are no reason to warn.

        Args:
            counts: number of images of each split.
        """
        lines = [
            f"{_share(copies.count, counts[second])} of the {second} split are also in the {first} split, so its results are "
            f"too good: {_examples(copies)}; remove them from one of the two, or remove the {second} part of the data, and a "
            "split without copies is drawn"
            for (first, second), copies in self.across.items()
        ]
        lines += [
            f"{copies.count} groups of `group_by` are in the {first} and in the {second} split, so the results of the "
            f"{second} split are too good: {_examples(copies)}; remove the {second} part of the data, and a split by group "
            "is drawn"
            for (first, second), copies in self.groups.items()
        ]
        if self.conflicting.count:
            images = _share(self.conflicting.count, sum(counts.values()))
            lines.append(
                f"{images} have the same pixels as an image of another class: {_examples(self.conflicting)}; correct "
                "their classes or remove them"
            )
        return tuple(lines)


@dataclass(frozen=True)
class SplitImages:
    """The images of a split, in the order of their digests.

    Args:
        rows: the number of each image in its part, `(M,)`.
        digest_of: the digest of an image.
        label_of: its class.
        name_of: its name.
    """

    rows: NDArray[np.int64]
    digest_of: Callable[[int], bytes]
    label_of: Callable[[int], int]
    name_of: Callable[[int], str]

    def ordered(self, position: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Digest, `position`, label and row of each image."""
        return ((self.digest_of(row), position, self.label_of(row), row) for row in map(int, self.rows))


def find_duplicates(splits: Mapping[Part, SplitImages]) -> Duplicates:
    """Find the equal images of `splits`. Splits are merged in the order of their digests, so it needs no further memory."""
    parts = [part for part in PARTS if part in splits]
    merged = heapq.merge(*(splits[part].ordered(position) for position, part in enumerate(parts)))
    counters: dict[Part | tuple[Part, Part] | None, _Counter] = {}
    for _, members in groupby(merged, key=itemgetter(0)):
        _, *others = equal = list(members)
        if others:
            images = [(parts[position], label, row) for _, position, label, row in equal]
            for key, count, chosen in _relations(images):
                counters.setdefault(key, _Counter()).add(count, (splits[part].name_of(row) for part, _, row in chosen))
    copies = {key: counter.copies() for key, counter in counters.items()}
    return Duplicates(
        within={part: copies[part] for part in PARTS if part in copies},
        across={pair: copies[pair] for pair in PAIRS if pair in copies},
        conflicting=copies.get(None, Copies()),
    )


Image = tuple[Part, int, int]
"""The split, the label and the row of an image."""


def _relations(
    equal: Sequence[Image],
) -> Iterator[tuple[Part | tuple[Part, Part] | None, int, Sequence[Image]]]:
    """What the images of a set of `equal` ones are to each other: where, how many of them, and those to name.

    Where is a split (`within`), a pair of splits (`across`) or None (`conflicting`).
    """
    by_part: dict[Part, list[Image]] = {}
    for image in equal:
        by_part.setdefault(image[0], []).append(image)
    for part, images in by_part.items():
        if len(images) > 1:
            yield part, len(images) - 1, images
    for first, second in PAIRS:
        if first in by_part and second in by_part:
            yield (first, second), len(by_part[second]), (by_part[first][0], by_part[second][0])
    by_label = {label: image for image in reversed(equal) for label in [image[1]]}
    if len(by_label) > 1:
        yield None, len(equal), [by_label[label] for label in sorted(by_label)]


class _Counter:
    """Counts images, and keeps the names of the first sets."""

    def __init__(self) -> None:
        self._count = 0
        self._examples: list[tuple[str, ...]] = []

    def add(self, count: int, names: Iterator[str]) -> None:
        self._count += count
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(tuple(map(printable, islice(names, MAX_NAMES_OF_EXAMPLE))))

    def copies(self) -> Copies:
        return Copies(self._count, tuple(self._examples))


def printable(name: str) -> str:
    """`name`, or its escaped form: a file's name may hold line ends, or bytes that no terminal shows."""
    return name if name.isprintable() else repr(name)


def _share(count: int, total: int) -> str:
    """A count of images with its share: "30 of 40 images (75 %)"."""
    return f"{count} of {total} images ({100 * count / total:.{0 if count == total else 1}f} %)"


def _examples(copies: Copies) -> str:
    """The examples as text."""
    shown = "; ".join(" = ".join(names) for names in copies.examples[:SHOWN_EXAMPLES])
    return shown + ("; ..." if copies.count > len(copies.examples[:SHOWN_EXAMPLES]) else "")
