"""An architecture is a value: a stem, stages of like blocks, a linear head. It is valid if it exists.

    image (B, in_chans, H, W)
      stem      patches of `patch` x `patch` pixels -> tokens on a map (H/patch, W/patch)
      stage*    [downsampling] then `depth` blocks of token mixer + channel mixer
      head      norm, global average pool, linear -> (B, num_classes)

Stem, downsampling and head are described in `macro.py`, mixers in `mixers/` and `channel_mixers/`.

The JSON of an architecture spells out every option, so equal architectures have equal JSON; `id` is a short digest.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BeforeValidator, Field, PlainSerializer, Strict, model_validator

from search_space import blocks, forms, yaml_text
from search_space.blocks import BlockShape, MapShape
from search_space.channel_graph import Layer
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixer
from search_space.costs import Map, Size, Tape
from search_space.errors import ArchitectureError, SpaceError
from search_space.macro import (
    BRANCHES,
    CHANGING,
    Activation,
    Begin,
    Downsampling,
    Head,
    Norm,
    Positive,
    Residual,
    SqueezeExcite,
    Stem,
    Stride,
)
from search_space.mixers import MIXERS, Mixer
from search_space.value import Value


def _size(value: object) -> object:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


ImageSize = Annotated[tuple[Positive, Positive], Strict(False), BeforeValidator(_size)]
AnyMixer = Annotated[Mixer, BeforeValidator(MIXERS.parse), PlainSerializer(lambda mixer: mixer.to_dict())]
AnyChannelMixer = Annotated[
    ChannelMixer, BeforeValidator(CHANNEL_MIXERS.parse), PlainSerializer(lambda mixer: mixer.to_dict())
]


class Stage(Value):
    """`depth` blocks of a token mixer and a channel mixer at one width and map size.

    Args:
        mixer: the token mixer: a name, a mapping with `name` and options, or a `Mixer`.
        channel_mixer: the channel mixer, likewise.
        depth: number of blocks.
        width: channels.
        downsample: 2 halves the map (rounding up) where the stage begins; 1 keeps it.
        begin: where map and width change: "transition": before the first block, by `downsampling`; "block": within it
            (residual forms "plain" and "bottleneck" only), see `macro.py`.
        downsampling: the convolution before the first block, or on its shortcut; 1x1 where only the width changes.
        norm: "batch", "layer" (over channels), "group" (one group over channels and positions).
        act: activation of the channel mixer.
        residual: the residual form of the blocks, see `macro.py`.
        layer_scale: initial value of a learned scale for each channel of each residual branch; None: no scale.
        squeeze_excite: a gate behind each channel mixer; None: no gate.
    """

    mixer: AnyMixer
    channel_mixer: AnyChannelMixer = CHANNEL_MIXERS["mlp"]()
    depth: Positive = 2
    width: Positive = 64
    downsample: Stride = 1
    begin: Begin = "transition"
    downsampling: Downsampling = Downsampling()
    norm: Norm = "batch"
    act: Activation = "gelu"
    residual: Residual = "pre_norm"
    layer_scale: Annotated[float, Field(gt=0)] | None = None
    squeeze_excite: SqueezeExcite | None = None

    @model_validator(mode="after")
    def _has_branches(self) -> Stage:
        if self.layer_scale is not None and not BRANCHES[self.residual]:
            rule = f"must be null for residual {self.residual!r}, which has no residual branch"
            raise ArchitectureError("layer_scale", rule, self.layer_scale)
        return self

    @model_validator(mode="after")
    def _has_a_form(self) -> Stage:
        if self.residual == "bottleneck":
            try:
                blocks.pair_of(self.channel_mixer)
            except SpaceError as error:
                raise error.at("channel_mixer") from None
        if self.begin == "block":
            if self.residual not in CHANGING:
                rule = f"must be 'transition' for residual {self.residual!r} (a block of {' or '.join(CHANGING)} can change)"
                raise ArchitectureError("begin", rule, self.begin)
            if not CHANGING[self.residual]:
                object.__setattr__(self, "downsampling", Downsampling())  # there is none: one spelling
        return self

    def size_after(self, size: Size) -> Size:
        """The map size of the stage, given that of the one before."""
        return blocks.halved(size, self.downsample)

    def shape(self, stage_input: MapShape) -> BlockShape:
        """Width and map before and after the stage as a whole, given those that come in."""
        return BlockShape(stage_input.width, self.width, stage_input.size, self.downsample)

    def block_shapes(self, stage_input: MapShape) -> tuple[BlockShape, ...]:
        """Width and map before and after each block, given those that come into the stage."""
        first, *rest = blocks.sites(self.begin, self.depth, self.shape(stage_input))
        return (first, *(rest or [first]) * (self.depth - 1))

    def layers(self, shape: BlockShape) -> tuple[Layer, ...]:
        """The layers of a block of `shape` that mix channels, in order, shortcuts apart."""
        return blocks.layers(self, shape)

    def trace(self, x: Map, tape: Tape) -> Map:
        """Write on `tape` what the stage does to `x`, its downsampling included; the map that comes out."""
        shapes = self.block_shapes(MapShape(x.width, x.size))
        if self.has_transition(x.width):
            x = self.downsampling.trace(x, tape, self.width, self.norm, self.downsample)
        return forms.trace(self, shapes, x, tape)

    def has_transition(self, width_before: int) -> bool:
        """True if something stands before the first block: the map or the width changes, and not within the block."""
        return self.begin == "transition" and (self.downsample == 2 or width_before != self.width)


class Architecture(Value):
    """A vision backbone with its classifier.

    Args:
        stages: one to any number of stages.
        stem: how pixels become tokens.
        head: how the last map becomes classes.
        image_size: (height, width) in pixels; one number for a square.
        in_chans: channels of the image.
        num_classes: classes of the head.

    Raises:
        ArchitectureError: something does not fit; the error names the place, the rule and the value.
    """

    stages: Annotated[tuple[Stage, ...], Strict(False), Field(min_length=1)]
    stem: Stem = Stem()
    head: Head = Head()
    image_size: ImageSize = (32, 32)
    in_chans: Positive = 3
    num_classes: Positive = 10

    FORMAT: ClassVar[str] = "mixfront architecture"

    @model_validator(mode="after")
    def _fits(self) -> Architecture:
        for side in self.image_size:
            if side < self.stem.patch or side % self.stem.patch:
                height, width = self.image_size
                raise ArchitectureError("stem.patch", f"must divide the image {height}x{width}", self.stem.patch)
        try:
            self.stem.check(self.stages[0].width)
        except SpaceError as error:
            raise error.at("stem") from None
        stages = tuple(
            checked(stage, *before, f"stages[{index}]")
            for index, (stage, before) in enumerate(zip(self.stages, self.stage_inputs, strict=True))
        )
        object.__setattr__(self, "stages", stages)
        if self.head.kind == stages[-1].norm:
            object.__setattr__(self, "head", self.head.replace(kind=None))  # one spelling
        return self

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The map size (height, width) of each stage."""
        return tuple(stage.size_after(size) for stage, (_, size) in zip(self.stages, self.stage_inputs, strict=True))

    @cached_property
    def stage_inputs(self) -> tuple[MapShape, ...]:
        """Channels and map size (height, width) of the input of each stage; of the first, the output of the stem."""
        width = self.stem.width(self.stages[0].width)
        size = (self.image_size[0] // self.stem.patch, self.image_size[1] // self.stem.patch)
        inputs = []
        for stage in self.stages:
            inputs.append(MapShape(width, size))
            width, size = stage.width, stage.size_after(size)
        return tuple(inputs)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits: equal architectures, and only they, have equal ids, also in later releases.

        A digest of what differs from the defaults, so that a further option does not change the ids there are.
        """
        text = json.dumps(self.essence(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The canonical form as plain JSON values, every option spelled out."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The canonical form as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def to_yaml(self) -> str:
        """The canonical form as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, data: object) -> Architecture:
        """The architecture that `data` (as `to_dict` gives it; defaults may be left out) describes."""
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise ArchitectureError("", "an architecture must be a mapping", data)
        return cls(**data)

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The architecture that the JSON `text` describes."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ArchitectureError(f"{error.lineno}:{error.colno}", f"not JSON: {error.msg}") from None
        return cls.from_dict(data)

    @classmethod
    def from_yaml(cls, text: str) -> Architecture:
        """The architecture that the YAML `text` describes."""
        try:
            data = yaml_text.load(text)
        except yaml.YAMLError as error:
            raise ArchitectureError("", f"not YAML: {error}") from None
        return cls.from_dict(data)

    @classmethod
    def from_file(cls, path: str | Path) -> Architecture:
        """The architecture in the YAML file `path`; errors name the file."""
        text = Path(path).read_text(encoding="utf-8")
        try:
            return cls.from_yaml(text)
        except SpaceError as error:
            raise error.in_file(path) from None


def checked(stage: Stage, width_before: int, size_before: Size, place: str = "") -> Stage:
    """The canonical spelling of `stage` where `width_before` channels and a map of `size_before` come in.

    Raises:
        SpaceError: a mixer does not fit, or a block does not reach every channel; the error names the place below `place`.
    """
    entry = stage.shape(MapShape(width_before, size_before))
    if stage.begin == "block" and not entry.changes:
        stage = stage.replace(begin="transition", downsampling=Downsampling())  # nothing changes: one spelling
    where = blocks.sites(stage.begin, stage.depth, entry)
    try:
        mixer = blocks.check(stage.residual, stage.mixer, stage.channel_mixer, where)
    except SpaceError as error:
        raise error.at(place) from None
    return stage if mixer == stage.mixer else stage.replace(mixer=mixer)
