"""The channel dependencies of blocks in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.analysis.channel_text import block_stacks, path_text, reach_text
from search_space import Architecture, channel_graph as cdg
from search_space.channel_graph import ChannelGraph, Layer, Stack

CLC = {"mixer": {"name": "conv", "k": 3, "groups": 16, "interlace": True}, "channel_mixer": {"name": "pointwise"}}


def stacks_of(*stages: dict[str, Any]) -> tuple[tuple[Stack, ...], ...]:
    return block_stacks(Architecture.from_dict({"stages": list(stages)}).to_dict())


def test_the_path_of_a_block_names_widths_and_groups() -> None:
    channel_mixer = {"name": "mlp", "expansion": 2.0, "groups": [8, 4]}
    ((block,),) = stacks_of({"mixer": {"name": "conv"}, "channel_mixer": channel_mixer, "width": 32})
    assert path_text(block) == "32 -32-> 32 -8-> 64 -interlace-> 64 -4-> 32"
    assert reach_text(block) == "yes (g1*g2 = 8*4 = 32 <= 64)"


def test_an_unknown_architecture_has_no_blocks() -> None:
    assert block_stacks({"stages": [{"mixer": {"name": "hyena"}}]}) == ()


def test_a_first_block_that_changes_the_width_is_a_block_of_its_own() -> None:
    changing = CLC | {"width": 64, "residual": "plain", "begin": "block", "downsample": 2, "depth": 3}
    (only,), (first, other) = stacks_of(CLC | {"width": 32, "residual": "plain"}, changing)
    assert path_text(only) == "32 -16-> 32 -interlace-> 32 -1-> 32"
    assert path_text(first) == "32 -16-> 32 -interlace-> 32 -1-> 64"
    assert path_text(other) == "64 -16-> 64 -interlace-> 64 -1-> 64"


def test_the_reach_of_a_block_is_given_with_its_reason() -> None:
    dense, per_channel = Layer("attention", cdg.dense(8)), Layer("pool", cdg.identity(8))
    assert reach_text(Stack((dense,))) == "yes (attention is dense)"
    assert reach_text(Stack((dense, Layer("fc1", cdg.grouped_layer(8, 8, 4))))) == "yes (g1*g2 = 1*4 = 4 <= 8)"
    assert reach_text(Stack((per_channel, per_channel))) == "no (output 0 misses 7 of 8 inputs)"
    halves = ChannelGraph(np.array([[True, True, False], [False, True, True]]))
    full = ChannelGraph(np.ones((1, 2), np.bool_))
    assert reach_text(Stack((Layer("odd", halves), Layer("even", full)))) == "yes (even is dense)"
