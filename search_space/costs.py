"""The exact cost of an architecture, from its description alone; conventions in `tape.py`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

from search_space.architecture import Architecture
from search_space.channel_mixers import ChannelMixerSpec
from search_space.mixers import TokenMixerSpec
from search_space.residual_forms import BlockLayers
from search_space.shapes import BlockShape, MapShape
from search_space.stage import Stage
from search_space.tape import Cost, FeatureMap, Tape

__all__ = ["Cost", "cost", "cost_by_part", "trace_stage"]


def cost(architecture: Architecture) -> Cost:
    """The cost of one image through `architecture`, its head included."""
    tape = Tape()
    _trace(architecture, repeat(tape))
    return tape.cost


def cost_by_part(architecture: Architecture) -> tuple[Cost, ...]:
    """The costs of the stem, of each stage and of the head; their sum is `cost(architecture)`.

    The downsampling of a stage belongs to the stage. A feature map between two parts is saved for the backward pass by the
    first operation that needs it, so the part of that operation has its bytes: the stem has those of the image.
    """
    tapes = [Tape() for _ in range(len(architecture.stages) + 2)]
    _trace(architecture, iter(tapes))
    return tuple(tape.cost for tape in tapes)


def _trace(architecture: Architecture, tapes: Iterator[Tape]) -> None:
    """Record the costs of the stem, of each stage and of the head, each on the next of `tapes`."""
    image = FeatureMap(architecture.in_chans, architecture.image_size)
    x = architecture.stem.trace(image, next(tapes), architecture.stem.width(architecture.stages[0].width))
    for stage in architecture.stages:
        x = trace_stage(stage, x, next(tapes))
    architecture.head.trace(x, next(tapes), architecture.num_classes, architecture.stages[-1].norm)


def trace_stage(stage: Stage, x: FeatureMap, tape: Tape) -> FeatureMap:
    """Record the cost of `stage` for the input `x` on `tape`, its downsampling included; returns the output.

    A block that is equal to one before it and has an equal input costs the same, so it is traced only once.
    """
    shapes = stage.block_shapes(MapShape(x.width, x.size))
    if stage.has_transition(x.width):
        x = stage.downsampling.trace(x, tape, stage.width, stage.norm, stage.downsample)
    form, last = stage.residual_form, shapes[-1]
    first_mixer, last_mixer = (stage.canonical_mixer(shape) for shape in (shapes[0], last))
    traced: dict[tuple[bool, int, bool, bool], _TracedBlock] = {}
    for index, shape in enumerate(shapes):
        is_last_shape = shape is last
        mixer = (last_mixer if is_last_shape else first_mixer).for_block(index)
        key = (is_last_shape, id(mixer), x.channels_last, x.saved)  # `traced` keeps the mixer: no other has its id
        if key not in traced:
            layers = TapeLayers(stage, mixer, shape)
            y = form.trace(layers, x)
            traced[key] = _TracedBlock(mixer, layers.tape, y.channels_last, y.saved)  # the next block may save y too
        block = traced[key]
        tape.add(block.tape.macs, block.tape.params, block.tape.fft_flops, block.tape.saved)
        x = FeatureMap(shape.width, shape.size, block.channels_last)
        x.saved = block.saved
    return x


class _TracedBlock(NamedTuple):
    """The costs of a block and the state of its output."""

    mixer: TokenMixerSpec
    tape: Tape
    channels_last: bool
    saved: bool


class TapeLayers(BlockLayers):
    """The layers of a block, whose costs are recorded on `tape`.

    Args:
        stage: the stage.
        mixer: its token mixer in this block.
        shape: the shapes of the block's input and output.
    """

    __slots__ = ("mixer", "stage", "tape")

    def __init__(self, stage: Stage, mixer: TokenMixerSpec, shape: BlockShape) -> None:
        super().__init__(shape, stage.channel_mixer)
        self.stage, self.mixer, self.tape = stage, mixer, Tape()

    def token_mixer(self, x: FeatureMap) -> FeatureMap:
        return self.mixer.trace_strided(x, self.tape) if self.shape.stride == 2 else self.mixer.trace(x, self.tape)

    def channel_mixer(self, x: FeatureMap) -> FeatureMap:
        return self.gate(self.channel_mixer_spec.trace(x, self.tape, self.stage.act, self.shape.width))

    def part_of_channel_mixer(self, spec: ChannelMixerSpec, x: FeatureMap, width: int) -> FeatureMap:
        return spec.trace(x, self.tape, self.stage.act, width)

    def interlace(self, x: FeatureMap, groups: int) -> FeatureMap:
        return self.tape.interlace(x, groups)

    def norm(self, x: FeatureMap) -> FeatureMap:
        return self.tape.norm(self.stage.norm, x)

    def act(self, x: FeatureMap) -> FeatureMap:
        return self.tape.act(self.stage.act, x)

    def gate(self, x: FeatureMap) -> FeatureMap:
        gate = self.stage.squeeze_excite
        return x if gate is None else gate.trace(x, self.tape)

    def shortcut(self, x: FeatureMap) -> FeatureMap:
        if not self.shape.is_changing:
            return x
        stage, shape = self.stage, self.shape
        return stage.downsampling.trace(x, self.tape, shape.width, stage.norm, shape.stride)

    def residual_sum(self, x: FeatureMap, branch: FeatureMap) -> FeatureMap:
        if self.stage.layer_scale is not None:
            self.tape.scale(branch)
        return x.like()
