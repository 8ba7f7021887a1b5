"""Which images are kept under a `limit`: the same share of each class of each part, by the method of largest remainders."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TypeVar

from trainers.data.types import Part
from trainers.errors import DataError

Item = TypeVar("Item")


def allot(counts: Sequence[int], limit: int, minima: Sequence[int]) -> list[int]:
    """Number of images of each group to keep so that `limit` are kept in all, in proportion to `counts`.

    Args:
        counts: images of each group.
        limit: images to keep, below the sum of `counts`.
        minima: images that each group keeps in any case; no more than it has.

    Raises:
        DataError: `limit` is below the sum of `minima`.
    """
    if limit < sum(minima):
        raise DataError(
            "limit", f"must be at least {sum(minima)}, for every class needs an image in every split", limit
        )
    exact = [limit * count / sum(counts) for count in counts]
    kept = [max(minimum, int(share)) for minimum, share in zip(minima, exact, strict=True)]
    step = 1 if sum(kept) < limit else -1
    bounds = counts if step == 1 else minima
    # The group that is furthest from its exact share gains or loses one, until the sum is right.
    queue = [(step * (kept[g] - exact[g]), g) for g in range(len(kept)) if kept[g] != bounds[g]]
    heapq.heapify(queue)
    for _ in range(abs(limit - sum(kept))):
        _, group = heapq.heappop(queue)
        kept[group] += step
        if kept[group] != bounds[group]:
            heapq.heappush(queue, (step * (kept[group] - exact[group]), group))
    return kept


def keep_in_proportion(
    groups: Sequence[tuple[Part, Sequence[Item]]], limit: int, train_minimum: int
) -> dict[Part, list[Item]]:
    """The first images of each class of each part, `limit` in all, each class in proportion.

    Args:
        groups: the images of each class of a part, in the order in which they are kept.
        limit: images to keep, fewer than there are.
        train_minimum: images that a class keeps in the train part in any case; in the other parts it keeps one.

    Raises:
        DataError: `limit` is too low for that.
    """
    minima = [min(len(members), train_minimum if part == "train" else 1) for part, members in groups]
    counts = allot([len(members) for _, members in groups], limit, minima)
    kept: dict[Part, list[Item]] = {}
    for (part, members), count in zip(groups, counts, strict=True):
        kept.setdefault(part, []).extend(members[:count])
    return kept
