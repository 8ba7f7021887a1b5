"""A stage: equal blocks at one width and map size; see `architecture.py`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from search_space.block_fit import canonical_at, fit_token_mixer
from search_space.channel_graph import Layer
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixerSpec
from search_space.downsampling import DownsamplingSpec
from search_space.errors import ArchitectureError, SpaceError
from search_space.field_types import Activation, Begin, Depth, Stride, Width
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.norm import Norm
from search_space.residual_forms import RESIDUAL_FORMS, ResidualForm
from search_space.residual_forms.base import ResidualName
from search_space.shapes import BlockShape, MapShape, Size, distinct_block_shapes, strided_size
from search_space.squeeze_excite import SqueezeExciteSpec
from search_space.value import Value

AnyTokenMixer = Annotated[TokenMixerSpec, BeforeValidator(MIXERS.parse), PlainSerializer(lambda mixer: mixer.to_dict())]
AnyChannelMixer = Annotated[
    ChannelMixerSpec, BeforeValidator(CHANNEL_MIXERS.parse), PlainSerializer(lambda mixer: mixer.to_dict())
]
DEFAULT_DOWNSAMPLING = DownsamplingSpec()


class Stage(Value):
    """`depth` blocks of a token mixer and a channel mixer at one width and map size.

    Args:
        mixer: the token mixer: a name, a mapping with `name` and options, or a `TokenMixerSpec`.
        channel_mixer: the channel mixer, likewise.
        depth: number of blocks.
        width: channels.
        downsample: 2 halves the map (rounding up) at the beginning of the stage; 1 keeps it.
        begin: where map and width change: "transition": before the first block, by `downsampling`; "block": within the first
            block (residual forms "plain" and "bottleneck" only), see `residual_forms/base.py`.
        downsampling: the convolution before the first block, or on its shortcut; 1x1 where only the width changes.
        norm: "batch", "layer" (over channels), "group" (one group over channels and positions), or a mapping of its `name`
            and `eps`, see `norm.py`.
        act: activation of the blocks.
        residual: the name of the residual form of the blocks, see `residual_forms/`.
        layer_scale: initial value of a learned scale for each channel of each residual branch; None: no scale.
        squeeze_excite: a gate after each channel mixer; None: no gate.
    """

    mixer: AnyTokenMixer
    channel_mixer: AnyChannelMixer = CHANNEL_MIXERS["mlp"]()
    depth: Depth = 2
    width: Width = 64
    downsample: Stride = 1
    begin: Begin = "transition"
    downsampling: DownsamplingSpec = DEFAULT_DOWNSAMPLING
    norm: Norm = "batch"
    act: Activation = "gelu"
    residual: ResidualName = "pre_norm"
    layer_scale: Annotated[float, Field(gt=0)] | None = None
    squeeze_excite: SqueezeExciteSpec | None = None

    @model_validator(mode="after")
    def _check_residual_form(self) -> Stage:
        form = self.residual_form
        if self.layer_scale is not None and not form.branches:
            rule = f"must be null for residual {form.name!r}, which has no residual branch"
            raise ArchitectureError("layer_scale", rule, self.layer_scale)
        try:
            form.check_channel_mixer_kind(self.channel_mixer)
        except SpaceError as error:
            raise error.at("channel_mixer") from None
        if self.begin == "block" and not form.may_change_shape:
            changing = " or ".join(sorted(name for name, form in RESIDUAL_FORMS.items() if form.may_change_shape))
            rule = f"must be 'transition' for residual {form.name!r} (only blocks of {changing} change the map)"
            raise ArchitectureError("begin", rule, self.begin)
        return self

    def canonical_changes(self) -> dict[str, Any]:
        """The default downsampling where there is none: the first block changes the map and has no shortcut."""
        if self.begin == "transition" or self.residual_form.has_downsampling_shortcut:
            return {}
        return {} if self.downsampling == DEFAULT_DOWNSAMPLING else {"downsampling": DEFAULT_DOWNSAMPLING}

    @property
    def residual_form(self) -> ResidualForm:
        """The residual form called `residual`."""
        return RESIDUAL_FORMS[self.residual]

    def size_after(self, size: Size) -> Size:
        """The map size of the stage, given that of the stage before."""
        return strided_size(size, self.downsample)

    def shape(self, stage_input: MapShape) -> BlockShape:
        """The shapes of input and output of the stage as a whole, given that of its input."""
        return BlockShape(stage_input.width, self.width, stage_input.size, self.downsample)

    def block_shapes(self, stage_input: MapShape) -> tuple[BlockShape, ...]:
        """The shapes of input and output of each block, given that of the stage's input."""
        first, *rest = distinct_block_shapes(self.begin, self.depth, self.shape(stage_input))
        return (first, *(rest or [first]) * (self.depth - 1))

    def token_mixer_shape(self, shape: BlockShape) -> MapShape:
        """The shape of the token mixer's input in a block of `shape`."""
        return self.residual_form.token_mixer_shape(self.channel_mixer, shape)

    def canonical_mixer(self, shape: BlockShape) -> TokenMixerSpec:
        """The canonical form of the token mixer in a block of `shape`."""
        return canonical_at(self.mixer, self.token_mixer_shape(shape)) if self.begin == "block" else self.mixer

    def layers(self, shape: BlockShape) -> tuple[Layer, ...]:
        """The layers of a block of `shape` that mix channels, in order, without shortcuts."""
        return self.residual_form.layers(self.mixer, self.channel_mixer, shape)

    def has_transition(self, width_before: int) -> bool:
        """True if the map or the width changes before the first block, by the stage's downsampling."""
        return self.begin == "transition" and (self.downsample == 2 or width_before != self.width)

    def canonical(self, stage_input: MapShape) -> Stage:
        """The canonical form of this stage for an input of this shape.

        Raises:
            SpaceError: a mixer does not fit, or some output of a block does not depend on every input channel.
        """
        shape, stage = self.shape(stage_input), self
        if stage.begin == "block" and not shape.is_changing:
            stage = stage.replace(begin="transition", downsampling=DEFAULT_DOWNSAMPLING)
        shapes = distinct_block_shapes(stage.begin, stage.depth, shape)
        mixer = fit_token_mixer(stage.residual_form, stage.mixer, stage.channel_mixer, shapes)
        return stage if mixer == stage.mixer else stage.replace(mixer=mixer)
