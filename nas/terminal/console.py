"""The consoles of the commands. Text is printed as it stands: `[red]` is no markup, `:smile:` no emoji, an escape is `\\x1b`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from nas.formatting import printable

PIPE_WIDTH = 1000
"""Columns of an output that is no terminal: its reader can scroll or wrap lines, and needs whole numbers."""


class PlainConsole(Console):
    """A console that shows control characters of texts instead of sending them: names may come from anybody."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`; those that move the cursor are rich's own."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield segment._replace(text="\n".join(map(printable, segment.text.split("\n"))))


def create_console(*, stderr: bool = False) -> Console:
    """A console on standard output, or on standard error; the variable COLUMNS sets the width of any."""
    console = PlainConsole(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = PIPE_WIDTH
    return console
