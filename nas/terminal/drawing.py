"""An architecture drawn in the terminal, from the image to the head: renderables of rich, readable without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nas.analysis.architecture_text import PartText, describe
from nas.analysis.channel_text import block_stacks, path_text, reach_text
from nas.formatting import TIMES
from search_space.channel_graph import Stack

DRAWING_WIDTH = 64
"""Columns of the terminal."""


def architecture_drawing(architecture: Mapping[str, Any]) -> RenderableType:
    """The network as a column: image, stem, a box for each stage (map size, blocks, their layers), head.

    Args:
        architecture: as JSON, `Architecture.to_dict()`.
    """
    text = describe(architecture)
    lines: list[RenderableType] = [Constrain(Text(text.note, style="italic"), DRAWING_WIDTH)] if text.note else []
    arrow = Constrain(Text("│", justify="center", style="dim"), DRAWING_WIDTH)
    stacks = iter(block_stacks(architecture))
    for number, part in enumerate(text.parts):
        lines += [arrow] if number else []
        lines.append(_stage_panel(part, next(stacks, ())) if part.mixer else _centred_lines(part))
    return Group(*lines)


def _stage_panel(part: PartText, blocks: Sequence[Stack]) -> Panel:
    """A stage: its output shape in the border, its transition, the layers of a block, notes, the channels of its blocks."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, (name, options) in enumerate(part.layers):
        grid.add_row("" if number else f"{part.depth} {TIMES}", Text(f"{name} "), Text(options))
    lines: list[RenderableType] = [Text(part.transition, style="dim")] if part.transition else []
    lines += [grid, Text(part.notes, style="dim")] if part.notes else [grid]
    for number, block in enumerate(blocks):
        subject = "channels" if len(blocks) == 1 else f"channels of the {'other blocks' if number else 'first block'}"
        lines.append(Text(f"{subject}: {path_text(block)}; full reach: {reach_text(block)}", style="dim"))
    return Panel(
        Group(*lines),
        title=Text(part.title, style="bold"),
        title_align="left",
        subtitle=Text(part.shape),
        subtitle_align="right",
        width=DRAWING_WIDTH,
        box=box.ROUNDED,
    )


def _centred_lines(part: PartText) -> RenderableType:
    """Image, stem or head: its title and output shape, then a line for each layer."""
    lines = [Text.assemble((part.title, "bold"), "  ", part.shape)]
    lines += [Text(" ".join(filter(None, layer)), style="dim") for layer in part.layers]
    text = Text("\n", justify="center").join(lines)
    text.justify = "center"
    return Constrain(text, DRAWING_WIDTH)
