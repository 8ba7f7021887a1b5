"""Blocks as stacks of layers: every mixer's layers compose to its graph, and the closed rule is found where it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from search_space import channel_graph as cdg
from search_space.channel_graph import ChannelGraph, Layer, Pair, Stack
from search_space.channel_mixers import CHANNEL_MIXERS
from search_space.channel_mixers.mlp import MLPSpec
from search_space.channel_mixers.pointwise import PointwiseSpec
from search_space.errors import SpaceError
from search_space.mixers import MIXERS
from search_space.mixers.conv import ConvSpec

WIDTH = 48  # the groups, heads and blocks of all defaults divide it


def stack(*graphs: ChannelGraph) -> Stack:
    return Stack(tuple(Layer(str(number), graph) for number, graph in enumerate(graphs)))


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_the_layers_of_every_mixer_compose_to_its_graph(name: str) -> None:
    mixer = MIXERS[name]()
    assert Stack(mixer.layers(WIDTH)).graph == mixer.graph(WIDTH)


@pytest.mark.parametrize("groups", ["depthwise", 1, 4, 16])
@pytest.mark.parametrize("interlace", [True, False])
def test_the_layers_of_a_convolution(groups: object, interlace: bool) -> None:
    conv = ConvSpec(groups=groups, interlace=interlace)  # type: ignore[arg-type]
    layers = conv.layers(WIDTH)
    assert Stack(layers).graph == conv.graph(WIDTH)
    assert [layer.name for layer in layers] == ["conv", "interlace"][: 1 + interlace]
    assert layers[0].graph.groups == (WIDTH if groups == "depthwise" else groups)


@pytest.mark.parametrize("name", sorted(CHANNEL_MIXERS))
@pytest.mark.parametrize("out", [None, 96])
def test_the_layers_of_every_channel_mixer_compose_to_its_graph(name: str, out: int | None) -> None:
    mixer = CHANNEL_MIXERS[name]()
    assert Stack(mixer.layers(WIDTH, out)).graph == mixer.graph(WIDTH, out)


@pytest.mark.parametrize("groups", [(1, 1), (1, 4), (4, 1), (4, 8), (16, 24)])
def test_the_layers_of_an_mlp(groups: tuple[int, int]) -> None:
    mlp = MLPSpec(expansion=2.0, groups=groups)
    block = Stack(mlp.layers(WIDTH))
    assert block.graph == mlp.graph(WIDTH)
    assert [layer.name for layer in block.layers] == (
        ["fc1", "interlace", "fc2"] if min(groups) > 1 else ["fc1", "fc2"]
    )
    assert block.widths == ((48, 96, 96, 48) if min(groups) > 1 else (48, 96, 48))
    assert Pair(*groups, 96) in block.pairs
    assert block.graph.is_full == Pair(*groups, 96).is_full


def test_the_layers_of_a_pointwise_convolution_in_groups() -> None:
    (layer,) = PointwiseSpec(groups=4).layers(WIDTH, 24)
    assert (layer.name, layer.graph) == ("pointwise", cdg.grouped_layer(WIDTH, 24, 4))


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 5))
def test_the_number_of_groups_is_recovered(groups: int, ins: int, outs: int) -> None:
    assert cdg.grouped_layer(groups * ins, groups * outs, groups).groups == groups


def test_layers_without_groups_of_consecutive_channels_have_no_number_of_groups() -> None:
    assert cdg.interlace_layer(12, 3).groups is None
    assert cdg.identity(4).plus(cdg.permutation((1, 0, 2, 3))).groups is None
    assert ChannelGraph(np.array([[True, True, False], [False, False, True]])).groups is None  # of unequal size


def test_reach_grows_layer_by_layer() -> None:
    # 8 channels: pairs, dealt in turn to 4 places each, then groups of 4: each output sees one channel of every pair.
    block = stack(cdg.grouped_layer(8, 8, 4), cdg.interlace_layer(8, 4), cdg.grouped_layer(8, 4, 2))
    assert block.widths == (8, 8, 8, 4)
    assert [int(graph.matrix.sum(axis=1).max()) for graph in block.reach] == [2, 2, 8]
    assert np.flatnonzero(block.reach[1].matrix[1]).tolist() == [2, 3]
    assert block.graph.is_full


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        (
            stack(cdg.grouped_layer(64, 64, 16), cdg.interlace_layer(64, 16), cdg.grouped_layer(64, 64, 4)),
            Pair(16, 4, 64),
        ),
        (
            stack(cdg.grouped_layer(64, 64, 16), cdg.interlace_layer(64, 16), cdg.grouped_layer(64, 64, 8)),
            None,
        ),  # 128 > 64
        (
            stack(cdg.grouped_layer(64, 64, 16), cdg.interlace_layer(64, 4), cdg.grouped_layer(64, 64, 4)),
            None,
        ),  # other shuffle
        (stack(cdg.grouped_layer(64, 64, 16), cdg.grouped_layer(64, 64, 4)), None),  # not shuffled
        (stack(cdg.identity(32), cdg.dense(32, 128), cdg.dense(128, 32)), Pair(32, 1, 32)),  # depthwise, pointwise
        (
            stack(
                cdg.grouped_layer(8, 16, 4), cdg.interlace_layer(16, 4), cdg.identity(16), cdg.grouped_layer(16, 8, 4)
            ),
            Pair(4, 4, 16),  # ShuffleNet's unit: a depthwise layer between
        ),
        (stack(cdg.identity(4)), None),
    ],
)
def test_the_closed_rule_that_holds_is_found(block: Stack, rule: Pair | None) -> None:
    assert block.rule == rule
    assert block.graph.is_full == (rule is not None)


def test_layers_that_do_not_fit_and_no_layers_are_refused() -> None:
    with pytest.raises(SpaceError, match="a layer of 8 inputs follows one of 4 outputs"):
        stack(cdg.dense(4), cdg.dense(8))
    with pytest.raises(SpaceError, match="layers: must not be empty"):
        Stack(())
