"""The two pictures of a block: its layers with their shortcuts, and which channels depend on which."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import accumulate

from nas.figures.channels import FULL, ChannelsInfo, Link, Run, channels_info
from nas.models.export import svg
from nas.models.export.block_flow import FlowLayer
from search_space.channel_graph import Stack

FLOW_HEIGHT = 62
"""Of the picture of a block's layers, in pixels: arcs of shortcuts above, layers below."""
_RIBBONS_HEIGHT, _LABEL_HEIGHT, _LABEL_CHARACTER = 66.0, 13.0, 5.8
_CHIP_HEIGHT, _GAP, _CHARACTER, _PADDING = 24.0, 14.0, 6.4, 16.0
_COLOURED = ("token mixer", "channel mixer")
_GREY = "#8c97a4"
_MIN_CROSSED_HEIGHT = 10.0


def draw_flow(layers: Sequence[FlowLayer], x: float, y: float, width: float, colour: str) -> Iterator[str]:
    """The `layers` of a block from left to right, with shortcuts as arcs above them.

    Args:
        layers: in the order of the data flow.
        x: the left edge of the picture, in pixels.
        y: its upper edge.
        width: its width; longer blocks are drawn smaller.
        colour: of the token mixer.
    """
    widths = [_chip_width(layer) for layer in layers]
    starts = list(accumulate((of_chip + _GAP for of_chip in widths), initial=_GAP))
    total = starts[-1]
    scale = min(1.0, width / total)
    middle = FLOW_HEIGHT - _CHIP_HEIGHT / 2 - 4
    yield f'<g transform="translate({svg.number(x)} {svg.number(y)}) scale({scale:.3f})">'
    yield svg.path(f"M0 {middle} H{svg.number(total - 5)}", "line")
    yield svg.path(f"M{svg.number(total)} {middle} l-7 -4 v8 z", "arrow")
    for layer, start, of_chip in zip(layers, starts, widths, strict=False):
        if layer.shortcut_from is not None:
            yield from _arc(layer, starts[layer.shortcut_from] - _GAP / 2 - 1, start + of_chip / 2, middle)
        yield from _chip(layer, start, of_chip, middle, colour)
    yield "</g>"


def draw_channels(stack: Stack, x: float, y: float, width: float) -> Iterator[str]:
    """The channels of a block: a column for its input and for the output of each layer, and a ribbon for each group.

    Within a ribbon every output depends on every input. Grey: depends on all channels of the block's input.
    """
    info = channels_info(stack)
    step = width / len(info.labels)
    for link in info.links:
        yield from _ribbon(info, link, x, y, step)
    for column in range(len(info.columns)):
        yield svg.rect(x + column * step - 1.5, y, 3, _RIBBONS_HEIGHT, radius=1.5, style=_GREY)
    for layer, (name, _) in enumerate(info.labels):
        for number, line in enumerate(_label_lines(name, step)):
            bottom = y + _RIBBONS_HEIGHT + _LABEL_HEIGHT * (number + 1)
            yield svg.text(x + (layer + 0.5) * step, bottom, line, "middle", "soft", "small")


def channels_height(stack: Stack, width: float) -> float:
    """Of the picture of a block's channels, in pixels: ribbons, and the names of layers in one or more lines below them."""
    labels = channels_info(stack).labels
    lines = max(len(_label_lines(name, width / len(labels))) for name, _ in labels)
    return _RIBBONS_HEIGHT + 3 + _LABEL_HEIGHT * lines


def _label_lines(name: str, width: float) -> list[str]:
    return textwrap.wrap(name, max(3, int(width / _LABEL_CHARACTER)))


def _chip_width(layer: FlowLayer) -> float:
    return _CHIP_HEIGHT if layer.kind == "sum" else _PADDING + _CHARACTER * len(layer.name)


def _chip(layer: FlowLayer, x: float, width: float, middle: float, colour: str) -> Iterator[str]:
    top = middle - _CHIP_HEIGHT / 2
    if layer.kind == "sum":
        yield svg.rect(x, top, width, _CHIP_HEIGHT, radius=_CHIP_HEIGHT / 2, style="chip")
        yield svg.text(x + width / 2, middle + 5, layer.name, "middle", "title")
        return
    fill = {"token mixer": colour, "channel mixer": "#5b6b7c"}.get(layer.kind, "chip")
    yield svg.rect(x, top, width, _CHIP_HEIGHT, radius=5, style=fill)
    yield svg.text(
        x + width / 2, middle + 4, layer.name, "middle", "on-colour" if layer.kind in _COLOURED else "soft", "small"
    )


def _arc(layer: FlowLayer, start: float, end: float, middle: float) -> Iterator[str]:
    """A shortcut from `start` to the sum at `end`, with its layer if it has one."""
    top, bottom = 12.0, middle - _CHIP_HEIGHT / 2
    left, right = svg.number(start), svg.number(end)
    yield svg.path(f"M{left} {middle} V{top + 8} q0 -8 8 -8 H{svg.number(end - 8)} q8 0 8 8 V{bottom - 6}", "line")
    yield svg.path(f"M{right} {bottom} l-4 -7 h8 z", "arrow")
    if layer.shortcut:
        width = _PADDING + _CHARACTER * len(layer.shortcut)
        yield svg.rect((start + end - width) / 2, top - 10, width, 20, radius=5, style="chip")
        yield svg.text((start + end) / 2, top + 4, layer.shortcut, "middle", "soft", "small")


def _ribbon(info: ChannelsInfo, link: Link, x: float, y: float, step: float) -> Iterator[str]:
    """A ribbon; a high one has lines across it, since all its outputs depend on all its inputs."""
    left, right = x + link.layer * step, x + (link.layer + 1) * step
    (a, b), (c, d) = _ends(info, link.layer, link.inputs, y), _ends(info, link.layer + 1, link.outputs, y)
    corners = ((left, a), (right, c), (right, d), (left, b))
    outline = " L".join(f"{svg.number(of_x)} {svg.number(of_y)}" for of_x, of_y in corners)
    yield svg.path(f"M{outline} z", _colour(info, link.colour), 0.55)
    if min(b - a, d - c) >= _MIN_CROSSED_HEIGHT:
        ends = ((a, d), (b, c), (a, (c + d) / 2), (b, (c + d) / 2), ((a + b) / 2, c), ((a + b) / 2, d))
        lines = " ".join(
            f"M{svg.number(left)} {svg.number(start)} L{svg.number(right)} {svg.number(end)}" for start, end in ends
        )
        yield svg.path(lines, "line thin", 0.45)


def _ends(info: ChannelsInfo, column: int, run: Run, y: float) -> tuple[float, float]:
    """The upper and the lower edge of a run of channels; a single channel of many is still seen."""
    channels = len(info.columns[column])
    top, bottom = (y + _RIBBONS_HEIGHT * end / channels for end in run)
    inset = min(0.6, (bottom - top) / 8)
    return top + inset, max(bottom - inset, top + inset + 0.4)


def _colour(info: ChannelsInfo, colour: int) -> str:
    if colour == FULL or colour < 0:
        return _GREY
    index, count = info.shades[colour]
    return f"hsl({round(210 + 360 * index / count) % 360} 62% 52%)"
