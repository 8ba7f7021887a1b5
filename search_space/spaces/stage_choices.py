"""What may be chosen in each stage of a search space, and which of it fits the widths and the maps of its blocks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from search_space import blocks
from search_space.architecture import Stage, checked
from search_space.blocks import BlockShape, MapShape
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixer
from search_space.errors import SpaceError
from search_space.macro import (
    BRANCHES,
    CHANGING,
    Activation,
    Begin,
    Downsampling,
    Norm,
    Positive,
    Residual,
    SqueezeExcite,
    Stride,
)
from search_space.mixers import MIXERS, Mixer
from search_space.mixers.base import graph_of
from search_space.spaces.choices import Choices, Options, mixer_choices
from search_space.value import Value


class Form(NamedTuple):
    """A residual form, how a stage begins, its depth, and the sites of its blocks."""

    residual: Residual
    begin: Begin
    depth: int
    sites: tuple[BlockShape, ...]


class StageChoices(Value):
    """What may be chosen in a stage; each field as in `Stage`, a list where there is a choice.

    `downsample` is a choice of the layout "pyramid" alone; None: 1 in the first stage, 2 in all others.
    """

    mixer: Annotated[dict[str, Options], mixer_choices(MIXERS)]
    channel_mixer: Annotated[dict[str, Options], mixer_choices(CHANNEL_MIXERS)] = {"mlp": {}}  # noqa: RUF012 (pydantic copies defaults)
    depth: Annotated[tuple[Positive, ...], *Choices] = (2,)
    width: Annotated[tuple[Positive, ...], *Choices] = (64,)
    norm: Annotated[tuple[Norm, ...], *Choices] = ("batch",)
    act: Annotated[tuple[Activation, ...], *Choices] = ("gelu",)
    downsample: Annotated[tuple[Stride, ...], *Choices] | None = None
    begin: Annotated[tuple[Begin, ...], *Choices] = ("transition",)
    residual: Annotated[tuple[Residual, ...], *Choices] = ("pre_norm",)
    layer_scale: Annotated[tuple[Annotated[float, Field(gt=0)] | None, ...], *Choices] = (None,)
    downsampling: Annotated[tuple[Downsampling, ...], *Choices] = (Downsampling(),)
    squeeze_excite: Annotated[tuple[SqueezeExcite | None, ...], *Choices] = (None,)

    @property
    def plain(self) -> tuple[str, ...]:
        """The fields whose choices depend on nothing."""
        return ("norm", "act", "squeeze_excite")

    def strides(self, index: int, layout: str) -> tuple[Stride, ...]:
        """What may happen to the map where this is stage `index`."""
        if layout == "isotropic":
            return (1,)
        return self.downsample or ((1,) if index == 0 else (2,))

    def forms(self, entry: BlockShape) -> tuple[Form, ...]:
        """The residual forms, beginnings and depths that go together, where the stage as a whole changes `entry`."""
        return tuple(
            Form(residual, begin, depth, blocks.sites(begin, depth, entry))
            for residual in self.residual
            if self.layer_scales(residual)
            for begin in self._begins(residual, entry)
            for depth in self.depth
        )

    def _begins(self, residual: Residual, entry: BlockShape) -> tuple[Begin, ...]:
        if not entry.changes:
            return ("transition",)
        return tuple(begin for begin in self.begin if begin == "transition" or residual in CHANGING)

    def layer_scales(self, residual: Residual) -> tuple[float | None, ...]:
        """The layer scales that go with a residual form."""
        return tuple(scale for scale in self.layer_scale if scale is None or BRANCHES[residual])

    def downsamplings(self, form: Form, entry: BlockShape) -> tuple[Downsampling, ...]:
        """The downsamplings of a stage of `form`; where there is nothing to choose, the default alone."""
        stands = entry.changes and (form.begin == "transition" or CHANGING[form.residual])
        return self.downsampling if stands else (Downsampling(),)

    def pairs(self, residual: Residual, where: Sequence[BlockShape]) -> dict[Mixer, tuple[ChannelMixer, ...]]:
        """The distinct token mixers, canonical, that fit blocks at the sites `where`, and the channel mixers with each.

        Both in the order of their choices; the two together reach every channel.
        """
        found: dict[Mixer, dict[ChannelMixer, None]] = {}
        reaching: dict[Hashable, tuple[ChannelMixer, ...]] = {}
        groups = self._channel_mixers_by_spots(residual, where)
        for name, options in self.mixer.items():
            for mixer in MIXERS[name].variants(options, where[-1].width):
                for spots, channel_mixers in groups.items():
                    if not _passes(blocks.check_mixer, mixer, spots):
                        continue
                    graphs = tuple(graph_of(mixer, width) for width, _ in spots)
                    if (spots, graphs) not in reaching:
                        reaching[spots, graphs] = tuple(
                            one for one in channel_mixers if _passes(blocks.check_reaches, residual, graphs, one, where)
                        )
                    if reaching[spots, graphs]:
                        one = blocks.canonical(mixer, spots)
                        found.setdefault(one, {}).update(dict.fromkeys(reaching[spots, graphs]))
        return {mixer: tuple(behind) for mixer, behind in found.items()}

    def _channel_mixers_by_spots(
        self, residual: Residual, where: Sequence[BlockShape]
    ) -> dict[tuple[MapShape, ...], list[ChannelMixer]]:
        """The channel mixers that fit the sites, by where the token mixers work beside them."""
        groups: dict[tuple[MapShape, ...], list[ChannelMixer]] = {}
        for mixer in self._channel_variants(where[-1]):
            if _passes(blocks.check_channel_mixer, residual, mixer, where):
                groups.setdefault(tuple(blocks.spot(residual, mixer, site) for site in where), []).append(mixer)
        return groups

    def _channel_variants(self, site: BlockShape) -> list[ChannelMixer]:
        return [
            mixer
            for name, options in self.channel_mixer.items()
            for mixer in CHANNEL_MIXERS[name].variants(options, site.width_before, site.width)
        ]

    def first_error(self, entry: BlockShape) -> SpaceError | None:
        """Why something does not fit where the stage as a whole changes `entry`, to explain an empty space."""
        for residual, begin, depth in itertools.product(self.residual, self.begin, self.depth):
            where = blocks.sites(begin, depth, entry)
            for channel in self._channel_variants(where[-1]):
                for name, options in self.mixer.items():
                    for mixer in MIXERS[name].variants(options, entry.width):
                        parts = {"residual": residual, "begin": begin, "depth": depth, "width": entry.width}
                        error = _error({"mixer": mixer, "channel_mixer": channel, **parts}, entry)
                        if error is not None:
                            return error
        return None


def _passes(check: Callable[..., object], *arguments: object) -> bool:
    try:
        check(*arguments)
    except SpaceError:
        return False
    return True


def _error(parts: dict[str, Any], entry: BlockShape) -> SpaceError | None:
    try:
        checked(Stage(downsample=entry.stride, **parts), entry.width_before, entry.size_before)
    except SpaceError as error:
        return error
    return None
