"""`architecture.svg`: the network from the image to the head, to be looked at in a model card or a paper.

Each part is a card. On the left is its silhouette: a slab for each block, as wide as the square root of its channels. A stage
shows the layers of a block with its residual form, the options of its mixers, and the channel dependencies of its blocks.
Texts are those of `nas.analysis.architecture_text`, which the terminal and the report show, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nas.analysis.architecture_text import PartText, describe_known
from nas.analysis.channel_text import path_text, reach_text, stage_stacks
from nas.formatting import TIMES, count, si
from nas.models.export import svg
from nas.models.export.block_drawing import FLOW_HEIGHT, channels_height, draw_channels, draw_flow
from nas.models.export.block_flow import block_flow
from search_space import Architecture, cost
from search_space.channel_graph import Stack

DRAWING_FILE = "architecture.svg"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#2F7FA8", "#B07A00", "#8A6D3B", "#6B7280")
"""Of token mixers, by their first use: close to those of Okabe and Ito, dark enough for white text."""
MAX_CHANNELS = 2048
"""Of a stage whose channel dependencies are drawn; composing the graphs of wider ones takes seconds and gigabytes."""
MAX_SLABS = 12

_WIDTH, _MARGIN, _HEADER = 940.0, 18.0, 60.0
_PADDING, _BETWEEN, _LINE = 14.0, 14.0, 17.0
_SILHOUETTE, _SILHOUETTE_WIDTH = 108.0, 150.0  # its middle, and the width of the widest part
_TEXT_X = 214.0
_TEXT_WIDTH, _CHANNELS_WIDTH = 440.0, 220.0
_SLAB, _SLAB_GAP = 11.0, 3.0


def write_drawing(architecture: Architecture, title: str, file: Path) -> None:
    """Write the drawing of `architecture` under a `title`."""
    file.write_text(draw_architecture(architecture, title), encoding="utf-8")


def draw_architecture(architecture: Architecture, title: str) -> str:
    """The drawing of `architecture` as SVG, which loads nothing and runs nothing."""
    parts = describe_known(architecture).parts
    names = dict.fromkeys(part.mixer for part in parts if part.mixer)
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    widest = max(architecture.stage_inputs[0].width, *(stage.width for stage in architecture.stages))
    cards, y = [], _HEADER
    for index, part in enumerate(parts):
        card = _card(architecture, index, part, colours, widest)
        if index:
            middle = svg.number(_SILHOUETTE)
            cards.append(svg.path(f"M{middle} {svg.number(y - _BETWEEN)} v{svg.number(_BETWEEN - 5)}", "line"))
            cards.append(svg.path(f"M{middle} {svg.number(y)} l-4 -6 h8 z", "arrow"))
        cards.append(f'<g transform="translate(0 {svg.number(y)})">')
        cards += [
            svg.rect(_MARGIN, 0, _WIDTH - 2 * _MARGIN, card.height, radius=9, style="card"),
            *card.elements,
            "</g>",
        ]
        y += card.height + _BETWEEN
    height = y - _BETWEEN + _MARGIN
    spent = cost(architecture)
    subtitle = f"{si(spent.macs, 'MACs')} · {si(spent.params, 'parameters')} · architecture {architecture.id}"
    head = [
        svg.rect(0, 0, _WIDTH, height, radius=12, style="paper"),
        svg.text(_MARGIN + 2, 27, title, "title"),
        svg.text(_MARGIN + 2, 46, subtitle, "soft"),
    ]
    return svg.picture(_WIDTH, height, f"{title}: the network from the image to the head", [*head, *cards])


class _Card:
    """A card that grows downwards.

    Attributes:
        elements: what is drawn in it.
        y: where the next line of text begins.
    """

    def __init__(self) -> None:
        self.elements: list[str] = []
        self.y = _PADDING
        self.min_height = 0.0

    @property
    def height(self) -> float:
        """Of the card, in pixels."""
        return max(self.y + _PADDING - 4, self.min_height)

    def add_line(self, content: str, *classes: str) -> None:
        """Add a text, in several lines if it is too long for one."""
        for line in svg.wrap(content, _TEXT_WIDTH):
            self.y += _LINE
            self.elements.append(svg.text(_TEXT_X, self.y - 4, line, *classes))

    def add_layer(self, name: str, options: str) -> None:
        """Add the name of a layer in bold, and its options."""
        first, *others = svg.wrap(options, _TEXT_WIDTH - (len(name) + 2) * svg.CHARACTER_WIDTH)
        self.y += _LINE
        self.elements.append(svg.named_text(_TEXT_X, self.y - 4, name, first))
        for line in others:
            self.add_line(line)


def _card(architecture: Architecture, index: int, part: PartText, colours: Mapping[str, str], widest: int) -> _Card:
    """The card of part `index`."""
    card = _Card()
    card.y += _LINE
    card.elements.append(svg.text(_TEXT_X, card.y - 3, part.title.capitalize(), "title"))
    card.elements.append(svg.text(_WIDTH - _MARGIN - _PADDING, card.y - 3, part.shape, "end", "name"))
    if part.mixer:
        _fill_stage(card, architecture, index - 2, part, colours[part.mixer])
    else:
        card.y += 4
        for name, options in part.layers:
            card.add_layer(name, options)
    slabs = list(_silhouette(architecture, index, colours.get(part.mixer, ""), widest, card.height))
    card.elements += slabs
    return card


def _fill_stage(card: _Card, architecture: Architecture, index: int, part: PartText, colour: str) -> None:
    """The layers of a block, their options, notes and channel dependencies of stage `index`."""
    stage, stage_input = architecture.stages[index], architecture.stage_inputs[index]
    card.elements.append(svg.text(_TEXT_X + 90, card.y - 3, count(part.depth, "block"), "soft"))
    flow_width = _WIDTH - _MARGIN - _PADDING - _TEXT_X
    card.elements += draw_flow(block_flow(stage, stage_input), _TEXT_X, card.y, flow_width, colour)
    card.y += FLOW_HEIGHT + 4
    top = card.y
    for name, options in part.layers:
        card.add_layer(name.replace("_", " "), options)
    if part.transition:
        card.add_line(part.transition, "soft")
    card.add_line(part.notes, "soft")
    if max(stage.width, stage_input.width) <= MAX_CHANNELS:
        _add_channels(card, stage_stacks(stage, stage_input), top)


def _add_channels(card: _Card, stacks: Sequence[Stack], top: float) -> None:
    """The channel dependencies of the blocks of a stage: drawn on the right from `top` on, in words below the other texts."""
    left, y = _WIDTH - _MARGIN - _PADDING - _CHANNELS_WIDTH, top + 6
    for number, stack in enumerate(stacks):
        which = "" if len(stacks) == 1 else (" (other blocks)" if number else " (first block)")
        card.add_line(f"channels{which}: {path_text(stack)}; full reach: {reach_text(stack)}", "soft", "small")
        card.elements += draw_channels(stack, left, y, _CHANNELS_WIDTH)
        y += channels_height(stack, _CHANNELS_WIDTH) + 10
    card.min_height = max(card.min_height, y - 10 + _PADDING)


def _silhouette(architecture: Architecture, index: int, colour: str, widest: int, height: float) -> Iterator[str]:
    """The slabs of part `index` in the middle of a card of `height`: image, stem, stages, head."""
    if index == 0:
        side = 30.0
        yield svg.rect(_SILHOUETTE - side / 2, (height - side) / 2, side, side, radius=4, style="#7fb2d6")
        yield svg.path(f"M{_SILHOUETTE - 15} {(height + side) / 2 - 3} l9 -12 7 8 6 -5 8 9 z", "#f4f7fa")
        return
    stages = architecture.stages
    if index > len(stages) + 1:
        yield svg.rect(_SILHOUETTE - 7, height / 2 - 7, 14, 14, radius=7, style="#8c97a4")
        return
    width = architecture.stage_inputs[0].width if index == 1 else stages[index - 2].width
    depth = 1 if index == 1 else stages[index - 2].depth
    slabs, long = min(depth, MAX_SLABS), _SILHOUETTE_WIDTH * (0.16 + 0.84 * math.sqrt(width / widest))
    top = (height - slabs * (_SLAB + _SLAB_GAP) + _SLAB_GAP) / 2
    for slab in range(slabs):
        y = top + slab * (_SLAB + _SLAB_GAP)
        yield svg.rect(_SILHOUETTE - long / 2, y, long, _SLAB, radius=3, style=colour or "#8c97a4")
    if depth > slabs:
        yield svg.text(_SILHOUETTE, top - 6, f"{depth} {TIMES}", "middle", "soft", "small")
