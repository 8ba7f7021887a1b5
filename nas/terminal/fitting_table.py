"""A table that never cuts a number: where it is wider than the terminal, each row becomes a block of lines."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

MIN_TEXT_WIDTH = 8
"""Columns of the terminal that a column of text gets at least; its words are folded."""

COLUMN_GAP = 3
"""Columns of the terminal between two columns of the table, at most."""


class FittingTable(Table):
    """A table whose columns with `no_wrap` keep their width; too wide for the console, it is printed as blocks of lines."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or a block for each row: the head and the cell of each column on a line."""
        if self._least_width(console, options) <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield self.title if isinstance(self.title, Text) else console.render_str(str(self.title))
        columns = [list(column.cells) for column in self.columns]
        for index, row in enumerate(self.rows):
            block = Table.grid(padding=(0, 1))
            block.add_column(overflow="fold")
            block.add_column(overflow="fold")
            for column, cells in zip(self.columns, columns, strict=True):
                block.add_row(_one_line(column), cells[index], style=row.style)
            yield block
            yield ""
        if self.caption:
            yield self.caption if isinstance(self.caption, Text) else console.render_str(str(self.caption))

    def _least_width(self, console: Console, options: ConsoleOptions) -> int:
        """The width below which a column with `no_wrap` would be cut."""
        return sum(_least_width(console, options, column) + COLUMN_GAP for column in self.columns) - COLUMN_GAP


def _one_line(column: Column) -> str:
    return " ".join(str(column.header).split())


def _least_width(console: Console, options: ConsoleOptions, column: Column) -> int:
    cells: Iterable[object] = (column.header, *column.cells)
    if not column.no_wrap:
        return MIN_TEXT_WIDTH
    wide = options.update(max_width=10_000)
    return max(Measurement.get(console, wide, cell).maximum for cell in cells)  # type: ignore[arg-type]
