"""Architectures described part by part: presets and a pyramid against values worked out by hand, and unknown architectures."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nas.analysis.architecture_text import PartText, block_counts, describe, mixer_names, options_text
from search_space import Architecture, presets

PYRAMID = Architecture.from_dict(
    {
        "image_size": [30, 44],
        "in_chans": 3,
        "num_classes": 5,
        "stem": {"patch": 2, "pos_embed": True, "act": "gelu", "norm": "batch"},
        "head": {"norm": "before", "kind": "layer"},
        "stages": [
            {"mixer": "pool", "depth": 2, "width": 32},
            {
                "mixer": {"name": "attention", "heads": 4},
                "channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [4, 2]},
                "depth": 3,
                "width": 64,
                "downsample": 2,
                "norm": "layer",
                "layer_scale": 1e-5,
            },
            {"mixer": "pool", "depth": 1, "width": 96, "downsampling": {"norm": "after", "bias": False}},
            {"mixer": "pool", "depth": 1, "width": 96, "downsample": 2, "squeeze_excite": {"reduction": 8}},
        ],
    }
).to_dict()


def parts_of(preset: str) -> tuple[PartText, ...]:
    text = describe(presets.get(preset).to_dict())
    assert text.note == ""
    return text.parts


def test_a_pyramid_with_odd_maps() -> None:
    image, stem, first, second, third, fourth, head = describe(PYRAMID).parts
    assert image == PartText("image", "30 × 44 × 3")
    assert stem == PartText(
        "stem", "15 × 22 × 32", (("conv", "k 2, stride 2, 3 → 32, gelu, batch norm"), ("position embedding", ""))
    )
    assert (first.shape, first.depth, first.mixer, first.transition) == ("15 × 22 × 32", 2, "pool", "")
    assert first.notes == "batch norm · gelu · residual form pre_norm"
    assert second.shape == "8 × 11 × 64"  # halved and rounded up
    assert second.transition == "downsampling: conv k 3, stride 2, 32 → 64, layer norm before"
    assert second.layers[0][0] == "attention"
    assert second.layers[0][1].startswith("heads 4, ")
    assert second.layers[1] == ("mlp", "expansion 2, groups 4 × 2, bias yes")
    assert second.depth == 3
    assert second.notes == "layer norm · gelu · residual form pre_norm · layer scale 1e-05"
    assert third.shape == "8 × 11 × 96"
    assert third.transition == "change of width: conv k 1, stride 1, 64 → 96, no bias, batch norm after"
    assert fourth.shape == "4 × 6 × 96"
    assert fourth.notes.endswith("squeeze-excite (reduction 8)")
    assert head == PartText("head", "5 classes", (("layer norm", ""), ("average pool", ""), ("linear", "96 → 5")))


def test_clcnet_has_a_stem_of_half_the_width_and_no_norm_in_its_head() -> None:
    image, stem, *stages, head = parts_of("clcnet_a")
    assert image.shape == "224 × 224 × 3"
    assert stem.shape == "112 × 112 × 32"
    assert stem.layers == (("conv", "k 3, stride 2, 3 → 32, no bias, batch norm, relu"),)
    assert [stage.shape for stage in stages] == [
        "112 × 112 × 64", "56 × 56 × 128", "28 × 28 × 256", "14 × 14 × 512", "7 × 7 × 1024",
    ]  # fmt: skip
    assert [stage.depth for stage in stages] == [1, 2, 2, 6, 3]
    assert stages[0].transition == "first block: 112 × 112 × 32 → 112 × 112 × 64"
    assert stages[1].transition == "first block: 112 × 112 × 64 → 56 × 56 × 128"
    assert stages[0].notes == "batch norm · relu · residual form plain"
    assert head == PartText("head", "1000 classes", (("average pool", ""), ("linear", "1024 → 1000")))


def test_poolformer_has_its_last_norm_after_the_pooling() -> None:
    _, stem, first, second, *_, head = parts_of("poolformer_s12")
    assert stem == PartText("stem", "56 × 56 × 64", (("conv", "k 7, stride 4, 3 → 64"),))
    assert (first.shape, first.transition) == ("56 × 56 × 64", "")
    assert (second.shape, second.transition) == ("28 × 28 × 128", "downsampling: conv k 3, stride 2, 64 → 128")
    assert head.layers == (("average pool", ""), ("layer norm", ""), ("linear", "512 → 1000"))


def test_lambda_resnet_has_a_tiered_stem_with_pooling_and_shortcuts() -> None:
    image, stem, *stages, head = parts_of("lambda_resnet26t")
    assert image.shape == "256 × 256 × 3"
    assert stem.shape == "64 × 64 × 64"
    assert stem.layers == (
        ("conv", "k 3, stride 2, 3 → 24, no bias, batch norm, relu"),
        ("conv", "k 3, stride 1, 24 → 32, no bias, batch norm, relu"),
        ("conv", "k 3, stride 1, 32 → 64, no bias, batch norm, relu"),
        ("max pool", "k 3, stride 2"),
    )
    assert [stage.shape for stage in stages] == [
        "64 × 64 × 256", "32 × 32 × 512", "16 × 16 × 1024", "16 × 16 × 1024", "8 × 8 × 2048",
    ]  # fmt: skip
    assert stages[1].transition == (
        "first block: 64 × 64 × 256 → 32 × 32 × 512; shortcut: conv k 1, stride 2, 256 → 512, no bias, batch norm after"
    )
    assert stages[3].transition == ""
    assert [stage.mixer for stage in stages] == ["conv", "conv", "conv", "lambda", "lambda"]
    assert head.layers == (("average pool", ""), ("linear", "2048 → 1000"))


def test_swin_has_norms_on_patches() -> None:
    _, stem, _, second, *_ = parts_of("swin_tiny_patch4_window7")
    assert stem.layers == (("conv", "k 4, stride 4, 3 → 96, layer (eps 1e-05) norm"),)
    assert second.transition == (
        "downsampling: conv k 2, stride 2, 96 → 192, no bias, layer (eps 1e-05) norm on 2 × 2 patches"
    )


@pytest.mark.parametrize("preset", presets.names())
def test_shapes_are_those_of_the_architecture(preset: str) -> None:
    architecture = presets.get(preset)
    _, _, *stages, head = parts_of(preset)
    for part, stage, (height, width) in zip(stages, architecture.stages, architecture.sizes, strict=True):
        assert part.shape == f"{height} × {width} × {stage.width}"
        assert [name for name, _ in part.layers] == [stage.mixer.name, stage.channel_mixer.name]
    assert head.shape == f"{architecture.num_classes} classes"


def test_mixers_and_their_blocks() -> None:
    assert mixer_names(PYRAMID) == ("pool", "attention", "pool", "pool")
    assert block_counts(PYRAMID) == {"pool": 4, "attention": 3}
    assert mixer_names(None) == ()
    assert block_counts(None) == {}


def test_an_unknown_architecture_is_described_from_its_json(architecture: Callable[[int], dict[str, Any]]) -> None:
    newer = architecture(0)
    newer["stages"][0]["mixer"] = {"name": "hyena", "order": 2}
    newer["stages"][0]["gate"] = True
    text = describe(newer)
    assert text.note.startswith("This version does not know this architecture (stages[0].mixer: no such mixer (known: ")
    image, stem, first, second, head = text.parts
    assert image == PartText("image", "8 × 8 × 1")
    assert stem.layers[0][1].startswith("patch 2, pos_embed no, ratio 1")
    assert (first.shape, first.mixer, first.layers[0]) == ("width 16", "hyena", ("hyena", "order 2"))
    assert first.notes.endswith("residual pre_norm, gate yes")
    assert second.depth == 2
    assert head.shape == "10 classes"
    assert mixer_names(newer) == ("hyena", "conv")


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"stages": "of another form"},
        {"stages": [3, {"mixer": "pool", "depth": "deep"}], "stem": "s", "image_size": 8},
    ],
)
def test_json_of_any_form_is_described(plain: dict[str, Any]) -> None:
    text = describe(plain)
    assert text.note
    assert [text.parts[0].title, text.parts[-1].title] == ["image", "head"]
    assert len(mixer_names(plain)) == len(text.parts) - 3
    assert sum(block_counts(plain).values()) == len(text.parts) - 3


def test_options_in_one_line() -> None:
    options = {"k": 5, "groups": "depthwise", "window": None, "sizes": [3, 5], "bias": True, "inner": {"scale": 0.5}}
    assert options_text(options) == "k 5, groups depthwise, sizes 3 × 5, bias yes, inner (scale 0.5)"
    assert options_text({}) == ""
