"""Imports of torch and timm, which make hundreds of thousands of objects that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import within the block without garbage collection, and leave what is there at its end out of later collections.

    Python collects after each 700 new objects, and visits all of them from time to time: a seventh of the time of
    `import torch`, a quarter of that of `import timm`. For the start of a process: the heap stays frozen.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
