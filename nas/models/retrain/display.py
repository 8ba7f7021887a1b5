"""How the progress of full trainings is shown."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol


class RetrainDisplay(Protocol):
    """Shows the progress of full trainings (`nas.terminal.progress.TerminalDisplay` is one)."""

    def step(self, text: str) -> AbstractContextManager[Any]:
        """Show a step before the trainings."""

    def counter(self, text: str, total: int, done: int = 0, work: float | None = None) -> AbstractContextManager[Any]:
        """Show a count; yields the function to call with the number of finished epochs, their weight and the seconds left."""

    def warn(self, text: str) -> None:
        """Show a message that does not end the work."""
