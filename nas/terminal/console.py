"""The consoles of the commands. Text is printed as it stands: `[red]` is no markup, `:smile:` no emoji."""

from __future__ import annotations

import os

from rich.console import Console

PIPE_WIDTH = 1000
"""Columns of an output that is no terminal: its reader can scroll or wrap lines, and needs whole numbers."""


def create_console(*, stderr: bool = False) -> Console:
    """A console on standard output, or on standard error; the variable COLUMNS sets the width of any."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = PIPE_WIDTH
    return console
