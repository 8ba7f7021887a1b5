"""When a trial has which parameters, learned from the trials: an objective may ask for a parameter under a condition only.

    kernel = trial.suggest_categorical("mixer", ["conv", "attention"])
    if mixer == "conv":
        kernel = trial.suggest_int("kernel", 3, 7)

For each parameter that only some trials have, a small decision tree over the parameters before it says whether a point has it.
A tree that is wrong costs little: a trial then has a parameter more or less than was planned, and the tree is learned again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.sampler.parameters import ABSENT_LEVEL, Level

Levels = tuple[Level, ...]

MAX_TREE_DEPTH = 4


@dataclass(frozen=True)
class Leaf:
    """The answer of a tree: True if the point has the parameter."""

    is_active: bool


@dataclass(frozen=True)
class ThresholdSplit:
    """Asks whether the level of an ordered parameter is at most `threshold`, as an absent one is."""

    index: int
    threshold: Level
    low: Tree
    high: Tree


@dataclass(frozen=True)
class ValueSplit:
    """Asks for the level of a parameter; `other` answers for those that no trial had."""

    index: int
    branches: Mapping[Level, Tree]
    other: Tree


Tree = Leaf | ThresholdSplit | ValueSplit


@dataclass(frozen=True)
class Conditions:
    """Index of a parameter -> the tree that says whether a point has it; those without one are in every point."""

    trees: Mapping[int, Tree]

    def is_active(self, index: int, levels: Sequence[Level]) -> bool:
        """True if a point has the parameter `index`, given the `levels` of at least those before it."""
        tree = self.trees.get(index)
        if tree is None:
            return True
        while not isinstance(tree, Leaf):
            level = levels[tree.index]
            if isinstance(tree, ThresholdSplit):
                tree = tree.low if level <= tree.threshold else tree.high
            else:
                tree = tree.branches.get(level, tree.other)
        return tree.is_active

    def agrees(self, levels: Sequence[Level]) -> bool:
        """True if the parameters that `levels` has are those that it should have."""
        return all((levels[i] != ABSENT_LEVEL) == self.is_active(i, levels) for i in self.trees) and all(
            level != ABSENT_LEVEL or i in self.trees for i, level in enumerate(levels)
        )


ALWAYS = Conditions({})
"""Every point has every parameter."""


def learn_conditions(rows: Sequence[Levels], ordered: Sequence[bool]) -> Conditions:
    """The conditions that explain `rows`.

    A parameter that all trials have since one had it is in every point: it was added to the objective.

    Args:
        rows: the levels of trials, of which some are `ABSENT_LEVEL`, in the order of the trials.
        ordered: whether the levels of each parameter are ordered.
    """
    trees = {}
    for i in range(len(ordered)):
        first = next((number for number, row in enumerate(rows) if row[i] != ABSENT_LEVEL), len(rows))
        if any(row[i] == ABSENT_LEVEL for row in rows[first:]):
            trees[i] = _grow(rows[first:], i, ordered, MAX_TREE_DEPTH)
    return Conditions(trees)


def _grow(rows: Sequence[Levels], target: int, ordered: Sequence[bool], depth: int) -> Tree:
    """The tree of the parameter `target` for `rows`."""
    labels = [row[target] != ABSENT_LEVEL for row in rows]
    majority = Leaf(2 * sum(labels) >= len(labels))
    if depth == 0 or all(labels) or not any(labels):
        return majority
    splits = [split for i in range(target) if (split := _best_split(rows, labels, i, ordered[i])) is not None]
    if not splits:
        return majority
    _, index, threshold = min(splits, key=lambda split: split[0])
    if threshold is not None:
        low = [row for row in rows if row[index] <= threshold]
        high = [row for row in rows if row[index] > threshold]
        parts = (_grow(part, target, ordered, depth - 1) for part in (low, high))
        return ThresholdSplit(index, threshold, *parts)
    levels = dict.fromkeys(row[index] for row in rows)
    branches = {
        level: _grow([row for row in rows if row[index] == level], target, ordered, depth - 1) for level in levels
    }
    return ValueSplit(index, branches, majority)


def _best_split(
    rows: Sequence[Levels], labels: Sequence[bool], index: int, ordered: bool
) -> tuple[float, int, Level | None] | None:
    """The entropy after the best split by a parameter, its index, and the threshold if there is one; None if none helps."""
    before = _entropy(sum(labels), len(labels))
    counts: Counter[Level] = Counter(row[index] for row in rows)
    active: Counter[Level] = Counter(row[index] for row, label in zip(rows, labels, strict=True) if label)
    if len(counts) < 2:
        return None
    if not ordered:
        after = sum(_entropy(active[level], count) for level, count in counts.items())
        return (after, index, None) if after < before - 1e-9 else None
    best: tuple[float, int, Level | None] | None = None
    num_low = num_active_low = 0
    for level in sorted(counts)[:-1]:
        num_low, num_active_low = num_low + counts[level], num_active_low + active[level]
        after = _entropy(num_active_low, num_low) + _entropy(sum(labels) - num_active_low, len(labels) - num_low)
        if after < before - 1e-9 and (best is None or after < best[0] - 1e-9):
            best = after, index, level
    return best


def _entropy(num_active: int, count: int) -> float:
    """The entropy of `count` labels of which `num_active` are True, times `count`."""
    parts = (num_active, count - num_active)
    return -sum(part * math.log(part / count) for part in parts if part)
