"""A data set in the terminal: what it was taken for, and the images of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from nas.analysis.dataset_summary import SPLIT_NAMES, class_rows, summary_rows
from nas.formatting import printable
from nas.terminal.fitting_table import FittingTable

GAP = 2  # columns between a label and its text
MIN_TEXT_WIDTH = 20
MAX_CLASS_ROWS = 40
"""Of more classes, the table shows the largest and the smallest."""


@dataclass(frozen=True)
class LabelledLines:
    """Texts with labels before them, wrapped beside the labels; unlike a table it pads no line with spaces."""

    rows: Sequence[tuple[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = max((len(label) for label, _ in self.rows), default=0) + GAP
        for label, text in self.rows:
            lines = Text(text).wrap(console, max(MIN_TEXT_WIDTH, options.max_width - indent), overflow="fold")
            for number, line in enumerate(lines):
                line.rstrip()
                yield Text.assemble((("" if number else label).ljust(indent), "dim"), line)


def dataset_lines(dataset: Mapping[str, Any]) -> LabelledLines:
    """The summary of `dataset`, a line for each fact."""
    return LabelledLines([("data", printable(str(dataset["name"]))), *summary_rows(dataset)])


def dataset_panel(dataset: Mapping[str, Any]) -> RenderableType:
    """The summary of `dataset` and the images of each class."""
    return Group(dataset_lines(dataset), *_class_table(dataset))


def _class_table(dataset: Mapping[str, Any]) -> list[RenderableType]:
    rows = class_rows(dataset)
    if not rows:
        return []
    omitted = len(rows) - MAX_CLASS_ROWS
    if omitted > 0:
        rows = sorted(rows, key=lambda row: -row.share)
        rows = rows[: MAX_CLASS_ROWS // 2] + rows[-MAX_CLASS_ROWS // 2 :]
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in (*SPLIT_NAMES.values(), "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = (f"{number:,}" for number in row.counts)
        table.add_row(Text(printable(row.name)), *numbers, f"{100 * row.share:.1f} %")
    note = f"{omitted:,} classes of middle size are not shown" if omitted > 0 else ""
    return [table, Text(note, style="dim")] if note else [table]
