"""Where the blocks of a stage stand, and what fits there; no torch.

The blocks of a stage are alike but for the first, which may change width and map itself (`Stage.begin`): it stands at
another site than those behind it, and the stage's mixers must fit both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from search_space.channel_graph import ChannelGraph, Layer
from search_space.channel_mixers import ChannelMixer
from search_space.channel_mixers.mlp import MLPSpec
from search_space.costs import Size
from search_space.errors import ArchitectureError, SpaceError
from search_space.macro import Begin, Residual, Stride
from search_space.mixers import Mixer
from search_space.mixers.base import graph_of

if TYPE_CHECKING:
    from search_space.architecture import Stage


class MapShape(NamedTuple):
    """Channels and map size (height, width)."""

    width: int
    size: Size


class BlockShape(NamedTuple):
    """Where a block stands.

    Args:
        width_before, width: channels that come in and go out.
        size_before: the map that comes in.
        stride: 2 halves it, rounding up.
    """

    width_before: int
    width: int
    size_before: Size
    stride: Stride = 1

    @property
    def size(self) -> Size:
        """The map that goes out."""
        return halved(self.size_before, self.stride)

    @property
    def changes(self) -> bool:
        """True if what goes out has another shape than what comes in."""
        return self.stride == 2 or self.width != self.width_before


def halved(size: Size, stride: Stride) -> Size:
    """The map behind a `stride`."""
    return (-(-size[0] // stride), -(-size[1] // stride))


def sites(begin: Begin, depth: int, entry: BlockShape) -> tuple[BlockShape, ...]:
    """The distinct sites of a stage's `depth` blocks, the last block's last; `entry`: what the stage as a whole changes."""
    rest = BlockShape(entry.width, entry.width, entry.size)
    if begin == "transition" or not entry.changes:
        return (rest,)
    return (entry,) if depth == 1 else (entry, rest)


def spot(residual: Residual, channel_mixer: ChannelMixer, site: BlockShape) -> MapShape:
    """Where the token mixer of a block works; its map is the one that comes in."""
    if residual == "bottleneck":
        return MapShape(pair_of(channel_mixer).hidden(site.width), site.size_before)
    return MapShape(site.width_before, site.size_before)


def pair_of(channel_mixer: ChannelMixer) -> MLPSpec:
    """The channel mixer as two layers that a token mixer can stand between.

    Raises:
        ArchitectureError: it is another.
    """
    if not isinstance(channel_mixer, MLPSpec):
        rule = "must be mlp for residual 'bottleneck', whose token mixer stands between its two layers"
        raise ArchitectureError("", rule, channel_mixer.name)
    return channel_mixer


def canonical(mixer: Mixer, spots: Sequence[MapShape]) -> Mixer:
    """The one spelling of a token mixer that works at `spots`; it is the same function as `mixer` at each of them."""
    spellings = [mixer.canonical(width, size) for width, size in spots]
    for one in reversed(spellings):
        if all(one.canonical(*where) == spelled for where, spelled in zip(spots, spellings, strict=True)):
            return one
    return mixer


def check(residual: Residual, mixer: Mixer, channel_mixer: ChannelMixer, where: Sequence[BlockShape]) -> Mixer:
    """The canonical spelling of `mixer` in blocks that stand at the sites `where`.

    Raises:
        SpaceError: a mixer does not fit, or a block does not reach every channel.
    """
    with _below("channel_mixer"):
        check_channel_mixer(residual, channel_mixer, where)
    spots = [spot(residual, channel_mixer, site) for site in where]
    with _below("mixer"):
        check_mixer(mixer, spots)
    with _below("channel_mixer"):
        check_reaches(residual, [graph_of(mixer, width) for width, _ in spots], channel_mixer, where)
    return canonical(mixer, spots)


@contextmanager
def _below(place: str) -> Iterator[None]:
    try:
        yield
    except SpaceError as error:
        raise error.at(place) from None


def check_channel_mixer(residual: Residual, channel_mixer: ChannelMixer, where: Sequence[BlockShape]) -> None:
    """Raise `SpaceError` if the channel mixer does not fit the sites `where`, or not the residual form."""
    if residual == "bottleneck":
        pair_of(channel_mixer)
    for site in where:
        channel_mixer.check(site.width_before, site.width)


def check_mixer(mixer: Mixer, spots: Sequence[MapShape]) -> None:
    """Raise `SpaceError` if the token mixer does not fit one of `spots`."""
    for width, size in spots:
        mixer.check(width, size)


def check_reaches(
    residual: Residual, graphs: Sequence[ChannelGraph], channel_mixer: ChannelMixer, where: Sequence[BlockShape]
) -> None:
    """Raise `SpaceError` if a block does not reach every channel; the token mixer has one of `graphs` at each site."""
    for graph, site in zip(graphs, where, strict=True):
        if residual == "bottleneck":
            pair_of(channel_mixer).check_reach_around(site.width_before, graph, site.width)
        else:
            channel_mixer.check_reach(site.width_before, graph, site.width)


def layers(stage: Stage, site: BlockShape) -> tuple[Layer, ...]:
    """The layers of a block that mix channels, in order, shortcuts apart."""
    width, _ = spot(stage.residual, stage.channel_mixer, site)
    mixing, others = stage.mixer.layers(width), stage.channel_mixer.layers(site.width_before, site.width)
    return (*others[:-1], *mixing, others[-1]) if stage.residual == "bottleneck" else (*mixing, *others)


def at_spot(stage: Stage, where: MapShape) -> Mixer:
    """The token mixer of a `stage` in the spelling of one of its spots."""
    return _spelled(stage.mixer, where) if stage.begin == "block" else stage.mixer


@lru_cache(maxsize=4096)
def _spelled(mixer: Mixer, where: MapShape) -> Mixer:
    return mixer.canonical(*where)
