"""Proposals for several workers at once.

A proposal of a model-based sampler takes 0.1 s or more. If more workers wait than one, they wait for one another; so the driver
says how many do, and a sampler that can plans for all of them with one model. With few workers each proposal uses all results.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

MAX_BATCH = 16
"""The largest number of proposals from one model."""

MIN_WORKERS = 24
"""With fewer workers each proposal is made on its own: they wait little, and the results of one matter to the next."""

WAITING_SHARE = 4
"""One of so many workers that wait is served from one model."""

RESERVE = 2.0
"""One model makes so many times more proposals than workers ask for meanwhile, so that those that wait are served, too."""


def batch_size(waiting: int, arriving: float) -> int:
    """The number of proposals to make from one model.

    It falls while workers are served, so that most proposals know of one another, and is 1 as long as the driver keeps up.

    Args:
        waiting: number of workers that wait, the one among them that the proposal is for.
        arriving: number of workers that will begin to wait while a model makes a proposal. The driver hears of them afterwards,
            one by one.
    """
    return max(1, min(max(waiting // WAITING_SHARE, math.ceil(RESERVE * arriving)), MAX_BATCH))


@runtime_checkable
class BatchingSampler(Protocol):
    """A sampler that can plan several trials at once."""

    def expect(self, count: int) -> None:
        """Expect that `count` trials are asked for at once; it holds until the next call. Plans may be kept for them."""
