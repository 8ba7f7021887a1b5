"""An architecture told in words: sizes worked out by hand, options whatever they are."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nas.analysis.architecture_text import Box, blocks_of, boxes, mixers, options_text, path_text, reach_text, stacks
from search_space import channel_graph as cdg
from search_space.channel_graph import ChannelGraph, Layer, Stack

PYRAMID = {
    "image_size": [30, 48],
    "in_chans": 3,
    "num_classes": 5,
    "stem": {"patch": 2, "pos_embed": False},
    "stages": [
        {"mixer": {"name": "pool"}, "depth": 2, "width": 32, "downsample": 1},
        {
            "mixer": {"name": "attention", "heads": 4, "window": None, "bias": True, "inner": {"k": 3, "scale": 0.5}},
            "channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [4, 2]},
            "depth": 3,
            "width": 64,
            "downsample": 2,
            "norm": "layer",
            "act": "gelu",
            "residual": "pre_norm",
            "layer_scale": 1e-5,
        },
        {"mixer": {"name": "pool"}, "depth": 1, "width": 96, "downsample": 2},
    ],
}


def test_boxes_from_image_to_head() -> None:
    image, stem, first, second, third, head = boxes(PYRAMID)
    assert image == Box("image", "30 × 48 × 3", ())
    assert stem == Box("stem", "15 × 24 × 32", (("", "patch 2, pos_embed no"),))
    assert first == Box("stage 1", "15 × 24 × 32", (("pool", ""),), depth=2, mixer="pool")
    assert second.shape == "8 × 12 × 64"  # halved and rounded up
    assert second.layers == (
        ("attention", "heads 4, bias yes, inner (k 3, scale 0.5)"),
        ("mlp", "expansion 2, groups 4 × 2"),
    )
    assert second.depth == 3
    assert second.notes == "downsampled by 2 · layer norm · gelu · pre norm residual · layer_scale 1e-05"
    assert third.shape == "4 × 6 × 96"
    assert (head.title, head.shape) == ("head", "5 classes")


def test_mixers_and_their_blocks() -> None:
    assert mixers(PYRAMID) == ("pool", "attention", "pool")
    assert blocks_of(PYRAMID) == {"pool": 3, "attention": 3}
    assert mixers(None) == ()
    assert blocks_of(None) == {}


def test_a_stem_may_name_its_kind_and_width(architecture: Callable[[int], dict[str, Any]]) -> None:
    plain = architecture(0)
    plain["stem"] = {"kind": "conv", "stride": 4, "width": 24}
    assert boxes(plain)[1] == Box("stem", "2 × 2 × 24", (("conv", "stride 4"),))


def test_options_are_shown_whatever_they_are() -> None:
    assert (
        options_text({"k": 5, "groups": "depthwise", "window": None, "sizes": [3, 5]})
        == "k 5, groups depthwise, sizes 3 × 5"
    )
    assert options_text({}) == ""


CLC = {"mixer": {"name": "conv", "k": 3, "groups": 16, "interlace": True}, "channel_mixer": {"name": "pointwise"}}


def test_blocks_of_a_stage_are_told_layer_by_layer(architecture: Callable[[int], dict[str, Any]]) -> None:
    stage = {
        "mixer": {"name": "conv"},
        "channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [8, 4]},
        "width": 32,
    }
    ((block,),) = stacks({"stages": [stage]})
    assert path_text(block) == "32 -32-> 32 -8-> 64 -interlace-> 64 -4-> 32"
    assert reach_text(block) == "yes (g1*g2 = 8*4 = 32 <= 64)"
    assert stacks(architecture(0)) == ()  # a description of options that the search space does not know


def test_a_first_block_that_changes_the_width_is_one_of_its_own() -> None:
    stages = [CLC | {"width": 32, "residual": "plain"}]
    stages.append(CLC | {"width": 64, "residual": "plain", "begin": "block", "downsample": 2, "depth": 3})
    (only,), (first, other) = stacks({"stages": stages})
    assert path_text(only) == "32 -16-> 32 -interlace-> 32 -1-> 32"
    assert path_text(first) == "32 -16-> 32 -interlace-> 32 -1-> 64"
    assert path_text(other) == "64 -16-> 64 -interlace-> 64 -1-> 64"


def test_reach_is_told_with_its_reason() -> None:
    dense, alone = Layer("attention", cdg.dense(8)), Layer("pool", cdg.identity(8))
    assert reach_text(Stack((dense,))) == "yes (attention is dense)"
    assert reach_text(Stack((dense, Layer("fc1", cdg.grouped_layer(8, 8, 4))))) == "yes (g1*g2 = 1*4 = 4 <= 8)"
    assert reach_text(Stack((alone, alone))) == "no (output 0 misses 7 of 8 inputs)"
    halves = ChannelGraph(np.array([[True, True, False], [False, True, True]]))
    assert reach_text(Stack((Layer("odd", halves), Layer("even", ChannelGraph(np.ones((1, 2), np.bool_)))))) == (
        "yes (even is dense)"
    )
