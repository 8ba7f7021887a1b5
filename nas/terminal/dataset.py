"""A data set in the terminal: what it was taken for, and the images of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.analysis.dataset_summary import SPLIT_NAMES, class_rows, summary_rows
from trainers.data.duplicates import printable

MAX_CLASS_ROWS = 40
"""Of more classes, the table shows the largest and the smallest."""


def dataset_lines(dataset: Mapping[str, Any]) -> Table:
    """The summary of `dataset`, a line for each fact."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("data", Text(str(dataset["name"])))
    for label, text in summary_rows(dataset):
        grid.add_row(Text(label), Text(text))
    return grid


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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in (*SPLIT_NAMES.values(), "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = (f"{number:,}" for number in row.counts)
        table.add_row(Text(printable(row.name)), *numbers, f"{100 * row.share:.1f} %")
    note = f"{omitted:,} classes of middle size are not shown" if omitted > 0 else ""
    return [table, Text(note, style="dim")] if note else [table]
