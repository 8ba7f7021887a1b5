"""Images that belong together, such as those of a patient, a video or a scene, are in one split (`data.group_by`). No torch.

The group of an image is what a regular expression finds in its path (its first capture group, or the whole match), or what a
table says (`trainers.data.tables`). Groups that share equal images are joined, since equal images are in one split too.

The split of groups is stratified by class, as far as whole groups can be: classes in the order of their number of groups, the
fewest first, as in Sechidis et al., "On the Stratification of Multi-label Data", ECML 2011; of a class the largest groups
first; each into the split that its images bring closest to its share of every class. Ties are decided by a digest of the
group's name and the seed, so the split depends neither on the order of files nor on pixels.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.data.duplicates import MAX_EXAMPLES, PAIRS, Copies, printable
from trainers.data.tables import TABLE_SUFFIXES, Table, listed
from trainers.data.types import Part, relative_name
from trainers.errors import DataError

KEY = "group_by"


def is_table(group_by: str) -> bool:
    """Whether `group_by` is the name of a table, and not a regular expression."""
    return group_by.lower().endswith(TABLE_SUFFIXES)


def table_file(group_by: str) -> Path:
    """The file of a table; `~` is the home folder."""
    return Path(os.path.expanduser(group_by))  # noqa: PTH111 - `~x` stays where x is no user


@dataclass(frozen=True)
class Grouping:
    """The group of each image, by its name.

    Args:
        group_by: a regular expression, or the name of a table.
        table: the table, if it is one.
    """

    group_by: str
    table: Table | None = None

    @classmethod
    def read(cls, group_by: str, root: str) -> Grouping:
        """The grouping that `group_by` describes; `root` is the folder of the images.

        Raises:
            DataError: the table cannot be read.
        """
        if not is_table(group_by):
            return cls(group_by)
        return cls(group_by, Table.read(KEY, table_file(group_by), "group").within(root))

    def spelled_as(self, names: Collection[str]) -> Grouping:
        """The same grouping, whose table has the spellings of the `names` of all images.

        Raises:
            DataError: two rows are of the same image, and have two groups.
        """
        return self if self.table is None else replace(self, table=self.table.spelled_as(names))

    def group_of(self, name: str) -> str | None:
        """The group of the image called `name`; None if it has none."""
        if self.table is not None:
            return self.table.values.get(name)
        match = re.search(self.group_by, name)
        return None if match is None else match[1] if match.re.groups else match[0]

    def groups_of(self, names: Iterable[str]) -> list[str]:
        """The group of each image of `names`.

        Raises:
            DataError: some images have none.
        """
        every = [(name, self.group_of(name)) for name in names]
        missing = [name for name, group in every if not group]
        if missing:
            verb = "match" if self.table is None else "have a row for"
            rule = f"{self.group_by!r} must {verb} every image, and does not for {len(missing)} of {len(every)}"
            raise DataError(KEY, rule, listed(missing))
        return [group for _, group in every if group]


def check_groups(group_by: str | None, paths: Collection[str], root: str, *, skip: bool = False) -> None:
    """Check, before any image is decoded, that every image has a group, and that every row of a table names an image.

    Args:
        group_by: a regular expression, or the name of a table; None: nothing is checked.
        paths: the paths of all images.
        root: the folder of the images.
        skip: broken images are left out, so rows may name files that are no images.

    Raises:
        DataError: it is not so.
    """
    if group_by is None:
        return
    names = {relative_name(path, root) for path in paths}
    grouping = Grouping.read(group_by, root).spelled_as(names)
    if grouping.table is not None:
        grouping.table.check_rows(names, Path(root) if skip else None)
    grouping.groups_of(sorted(names))


def shared_groups(members: Mapping[Part, set[str]]) -> dict[tuple[Part, Part], Copies]:
    """The groups that two splits have, for each pair that shares some; only a source's own splits can.

    Args:
        members: the groups of each split.
    """
    shared = {pair: sorted(members[pair[0]] & members[pair[1]]) for pair in PAIRS}
    return {
        pair: Copies(len(groups), tuple((printable(group),) for group in groups[:MAX_EXAMPLES]))
        for pair, groups in shared.items()
        if groups
    }


@dataclass
class _Unit:
    """Groups that must be in one split, because they share equal images.

    Args:
        key: decides ties.
        name: the name of one of the groups.
        counts: images of each class.
    """

    key: bytes
    name: str
    counts: Counter[int] = field(default_factory=Counter)


def assign_groups(
    groups: Sequence[str],
    digests: Sequence[bytes],
    labels: NDArray[np.int64],
    targets: Sequence[Mapping[Part, int]],
    class_names: Sequence[str],
    seed: int,
) -> list[Part]:
    """The split of each image of the train part: "train" or one of those in `targets`.

    Args:
        groups: the group of each image.
        digests: the digest of each image; equal images are in one split.
        labels: `(N,)`, the class of each image.
        targets: for each class, the number of images that each drawn split should get.
        class_names: of all classes.
        seed: of the split.

    Raises:
        DataError: there are fewer groups than splits, or a class has.
    """
    unit_of = _join(groups, digests)
    units: dict[str, _Unit] = {}
    for group, label in zip(groups, labels.tolist(), strict=True):
        key = hashlib.sha256(f"{seed} {unit_of[group]}".encode("utf-8", "surrogateescape")).digest()
        units.setdefault(unit_of[group], _Unit(key, unit_of[group])).counts[label] += 1
    parts: list[Part] = [*targets[0], "train"]
    having: dict[int, list[_Unit]] = {}
    for unit in units.values():
        for label in unit.counts:
            having.setdefault(label, []).append(unit)
    _check_enough(list(units.values()), having, parts, class_names)
    totals = Counter(labels.tolist())
    desired = {part: Counter({c: target[part] for c, target in enumerate(targets)}) for part in parts[:-1]}
    desired["train"] = Counter({c: totals[c] - sum(target.values()) for c, target in enumerate(targets)})
    split_of = _Assignment(parts, desired, totals).assign(having)
    return [split_of[unit_of[group]] for group in groups]


def _join(groups: Sequence[str], digests: Sequence[bytes]) -> dict[str, str]:
    """Group -> the first by name of the groups that it is joined with, because they share equal images."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    first: dict[bytes, str] = {}
    for group, digest in zip(groups, digests, strict=True):
        one, other = sorted((root(group), root(first.setdefault(digest, group))))
        parent[other] = one
    return {group: root(group) for group in parent}


