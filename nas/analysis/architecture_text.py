"""An architecture told in words: the boxes from the image to the head, as the terminal and the report draw them.

Works on the plain JSON of an architecture and knows no mixer: it shows the name and whatever options stand beside it,
so that a new mixer needs nothing here. A key that is missing is left out of the text. Only the channel graph of a block
asks the search space what the mixers do; for a description that it does not know there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from search_space.architecture import Architecture
from search_space.channel_graph import Stack
from search_space.errors import SpaceError

Plain: TypeAlias = Mapping[str, Any]

TIMES = "×"  # noqa: RUF001 - the multiplication sign is meant

_KNOWN_OF_STAGE = ("mixer", "channel_mixer", "depth", "width", "downsample", "norm", "act", "residual")


@dataclass(frozen=True)
class Box:
    """One step of the network.

    Args:
        title: "image", "stem", "stage 1", "head".
        shape: what leaves it: "16 × 16 × 32" (height, width, channels).
        layers: the layers of one block in order, each a name and its options: ("conv", "k 5, groups depthwise").
        depth: how often the block is repeated; 1 outside stages.
        notes: norm, activation, residual, and whatever else the description says.
        mixer: the name of the stage's mixer; empty outside stages.
    """

    title: str
    shape: str
    layers: tuple[tuple[str, str], ...]
    depth: int = 1
    notes: str = ""
    mixer: str = ""


def mixers(architecture: Plain | None) -> tuple[str, ...]:
    """The name of each stage's mixer, in order; empty without an architecture."""
    return tuple(str(stage["mixer"].get("name", "?")) for stage in (architecture or {}).get("stages", ()))


def blocks_of(architecture: Plain | None) -> dict[str, int]:
    """How many blocks each mixer has over all stages."""
    counts: dict[str, int] = {}
    for name, stage in zip(mixers(architecture), (architecture or {}).get("stages", ()), strict=True):
        counts[name] = counts.get(name, 0) + int(stage.get("depth", 1))
    return counts


def boxes(architecture: Plain) -> tuple[Box, ...]:
    """Image, stem, each stage and the head, with the map size after each."""
    height, width = (int(side) for side in architecture["image_size"])
    stages = architecture["stages"]
    stem = architecture["stem"]
    drawn = [Box("image", _shape(height, width, architecture["in_chans"]), ())]
    stride = int(stem.get("stride") or stem.get("patch") or 1)
    height, width = math.ceil(height / stride), math.ceil(width / stride)
    stem_width = stem.get("width") or stages[0]["width"]
    drawn.append(
        Box(
            "stem",
            _shape(height, width, stem_width),
            ((str(stem.get("kind", "")), _options_without(stem, "kind", "width")),),
        )
    )
    for number, stage in enumerate(stages, start=1):
        step = int(stage.get("downsample") or 1)
        height, width = math.ceil(height / step), math.ceil(width / step)
        drawn.append(_stage_box(number, stage, _shape(height, width, stage["width"])))
    drawn.append(Box("head", f"{architecture['num_classes']} classes", (("norm, average pool, linear", ""),)))
    return tuple(drawn)


def stacks(architecture: Plain) -> tuple[tuple[Stack, ...], ...]:
    """Of each stage the different blocks it consists of, the first block's first, with their layers' channel graphs.

    Empty for an architecture that the search space does not know.
    """
    try:
        known = Architecture.from_dict(dict(architecture))
    except SpaceError:
        return ()
    return tuple(
        tuple(dict.fromkeys(Stack(stage.layers(shape)) for shape in dict.fromkeys(stage.block_shapes(stage_input))))
        for stage, stage_input in zip(known.stages, known.stage_inputs, strict=True)
    )


def path_text(block: Stack) -> str:
    """The channels of a block and the groups of its layers: "64 -16-> 64 -interlace-> 64 -4-> 64"."""
    arrows = [f"-{layer.graph.groups or layer.name}-> " for layer in block.layers]
    steps = [f"{arrow}{width}" for arrow, width in zip(arrows, block.widths[1:], strict=True)]
    return " ".join([str(block.widths[0]), *steps])


def reach_text(block: Stack) -> str:
    """Whether every output of a block depends on every input, and by which rule: "yes (g1*g2 = 16*4 = 64 <= 64)"."""
    if missing := block.graph.missing():
        output, inputs = next(iter(missing.items()))
        return f"no (output {output} misses {len(inputs)} of {block.widths[0]} inputs)"
    if block.rule is not None and (product := block.rule.g1 * block.rule.g2) > 1:
        return f"yes (g1*g2 = {block.rule.g1}*{block.rule.g2} = {product} <= {block.rule.hidden})"
    dense = next((layer.name for layer in block.layers if layer.graph.groups == 1), None)
    return f"yes ({dense} is dense)" if dense else "yes"


def options_text(options: Plain) -> str:
    """Options in a line, as in `k 5, groups 4 × 2, bias no`; those that are null are left out."""
    return ", ".join(f"{key} {_value_text(value)}" for key, value in options.items() if value is not None)


def _stage_box(number: int, stage: Plain, shape: str) -> Box:
    parts = [stage[key] for key in ("mixer", "channel_mixer") if stage.get(key)]
    layers = [(str(part.get("name", "?")), _options_without(part, "name")) for part in parts]
    notes = [f"downsampled by {stage['downsample']}"] if int(stage.get("downsample") or 1) > 1 else []
    notes += [f"{stage['norm']} norm"] if stage.get("norm") else []
    notes += [str(stage["act"])] if stage.get("act") else []
    notes += [f"{str(stage['residual']).replace('_', ' ')} residual"] if stage.get("residual") else []
    rest = _options_without(stage, *_KNOWN_OF_STAGE)
    notes += [rest] if rest else []
    return Box(
        title=f"stage {number}",
        shape=shape,
        layers=tuple(layers),
        depth=int(stage.get("depth", 1)),
        notes=" · ".join(notes),
        mixer=layers[0][0],
    )


def _options_without(part: Plain, *known: str) -> str:
    return options_text({key: value for key, value in part.items() if key not in known})


def _shape(height: int, width: int, channels: object) -> str:
    return f" {TIMES} ".join(str(size) for size in (height, width, channels))


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return f" {TIMES} ".join(_value_text(item) for item in value)
    if isinstance(value, Mapping):
        return f"({options_text(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
