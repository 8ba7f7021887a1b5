"""What a command says when Ctrl-C ends it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def nothing_written() -> str:
    """What a command that writes at its end says."""
    return "nothing was written"


@contextmanager
def interruptible(outcome: Callable[[], str] = nothing_written) -> Iterator[None]:
    """Print one line to standard error when Ctrl-C ends the block; imports may take seconds and belong in it.

    Args:
        outcome: gives the second half of the line: what is left.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted; {outcome()}", file=sys.stderr)
        raise
