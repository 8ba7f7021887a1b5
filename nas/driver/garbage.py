"""Garbage collection of a driver that holds very many trials."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Leave the objects of this moment out of garbage collection within the block.

    They are modules and trials, which stay until the end. Without it each full collection goes through all of them: a tenth of
    the driver's time with 10,000 trials, and pauses of 0.2 s.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