def _check_enough(
    units: Sequence[_Unit],
    having: Mapping[int, Sequence[_Unit]],
    parts: Sequence[Part],
    class_names: Sequence[str],
) -> None:
    """Check that there are enough groups, and enough of each class, for the splits `parts`."""
    note = f"one for each split that is drawn ({', '.join(parts)}); groups that share equal images count as one"
    if len(units) < len(parts):
        names = listed(sorted(unit.name for unit in units))
        raise DataError(KEY, f"must give at least {len(parts)} groups, {note}; it gives {names}", len(units))
    for label in sorted(having):
        if len(having[label]) < len(parts):
            name, names = class_names[label], listed(sorted(unit.name for unit in having[label]))
            rule = f"the images of class {name!r} must be of at least {len(parts)} groups, {note}; they are of {names}"
            raise DataError(KEY, rule, len(having[label]))


class _Assignment:
    """Assigns units to splits.

    Args:
        parts: the splits.
        desired: for each split, the images of each class that it should get.
        totals: images of each class.
    """

    def __init__(self, parts: Sequence[Part], desired: Mapping[Part, Counter[int]], totals: Counter[int]) -> None:
        self._parts = parts
        self._desired = desired
        self._totals = totals
        self._counts: dict[Part, Counter[int]] = {part: Counter() for part in parts}  # images of each class
        self._units: dict[Part, Counter[int]] = {part: Counter() for part in parts}  # units with each class
        self._split_of: dict[str, Part] = {}

    def assign(self, having: Mapping[int, Sequence[_Unit]]) -> dict[str, Part]:
        """The split of each unit, by its name; `having` are the units with images of each class."""
        for label in sorted(having, key=lambda label: (len(having[label]), label)):
            remaining = [unit for unit in having[label] if unit.name not in self._split_of]
            remaining.sort(key=lambda unit: (-unit.counts[label], unit.key))
            for position, unit in enumerate(remaining):
                empty = [part for part in self._parts if not self._units[part][label]]
                choices = empty if len(empty) >= len(remaining) - position else self._parts
                self._put(unit, min(choices, key=lambda part: self._excess(unit, part)))
        for label in sorted(having):
            for part in self._parts:
                if not self._units[part][label]:
                    self._fill(part, having[label])
        return self._split_of

    def _excess(self, unit: _Unit, part: Part) -> float:
        """By how much `unit` in `part` adds to the squared distance from the desired counts, relative to each class."""
        counts, desired = self._counts[part], self._desired[part]
        return sum(n * (n + 2 * (counts[c] - desired[c])) / self._totals[c] for c, n in unit.counts.items())

    def _put(self, unit: _Unit, part: Part) -> None:
        """Put `unit` into `part`, out of the split that it may be in."""
        before = self._split_of.get(unit.name)
        for label, count in unit.counts.items():
            if before is not None:
                self._counts[before][label] -= count
                self._units[before][label] -= 1
            self._counts[part][label] += count
            self._units[part][label] += 1
        self._split_of[unit.name] = part

    def _fill(self, part: Part, having: Sequence[_Unit]) -> None:
        """Move the smallest unit `having` a class into `part`, which has none of it, if another split can spare it."""
        spare = [u for u in having if all(self._units[self._split_of[u.name]][c] > 1 for c in u.counts)]
        if spare:
            self._put(min(spare, key=lambda unit: (unit.counts.total(), unit.key)), part)
