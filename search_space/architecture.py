"""An architecture is a value: a stem, stages of like blocks, a linear head. It is valid if it exists.

    image (B, in_chans, H, W)
      stem      patches of `patch` x `patch` pixels -> tokens on a map (H/patch, W/patch)
      stage*    [downsampling] then `depth` blocks of token mixer + channel mixer
      head      norm, global average pool, linear -> (B, num_classes)

The JSON of an architecture spells out every option, so equal architectures have equal JSON, and `id` is a digest of it.
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
from search_space.macro import Activation, Downsample, Norm, Residual
from search_space.mixers import MIXERS, Mixer
from search_space.value import Value


def _size(value: object) -> object:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Positive = Annotated[int, Field(ge=1)]
ImageSize = Annotated[tuple[Positive, Positive], Strict(False), BeforeValidator(_size)]
AnyMixer = Annotated[Mixer, BeforeValidator(MIXERS.parse), PlainSerializer(lambda mixer: mixer.to_dict())]
AnyChannelMixer = Annotated[
    ChannelMixer, BeforeValidator(CHANNEL_MIXERS.parse), PlainSerializer(lambda mixer: mixer.to_dict())
]


class Stem(Value):
    """From pixels to tokens: one convolution with kernel = stride = `patch` (ViT, ConvMixer).

    Args:
        patch: side of a patch in pixels; divides both sides of the image.
        pos_embed: add a learned embedding of each position, which binds the network to its image size.
    """

    patch: Positive = 4
    pos_embed: bool = False

    def cost(self, in_chans: int, width: int, size: Size) -> Cost:
        """Cost for one image; `size` is the map that comes out."""
        embedding = Cost(params=width * size[0] * size[1] if self.pos_embed else 0)
        return costs.conv(in_chans, width, self.patch, size) + embedding


class Stage(Value):
    """`depth` blocks of a token mixer and a channel mixer at one width and map size.

    Args:
        mixer: the token mixer: a name, a mapping with `name` and options, or a `Mixer`.
        channel_mixer: the channel mixer, likewise.
        depth: number of blocks.
        width: channels.
        downsample: 2 halves the map (rounding up) where the stage begins, by a norm and a 3x3 convolution of stride 2;
            1 keeps it, and where the width changes a norm and a 1x1 convolution stand.
        norm: "batch", "layer" (over channels), "group" (one group over channels and positions).
        act: activation of the channel mixer.
        residual: "pre_norm" (two residuals) or "single" (GFNet's one).
        layer_scale: initial value of a learned scale for each channel of each residual branch; None: no scale.
    """

    mixer: AnyMixer
    channel_mixer: AnyChannelMixer = CHANNEL_MIXERS["mlp"]()
    depth: Positive = 2
    width: Positive = 64
    downsample: Downsample = 1
    norm: Norm = "batch"
    act: Activation = "gelu"
    residual: Residual = "pre_norm"
    layer_scale: Annotated[float, Field(gt=0)] | None = None

    def size_after(self, size: Size) -> Size:
        """The map size of the stage, given that of the one before."""
        return (-(-size[0] // self.downsample), -(-size[1] // self.downsample))

    def cost(self, width_before: int, size: Size) -> Cost:
        """Cost of the stage for one image, its downsampling included; `size` is the stage's map."""
        block = (
            self.mixer.cost(self.width, size) + self.channel_mixer.cost(self.width, size) + costs.norm(self.width) * 2
        )
        if self.layer_scale is not None:
            block = block + Cost(params=self.width * self.branches)
        return self.transition_cost(width_before, size) + block * self.depth

    @property
    def branches(self) -> int:
        """Residual branches of a block."""
        return 2 if self.residual == "pre_norm" else 1

    def transition_cost(self, width_before: int, size: Size) -> Cost:
        """Cost of what stands before the first block."""
        if self.downsample == 1 and width_before == self.width:
            return Cost()
        kernel = 3 if self.downsample == 2 else 1
        return costs.norm(width_before) + costs.conv(width_before, self.width, kernel, size)


class Architecture(Value):
    """A vision backbone with its classifier.

    Args:
        stages: one to any number of stages.
        stem: how pixels become tokens.
        image_size: (height, width) in pixels; one number for a square.
        in_chans: channels of the image.
        num_classes: classes of the head.

    Raises:
        ArchitectureError: something does not fit; the error names the place, the rule and the value.
    """

    stages: Annotated[tuple[Stage, ...], Strict(False), Field(min_length=1)]
    stem: Stem = Stem()
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
        """Twelve hexadecimal digits of the canonical form: equal architectures, and only they, have equal ids."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

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
        stage.channel_mixer.check_reach(stage.width, stage.mixer.graph(stage.width))
    except SpaceError as error:
        raise error.at(f"{place}.channel_mixer" if place else "channel_mixer") from None
    canonical = stage.mixer.canonical(stage.width, size)
    return stage if canonical == stage.mixer else stage.changed(mixer=canonical)
