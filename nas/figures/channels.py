"""The content of the figure of a block's channel dependency graph, without plotly.

The figure has a column of channels for the block's input and for the output of each layer, and links between columns. Outputs
of a layer that depend on the same inputs share one link for each run of consecutive channels: a grouped layer has one link
per group, in which every output depends on every input, and a shuffle has one link per channel. This loses no edge.

Channels of one colour depend on the same channels of the block's input; `FULL` is the colour of channels that depend on all
of them, as every output of a block must. At most `MAX_DRAWN` points of a column and links of a layer are drawn. They are
thinned by a step that is coprime to their number, so that all groups are still seen; `ChannelsInfo.note` says so.
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
"""Consecutive channels: the first one, and one past the last."""

INPUT: Final = -2
"""The colour of the block's input."""
FULL: Final = -1
"""The colour of channels that depend on every input."""
MAX_DRAWN: Final = 128
"""Maximum number of points of a column, and of links of a layer."""
MAX_DEPENDENCIES: Final = 16
"""Maximum number of outputs whose dependencies are kept, each of another group of the last layer."""


@dataclass(frozen=True)
class Link:
    """All edges from a run of inputs to a run of outputs of a layer."""

    layer: int
    inputs: Run
    outputs: Run
    colour: int


@dataclass(frozen=True)
class Dependency:
    """All edges on paths to one output of the block, thinned as the figure is.

    `group` are the outputs of the same group, this one among them. Their paths differ in the last edge only.
    """

    output: int
    group: tuple[int, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class ChannelsInfo:
    """A block's channel dependency graph.

    Args:
        columns: the colour of each channel of each column, the block's input first.
        labels: for each layer, its name and its groups in words (empty for a shuffle).
        points: the channels of each column that are drawn.
        links: the edges that are drawn.
        shades: for each colour, its index among the colours first used in its column, and their number.
        reach: after each layer, which inputs of the block each channel depends on.
        dependencies: of outputs of different groups, starting with the middle group.
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
    """The content of the figure of `block`."""
    columns, shades = _colours(block)
    links = [_links(number, layer, columns[number + 1]) for number, layer in enumerate(block.layers)]
    groups = _group_outputs(block.layers[-1].graph)
    middle = len(groups) // 2
    chosen = _take_evenly((*range(middle, len(groups)), *range(middle)), MAX_DEPENDENCIES)
    return ChannelsInfo(
        columns=columns,
        labels=tuple((layer.name.replace("_", " "), _groups_text(layer)) for layer in block.layers),
        points=tuple(tuple(range(0, width, _step(width))) for width in block.widths),
        links=tuple(link for of_layer in links for link in of_layer[:: _step(len(of_layer))]),
        shades=shades,
        reach=tuple(graph.matrix for graph in block.reach),
        dependencies=tuple(_dependency(groups[index], links) for index in chosen),
        note=_note(block, links, len(groups)),
    )


def _colours(block: Stack) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, int], ...]]:
    """The colour of each channel of each column, and the shade of each colour."""
    colours: dict[bytes, int] = {np.ones(block.widths[0], np.bool_).tobytes(): FULL}
    shades: list[tuple[int, int]] = []
    columns = [(INPUT,) * block.widths[0]]
    for graph in block.reach:
        keys = [row.tobytes() for row in graph.matrix]
        new = [key for key in dict.fromkeys(keys) if key not in colours]
        colours |= {key: len(shades) + index for index, key in enumerate(new)}
        shades += [(index, len(new)) for index in range(len(new))]
        columns.append(tuple(colours[key] for key in keys))
    return tuple(columns), tuple(shades)


def _links(number: int, layer: Layer, colours: Sequence[int]) -> list[Link]:
    """The links of a layer sorted by their first output; the outputs of a link have one colour."""
    matrix = layer.graph.matrix
    links = []
    for group in _group_outputs(layer.graph):
        inputs = _runs(np.flatnonzero(matrix[group[0]]).tolist())
        links += [Link(number, run, outputs, colours[outputs[0]]) for outputs in _runs(group) for run in inputs]
    return sorted(links, key=lambda link: (link.outputs, link.inputs))


def _dependency(group: tuple[int, ...], links: Sequence[Sequence[Link]]) -> Dependency:
    """The paths to the middle output of `group`, followed backwards from the last layer."""
    output = group[len(group) // 2]
    needed = {output}
    kept: list[Link] = []
    for of_layer in reversed(links):
        paths = [
            Link(link.layer, link.inputs, run, link.colour)
            for link in of_layer
            for run in _runs(sorted(needed.intersection(range(*link.outputs))))
        ]
        needed = {channel for link in paths for channel in range(*link.inputs)}
        kept += paths[:: _step(len(paths))]
    return Dependency(output, group, tuple(kept))


def _group_outputs(graph: ChannelGraph) -> list[tuple[int, ...]]:
    """Groups of outputs that depend on the same inputs, sorted by their first output; outputs without inputs are left out."""
    groups: dict[bytes, list[int]] = {}
    for output, row in enumerate(graph.matrix):
        if row.any():
            groups.setdefault(row.tobytes(), []).append(output)
    return [tuple(outputs) for outputs in groups.values()]


def _runs(channels: Iterable[int]) -> list[Run]:
    """Ascending channels as runs of consecutive channels."""
    pieces = (list(piece) for _, piece in groupby(enumerate(channels), key=lambda pair: pair[1] - pair[0]))
    return [(piece[0][1], piece[-1][1] + 1) for piece in pieces]


def _step(count: int) -> int:
    """The smallest step that is coprime to `count` and leaves at most `MAX_DRAWN` of it."""
    step = max(1, math.ceil(count / MAX_DRAWN))
    while math.gcd(step, count) > 1 and step < count:
        step += 1
    return step


def _take_evenly(items: Sequence[int], limit: int) -> list[int]:
    """At most `limit` of `items`, evenly spaced, starting with the first."""
    return [items[i * len(items) // limit] for i in range(limit)] if len(items) > limit else list(items)


def _groups_text(layer: Layer) -> str:
    groups = layer.graph.groups
    if groups is None:
        return ""
    if groups == 1:
        return "dense"
    return "per channel" if layer.graph.matrix.shape == (groups, groups) else f"{groups} groups"


def _note(block: Stack, links: Sequence[Sequence[Link]], groups: int) -> str:
    """A sentence about what is not drawn; empty if everything is."""
    parts = [f"1 in {_step(width)} of {width} channels" for width in sorted(set(block.widths)) if _step(width) > 1]
    counts = sorted({len(of_layer) for of_layer in links if _step(len(of_layer)) > 1})
    parts += [f"1 in {_step(count)} of {count} links between two columns" for count in counts]
    if groups > MAX_DEPENDENCIES:
        parts.append(f"the dependencies of {MAX_DEPENDENCIES} of {groups} groups of outputs")
    return f"Shown: {', '.join(parts)}." if parts else ""
