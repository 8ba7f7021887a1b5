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
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BeforeValidator, Field, PlainSerializer, Strict, model_validator

from search_space import costs, yaml_text
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixer
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError, SpaceError
from search_space.macro import (
    BRANCHES,
    NORMS,
    Activation,
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
from search_space.mixers.base import graph_of
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
        downsample: 2 halves the map (rounding up) where the stage begins, by `downsampling`; 1 keeps it, and where the
            width changes the same with a 1x1 convolution stands.
        downsampling: how.
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

    def size_after(self, size: Size) -> Size:
        """The map size of the stage, given that of the one before."""
        return (-(-size[0] // self.downsample), -(-size[1] // self.downsample))

    def cost(self, width_before: int, size: Size) -> Cost:
        """Cost of the stage for one image, its downsampling included; `size` is the stage's map."""
        block = self.mixer.cost(self.width, size) + self.channel_mixer.cost(self.width, size)
        block = block + costs.norm(self.width) * NORMS[self.residual]
        if self.squeeze_excite is not None:
            block = block + self.squeeze_excite.cost(self.width)
        if self.layer_scale is not None:
            block = block + Cost(params=self.width * BRANCHES[self.residual])
        total = block * self.depth
        if self.has_transition(width_before):
            total = total + self.downsampling.cost(width_before, self.width, size, self.downsample)
        return total

    def has_transition(self, width_before: int) -> bool:
        """True if something stands before the first block: the map or the width changes."""
        return self.downsample == 2 or width_before != self.width


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
        stages = tuple(
            checked(stage, size, f"stages[{index}]")
            for index, (stage, size) in enumerate(zip(self.stages, self.sizes, strict=True))
        )
        object.__setattr__(self, "stages", stages)
        if self.head.kind == stages[-1].norm:
            object.__setattr__(self, "head", self.head.changed(kind=None))  # one spelling
        return self

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The map size (height, width) of each stage."""
        size = (self.image_size[0] // self.stem.patch, self.image_size[1] // self.stem.patch)
        sizes = []
        for stage in self.stages:
            size = stage.size_after(size)
            sizes.append(size)
        return tuple(sizes)

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


def checked(stage: Stage, size: Size, place: str = "") -> Stage:
    """The canonical spelling of `stage` on a map of `size`.

    Raises:
        SpaceError: a mixer does not fit, or a block does not reach every channel; the error names the place below `place`.
    """
    try:
        stage.mixer.check(stage.width, size)
    except SpaceError as error:
        raise error.at(f"{place}.mixer" if place else "mixer") from None
    try:
        stage.channel_mixer.check(stage.width)
        stage.channel_mixer.check_reach(stage.width, graph_of(stage.mixer, stage.width))
    except SpaceError as error:
        raise error.at(f"{place}.channel_mixer" if place else "channel_mixer") from None
    canonical = stage.mixer.canonical(stage.width, size)
    return stage if canonical == stage.mixer else stage.changed(mixer=canonical)
