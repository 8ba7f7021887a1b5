"""The display of long work on models: the interface that a terminal implements, and one that shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class WorkDisplay(Protocol):
    """Shows the progress of full trainings or diagnoses (`nas.terminal.progress.TerminalDisplay` is one)."""

    def step(self, text: str) -> AbstractContextManager[Callable[[int, int], None] | None]:
        """Show a step before the work that is counted; yields the function to call with (done, total), or None."""

    def counter(
        self, text: str, total: int, done: int = 0, work: float | None = None
    ) -> AbstractContextManager[Callable[..., None]]:
        """Show a count of `total` items, whose sum of weights is `work`.

        Yields the function to call with the number of further finished items, their weight and the seconds left.
        """

    def warn(self, text: str) -> None:
        """Show a message that does not end the work."""


class SilentDisplay:
    """Shows nothing, for callers from Python."""

    def step(self, text: str) -> AbstractContextManager[Callable[[int, int], None] | None]:
        """A step that is not shown."""
        return nullcontext(None)

    def counter(
        self, text: str, total: int, done: int = 0, work: float | None = None
    ) -> AbstractContextManager[Callable[..., None]]:
        """A counter that counts nothing."""
        return nullcontext(lambda count=1, weight=None, left_s=None: None)

    def warn(self, text: str) -> None:
        """Show nothing."""
