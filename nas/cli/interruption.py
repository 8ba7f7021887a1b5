"""What a command says when Ctrl-C ends it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def nothing_written() -> str:
    """What a command that writes at its end says."""
    return "nothing was written"


@contextmanager
def interruptible(outcome: Callable[[], str | None] = nothing_written) -> Iterator[None]:
    """Print one line to standard error when Ctrl-C ends the block; imports may take seconds and belong in it.

    Args:
        outcome: gives the second half of the line: what is left; None: no line.
    """
    try:
        yield
    except KeyboardInterrupt:
        if (text := outcome()) is not None:
            print(f"interrupted; {text}", file=sys.stderr)
        raise
