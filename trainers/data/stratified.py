"""A sample of images in which each class has its share."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.data.limit import allot


def stratified_rows(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """The rows of `count` images, each class in proportion, ascending by class and then in random order.

    Args:
        labels: int64 `(N,)`, of 0 and above.
        count: number of images; all of them if there are no more. Where it allows, every class has an image.
        seed: of the choice.

    Returns:
        int64 `(count,)`, on the CPU.
    """
    labels = labels.cpu()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]  # by class, shuffled within
    if count >= len(labels):
        return order
    totals = torch.bincount(labels).tolist()
    minimum = 1 if count >= sum(total > 0 for total in totals) else 0
    kept = allot(totals, count, [min(minimum, total) for total in totals])
    groups = order.split(totals)
    return torch.cat([group[:number] for group, number in zip(groups, kept, strict=True)])
