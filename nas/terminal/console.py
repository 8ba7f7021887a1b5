"""The consoles of the commands. Text is printed as it stands: `[red]` is no markup, `:smile:` no emoji."""

from __future__ import annotations

from rich.console import Console


def create_console(*, stderr: bool = False) -> Console:
    """A console on standard output, or on standard error."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)
