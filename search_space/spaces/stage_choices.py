"""The choices in each stage of a search space, and which of them fit the shapes of its blocks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from search_space.block_fit import check_channel_mixer, check_reach
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixerSpec
from search_space.downsampling import DownsamplingSpec
from search_space.errors import SpaceError
from search_space.field_types import Activation, Begin, Depth, Stride, Width
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.norm import Norm
from search_space.residual_forms import RESIDUAL_FORMS
from search_space.residual_forms.base import ResidualName
from search_space.shapes import BlockShape, MapShape, distinct_block_shapes
from search_space.spaces.choices import Choices, EachOnce, Options, mixer_choices
from search_space.spaces.token_mixer_choices import TokenMixerChoices
from search_space.squeeze_excite import SqueezeExciteSpec
from search_space.stage import Stage
from search_space.value import Value


class StageForm(NamedTuple):
    """A residual form, where a stage changes its map, its depth, and the distinct shapes of its blocks."""

    residual: str
    begin: Begin
    depth: int
    block_shapes: tuple[BlockShape, ...]


class StageChoices(Value):
    """The choices in a stage; each field as in `Stage`, a list where there is a choice.

    `downsample` is a choice of the layout "pyramid" only; None: 1 in the first stage, 2 in all others.
    """

    mixer: Annotated[dict[str, Options], mixer_choices(MIXERS)]
    channel_mixer: Annotated[dict[str, Options], mixer_choices(CHANNEL_MIXERS)] = {"mlp": {}}  # noqa: RUF012 (pydantic copies defaults)
    depth: Annotated[tuple[Depth, ...], *Choices] = (2,)
    width: Annotated[tuple[Width, ...], *Choices] = (64,)
    norm: Annotated[tuple[Norm, ...], *Choices, EachOnce] = ("batch",)
    act: Annotated[tuple[Activation, ...], *Choices] = ("gelu",)
    downsample: Annotated[tuple[Stride, ...], *Choices] | None = None
    begin: Annotated[tuple[Begin, ...], *Choices] = ("transition",)
    residual: Annotated[tuple[ResidualName, ...], *Choices] = ("pre_norm",)
    layer_scale: Annotated[tuple[Annotated[float, Field(gt=0)] | None, ...], *Choices] = (None,)
    downsampling: Annotated[tuple[DownsamplingSpec, ...], *Choices] = (DownsamplingSpec(),)
    squeeze_excite: Annotated[tuple[SqueezeExciteSpec | None, ...], *Choices] = (None,)

    @cached_property
    def token_mixers(self) -> TokenMixerChoices:
        """The token mixers to choose from."""
        return TokenMixerChoices(self.mixer)

    @property
    def independent_fields(self) -> tuple[str, ...]:
        """The fields whose choices do not depend on other choices."""
        return ("norm", "act", "squeeze_excite")

    def strides(self, index: int, layout: str) -> tuple[Stride, ...]:
        """The strides to choose from where this is stage `index`."""
        if layout == "isotropic":
            return (1,)
        return self.downsample or ((1,) if index == 0 else (2,))

    def forms(self, shape: BlockShape) -> tuple[StageForm, ...]:
        """The valid combinations of residual form, `begin` and depth for a stage of `shape`."""
        return tuple(
            StageForm(residual, begin, depth, distinct_block_shapes(begin, depth, shape))
            for residual in self.residual
            if self.layer_scales(residual)
            for begin in self._begins(residual, shape)
            for depth in self.depth
        )

    def _begins(self, residual: str, shape: BlockShape) -> tuple[Begin, ...]:
        if not shape.is_changing:
            return ("transition",)
        may_change = RESIDUAL_FORMS[residual].may_change_shape
        return tuple(begin for begin in self.begin if begin == "transition" or may_change)

    def layer_scales(self, residual: str) -> tuple[float | None, ...]:
        """The layer scales to choose from with a residual form."""
        branches = RESIDUAL_FORMS[residual].branches
        return tuple(scale for scale in self.layer_scale if scale is None or branches)

    def downsamplings(self, form: StageForm, shape: BlockShape) -> tuple[DownsamplingSpec, ...]:
        """The downsamplings to choose from in a stage of `form` and `shape`; where there is none, only the default."""
        has_shortcut = RESIDUAL_FORMS[form.residual].has_downsampling_shortcut
        has_downsampling = shape.is_changing and (form.begin == "transition" or has_shortcut)
        return self.downsampling if has_downsampling else (DownsamplingSpec(),)

    def mixer_pairs(
        self, residual: str, block_shapes: Sequence[BlockShape]
    ) -> dict[TokenMixerSpec, tuple[ChannelMixerSpec, ...]]:
        """The distinct canonical token mixers that fit blocks of `block_shapes`, each with the channel mixers that fit it.

        Both in the order of their choices; the two together reach every channel.
        """
        form = RESIDUAL_FORMS[residual]
        by_inputs = self._channel_mixers_by_inputs(residual, block_shapes)
        width = block_shapes[-1].width
        fitting = [(fit, inputs) for inputs in by_inputs for fit in self.token_mixers.fitting(width, inputs)]
        pairs: dict[TokenMixerSpec, dict[ChannelMixerSpec, None]] = {}
        reaching: dict[Hashable, dict[ChannelMixerSpec, None]] = {}
        for fit, inputs in sorted(fitting, key=lambda pair: pair[0].choice):
            key = inputs, fit.graph_numbers
            if key not in reaching:
                reaching[key] = {
                    channel_mixer: None
                    for channel_mixer in by_inputs[inputs]
                    if _passes(check_reach, form, fit.graphs, channel_mixer, block_shapes)
                }
            if reaching[key]:
                pairs.setdefault(fit.mixer, {}).update(reaching[key])
        return {mixer: tuple(channel_mixers) for mixer, channel_mixers in pairs.items()}

    def _channel_mixers_by_inputs(
        self, residual: str, block_shapes: Sequence[BlockShape]
    ) -> dict[tuple[MapShape, ...], list[ChannelMixerSpec]]:
        """The channel mixers that fit the blocks, by the shapes of the inputs that the token mixers have with them."""
        form = RESIDUAL_FORMS[residual]
        by_inputs: dict[tuple[MapShape, ...], list[ChannelMixerSpec]] = {}
        for mixer in self._channel_mixer_variants(block_shapes[-1]):
            if _passes(check_channel_mixer, form, mixer, block_shapes):
                inputs = tuple(form.token_mixer_shape(mixer, shape) for shape in block_shapes)
                by_inputs.setdefault(inputs, []).append(mixer)
        return by_inputs

    def _channel_mixer_variants(self, shape: BlockShape) -> list[ChannelMixerSpec]:
        return [
            mixer
            for name, options in self.channel_mixer.items()
            for mixer in CHANNEL_MIXERS[name].variants(options, shape.width_before, shape.width)
        ]

    def first_error(self, shape: BlockShape) -> SpaceError | None:
        """The first reason why a choice does not fit a stage of `shape`, to explain an empty space."""
        for residual, begin, depth in itertools.product(self.residual, self.begin, self.depth):
            block_shapes = distinct_block_shapes(begin, depth, shape)
            for channel_mixer in self._channel_mixer_variants(block_shapes[-1]):
                for mixer in self.token_mixers.variants(shape.width):
                    fields = {"residual": residual, "begin": begin, "depth": depth, "width": shape.width}
                    error = _error({"mixer": mixer, "channel_mixer": channel_mixer, **fields}, shape)
                    if error is not None:
                        return error
        return None


def _passes(check: Callable[..., object], *arguments: object) -> bool:
    try:
        check(*arguments)
    except SpaceError:
        return False
    return True


def _error(fields: dict[str, Any], shape: BlockShape) -> SpaceError | None:
    try:
        Stage(downsample=shape.stride, **fields).canonical(MapShape(shape.width_before, shape.size_before))
    except SpaceError as error:
        return error
    return None
