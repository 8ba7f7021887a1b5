"""The channel dependencies of an architecture's blocks in words: the path of the channels, and whether all are reached."""

from __future__ import annotations

from nas.analysis.architecture_text import PlainArchitecture
from search_space.architecture import Architecture
from search_space.channel_graph import Stack
from search_space.errors import SpaceError
from search_space.shapes import MapShape
from search_space.stage import Stage


def block_stacks(architecture: PlainArchitecture) -> tuple[tuple[Stack, ...], ...]:
    """For each stage, its different blocks as stacks of layers with channel graphs, the first block first.

    A stage has two if its first block changes the map or the width itself. Empty for an architecture that this release
    does not know.
    """
    try:
        known = Architecture.from_dict(dict(architecture))
    except SpaceError:
        return ()
    return tuple(map(stage_stacks, known.stages, known.stage_inputs))


def stage_stacks(stage: Stage, stage_input: MapShape) -> tuple[Stack, ...]:
    """The different blocks of `stage`, whose input has the shape `stage_input`, as stacks, the first block first."""
    return tuple(dict.fromkeys(Stack(stage.layers(shape)) for shape in dict.fromkeys(stage.block_shapes(stage_input))))


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
