"""What a residual form is: how a block joins its token mixer and its channel mixer with norms, activations and shortcuts.

`ResidualForm.trace` describes the forward pass of a block once, by calling the layers of a `BlockLayers` on feature maps.
What the layers do there depends on the question: those of `costs.py` record their costs on a tape, those of `operators.py`
collect the operators. Both are derived from the one description.

A stage changes map or width before its first block (`Stage.begin`: "transition") or within it ("block"). Within a block the
token mixer halves the map (by its stride, or by 2x2 means after it where it has none) and the channel mixer changes the width;
the shortcut, where the form has one, is then the stage's downsampling.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from search_space.channel_graph import ChannelGraph, Layer
from search_space.channel_mixers import ChannelMixerSpec
from search_space.mixers import TokenMixerSpec
from search_space.registry import Registry
from search_space.shapes import BlockShape, MapShape
from search_space.tape import FeatureMap


class BlockLayers(ABC):
    """The layers of one block, each a function of feature maps.

    Args:
        shape: the shapes of the block's input and output.
        channel_mixer_spec: the description of the channel mixer, for forms that take it apart.
    """

    __slots__ = ("channel_mixer_spec", "shape")

    def __init__(self, shape: BlockShape, channel_mixer_spec: ChannelMixerSpec) -> None:
        self.shape = shape
        self.channel_mixer_spec = channel_mixer_spec

    @abstractmethod
    def token_mixer(self, x: FeatureMap) -> FeatureMap:
        """The token mixer; it halves the map where the block does."""

    @abstractmethod
    def channel_mixer(self, x: FeatureMap) -> FeatureMap:
        """The channel mixer, to the width of the block's output, and its gate if the stage has one."""

    @abstractmethod
    def part_of_channel_mixer(self, spec: ChannelMixerSpec, x: FeatureMap, width: int) -> FeatureMap:
        """A layer to `width` channels of a channel mixer that the form takes apart."""

    @abstractmethod
    def interlace(self, x: FeatureMap, groups: int) -> FeatureMap:
        """The channel shuffle among `groups`."""

    @abstractmethod
    def norm(self, x: FeatureMap) -> FeatureMap:
        """A norm of the stage's kind."""

    @abstractmethod
    def act(self, x: FeatureMap) -> FeatureMap:
        """The activation of the stage."""

    @abstractmethod
    def gate(self, x: FeatureMap) -> FeatureMap:
        """The squeeze-and-excitation gate of the stage; nothing if it has none."""

    @abstractmethod
    def shortcut(self, x: FeatureMap) -> FeatureMap:
        """The shortcut of a block that may change its map: the stage's downsampling where it does, else the identity."""

    @abstractmethod
    def residual_sum(self, x: FeatureMap, branch: FeatureMap) -> FeatureMap:
        """`x` plus the branch, which is multiplied by the layer scale of the stage if it has one."""


class ResidualForm(ABC):
    """A residual form of a block. Concrete forms are final and have no state.

    Attributes:
        name: the name in `Stage.residual`.
        branches: number of residual branches, each of which a layer scale multiplies.
        may_change_shape: whether a block may change map and width within itself (`Stage.begin`: "block").
    """

    name: ClassVar[str]
    branches: ClassVar[int]
    may_change_shape: ClassVar[bool] = False

    @abstractmethod
    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        """The output of a block of `layers` for the input `x`."""

    @property
    def has_downsampling_shortcut(self) -> bool:
        """True if the shortcut of a block that changes its map is the stage's downsampling."""
        return self.may_change_shape and self.branches > 0

    def check_channel_mixer_kind(self, channel_mixer: ChannelMixerSpec) -> None:
        """Raise `ArchitectureError` if this form cannot have a channel mixer of this kind, whatever the shapes."""
        return

    def token_mixer_shape(self, channel_mixer: ChannelMixerSpec, shape: BlockShape) -> MapShape:
        """The shape of the token mixer's input: that of the block's, for most forms."""
        return MapShape(shape.width_before, shape.size_before)

    def check_channel_mixer(self, channel_mixer: ChannelMixerSpec, shape: BlockShape) -> None:
        """Raise `SpaceError` if the channel mixer does not fit this form or a block of `shape`."""
        channel_mixer.check(shape.width_before, shape.width)

    def check_reach(self, token_mixer: ChannelGraph, channel_mixer: ChannelMixerSpec, shape: BlockShape) -> None:
        """Raise `SpaceError` if some output channel of a block does not depend on every input channel.

        `token_mixer` is the channel graph of the token mixer.
        """
        channel_mixer.check_reach(shape.width_before, token_mixer, shape.width)

    def layers(
        self, token_mixer: TokenMixerSpec, channel_mixer: ChannelMixerSpec, shape: BlockShape
    ) -> tuple[Layer, ...]:
        """The layers of a block that mix channels, in order, without shortcuts."""
        return (
            *token_mixer.layers(shape.width_before),
            *channel_mixer.layers(shape.width_before, shape.width),
        )


RESIDUAL_FORMS: Registry[ResidualForm] = Registry("residual form")


def _check_name(name: str) -> str:
    return RESIDUAL_FORMS.find(name).name


ResidualName = Annotated[str, AfterValidator(_check_name)]
