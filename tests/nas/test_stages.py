"""An architecture told in words: sizes worked out by hand, options whatever they are."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.stages import Box, blocks_of, boxes, mixers, options_text

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
