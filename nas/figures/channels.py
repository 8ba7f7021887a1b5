"""What the picture of a block's channel graph shows: pure, without plotly.

Columns of channels, from the block's input to its output, and links between them. Outputs of a layer that depend on the
same inputs of it share a link for each run of consecutive channels: a grouped layer is one link a group, within which every
output depends on every input, and a shuffle is one link a channel. No edge is lost by that, whatever the width.

Channels of one colour depend on the same channels of the block's input; `FULL` is the colour of those that depend on all,
which is what a block must reach. A column or layer of more than `DRAWN` channels or links is thinned by a step that shares
no divisor with their number, so that what is left still shows all groups in turn; `ChannelsInfo.note` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias

import numpy as np

from search_space.channel_graph import Bools, ChannelGraph, Layer, Stack

Run: TypeAlias = tuple[int, int]
"""Consecutive channels: the first, and one past the last."""

INPUT: Final = -2
"""The colour of the block's input."""
FULL: Final = -1
"""The colour of channels that depend on every input."""
DRAWN: Final = 128
"""Points of a column, or links of a layer, that are drawn at most."""
CHOOSABLE: Final = 16
"""Outputs, each of another group of the last layer, whose dependencies are held at most."""


@dataclass(frozen=True)
class Link:
    """All edges from a run of inputs to a run of outputs of a layer."""

    layer: int
    inputs: Run
    outputs: Run
    colour: int


@dataclass(frozen=True)
class Dependency:
    """What an output of the block depends on: every edge on a path to it, thinned as the picture is.

    `alike` are the outputs of its group, for which the same holds but for the last edges, which end at them.
    """

    output: int
    alike: tuple[int, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class ChannelsInfo:
    """A block's channel graph.

    Args:
        columns: the colour of each channel of each column, the block's input first.
        labels: of each layer: its name, and its groups in words (empty for a shuffle).
        points: the channels of each column that are drawn.
        links: the edges that are drawn.
        shades: of each colour: which one it is of how many that its column brings in.
        reach: after each layer, which inputs of the block each output depends on.
        dependencies: of outputs of different groups, the one in the middle of the picture first.
        note: what was thinned; empty if nothing.
    """

    columns: tuple[tuple[int, ...], ...]
    labels: tuple[tuple[str, str], ...]
    points: tuple[tuple[int, ...], ...]
    links: tuple[Link, ...]
    shades: tuple[tuple[int, int], ...]
    reach: tuple[Bools, ...]
    dependencies: tuple[Dependency, ...]
    note: str


def channels_info(block: Stack) -> ChannelsInfo:
    """The picture of `block`."""
    columns, shades = _colours(block)
    links = [_links(number, layer, columns[number + 1]) for number, layer in enumerate(block.layers)]
    groups = _alike(block.layers[-1].graph)
    middle = len(groups) // 2
    held = [groups[i] for i in _spread((*range(middle, len(groups)), *range(middle)), CHOOSABLE)]
    return ChannelsInfo(
        columns=columns,
        labels=tuple((layer.name.replace("_", " "), _groups_text(layer)) for layer in block.layers),
        points=tuple(tuple(range(0, width, _step(width))) for width in block.widths),
        links=tuple(link for of_layer in links for link in of_layer[:: _step(len(of_layer))]),
        shades=shades,
        reach=tuple(graph.matrix for graph in block.reach),
        dependencies=tuple(_dependency(alike, links) for alike in held),
        note=_note(block, links, len(groups)),
    )


def _colours(block: Stack) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, int], ...]]:
    """The colour of each channel of each column, and the shade of each colour."""
    known: dict[bytes, int] = {np.ones(block.widths[0], np.bool_).tobytes(): FULL}
    shades: list[tuple[int, int]] = []
    columns = [(INPUT,) * block.widths[0]]
    for graph in block.reach:
        keys = [row.tobytes() for row in graph.matrix]
        new = [key for key in dict.fromkeys(keys) if key not in known]
        known |= {key: len(shades) + index for index, key in enumerate(new)}
        shades += [(index, len(new)) for index in range(len(new))]
        columns.append(tuple(known[key] for key in keys))
    return tuple(columns), tuple(shades)


def _links(number: int, layer: Layer, colours: Sequence[int]) -> list[Link]:
    """The links of a layer by their first output; outputs of one link have one colour."""
    matrix = layer.graph.matrix
    found = []
    for outputs in _alike(layer.graph):
        inputs = _runs(np.flatnonzero(matrix[outputs[0]]).tolist())
        found += [Link(number, run, outs, colours[outs[0]]) for outs in _runs(outputs) for run in inputs]
    return sorted(found, key=lambda link: (link.outputs, link.inputs))


def _dependency(alike: tuple[int, ...], links: Sequence[Sequence[Link]]) -> Dependency:
    """The paths to the middle one of `alike`, followed back from the last layer."""
    output = alike[len(alike) // 2]
    needed = {output}
    found: list[Link] = []
    for of_layer in reversed(links):
        paths = [
            Link(link.layer, link.inputs, run, link.colour)
            for link in of_layer
            for run in _runs(sorted(needed.intersection(range(*link.outputs))))
        ]
        needed = {channel for link in paths for channel in range(*link.inputs)}
        found += paths[:: _step(len(paths))]
    return Dependency(output, alike, tuple(found))


def _alike(graph: ChannelGraph) -> list[tuple[int, ...]]:
    """The outputs that depend on the same inputs, by the first of them; those that depend on none are left out."""
    found: dict[bytes, list[int]] = {}
    for output, row in enumerate(graph.matrix):
        if row.any():
            found.setdefault(row.tobytes(), []).append(output)
    return [tuple(outputs) for outputs in found.values()]


def _runs(channels: Iterable[int]) -> list[Run]:
    """Ascending channels as runs of consecutive ones."""
    pieces = (list(piece) for _, piece in groupby(enumerate(channels), key=lambda pair: pair[1] - pair[0]))
    return [(piece[0][1], piece[-1][1] + 1) for piece in pieces]


def _step(count: int) -> int:
    """The least step that leaves at most `DRAWN` of `count` and shares no divisor with it."""
    step = max(1, math.ceil(count / DRAWN))
    while math.gcd(step, count) > 1 and step < count:
        step += 1
    return step


def _spread(items: Sequence[int], most: int) -> list[int]:
    """At most `most` of `items`, evenly, the first among them."""
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else list(items)


def _groups_text(layer: Layer) -> str:
    groups = layer.graph.groups
    if groups is None:
        return ""
    if groups == 1:
        return "dense"
    return "each channel alone" if layer.graph.matrix.shape == (groups, groups) else f"{groups} groups"


def _note(block: Stack, links: Sequence[Sequence[Link]], groups: int) -> str:
    """What is not drawn, in words."""
    parts = [f"of {width} channels one in {_step(width)}" for width in sorted(set(block.widths)) if _step(width) > 1]
    counts = sorted({len(of_layer) for of_layer in links if _step(len(of_layer)) > 1})
    parts += [f"of {count} links between two columns one in {_step(count)}" for count in counts]
    if groups > CHOOSABLE:
        parts.append(f"of {groups} groups of outputs {CHOOSABLE} can be pointed at")
    return f"Drawn: {', '.join(parts)}." if parts else ""
