"""A display of long work that shows nothing, for callers from Python."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


class SilentDisplay:
    """Shows nothing, where `nas.terminal.progress.TerminalDisplay` shows progress."""

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
