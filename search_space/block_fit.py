"""Which mixers fit the blocks of a stage, and the canonical form of a token mixer there.

The blocks of a stage have one shape, but for the first where it changes map and width itself; the mixers must fit both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from search_space.channel_graph import ChannelGraph
from search_space.channel_mixers import ChannelMixerSpec
from search_space.errors import SpaceError
from search_space.mixers import TokenMixerSpec
from search_space.mixers.base import channel_graph_of
from search_space.residual_forms.base import ResidualForm
from search_space.shapes import BlockShape, MapShape


@lru_cache(maxsize=16384)  # a search builds many architectures that share stages
def fit_token_mixer(
    form: ResidualForm,
    token_mixer: TokenMixerSpec,
    channel_mixer: ChannelMixerSpec,
    block_shapes: tuple[BlockShape, ...],
) -> TokenMixerSpec:
    """The canonical form of `token_mixer` in blocks of `block_shapes`; cached.

    Raises:
        SpaceError: a mixer does not fit, or some output of a block does not depend on every input channel.
    """
    with _within("channel_mixer"):
        check_channel_mixer(form, channel_mixer, block_shapes)
    inputs = [form.token_mixer_shape(channel_mixer, shape) for shape in block_shapes]
    with _within("mixer"):
        check_token_mixer(token_mixer, inputs)
    with _within("channel_mixer"):
        graphs = [channel_graph_of(token_mixer, width) for width, _ in inputs]
        check_reach(form, graphs, channel_mixer, block_shapes)
    return canonical_token_mixer(token_mixer, inputs)


@contextmanager
def _within(place: str) -> Iterator[None]:
    try:
        yield
    except SpaceError as error:
        raise error.at(place) from None


def check_channel_mixer(
    form: ResidualForm, channel_mixer: ChannelMixerSpec, block_shapes: Sequence[BlockShape]
) -> None:
    """Raise `SpaceError` if the channel mixer does not fit the residual form or one of `block_shapes`."""
    for shape in block_shapes:
        form.check_channel_mixer(channel_mixer, shape)


def check_token_mixer(token_mixer: TokenMixerSpec, inputs: Sequence[MapShape]) -> None:
    """Raise `SpaceError` if the token mixer does not fit one of the shapes of its `inputs`."""
    for width, size in inputs:
        token_mixer.check(width, size)


def check_reach(
    form: ResidualForm,
    graphs: Sequence[ChannelGraph],
    channel_mixer: ChannelMixerSpec,
    block_shapes: Sequence[BlockShape],
) -> None:
    """Raise `SpaceError` if an output of a block misses an input channel; the token mixers of the blocks have `graphs`."""
    for graph, shape in zip(graphs, block_shapes, strict=True):
        form.check_reach(graph, channel_mixer, shape)


def canonical_token_mixer(token_mixer: TokenMixerSpec, inputs: Sequence[MapShape]) -> TokenMixerSpec:
    """The canonical form of a token mixer with inputs of several shapes; the same function as `token_mixer` for each."""
    forms = [token_mixer.canonical(width, size) for width, size in inputs]
    for candidate in reversed(forms):
        if all(candidate.canonical(*shape) == form for shape, form in zip(inputs, forms, strict=True)):
            return candidate
    return token_mixer


@lru_cache(maxsize=4096)
def canonical_at(token_mixer: TokenMixerSpec, shape: MapShape) -> TokenMixerSpec:
    """The canonical form of a token mixer whose input has `shape`; cached."""
    return token_mixer.canonical(*shape)
