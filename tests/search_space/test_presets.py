"""The named architectures have the published numbers of parameters and multiply-adds, build, and are points of a search space."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from preset_cases import SMALL
from torch import nn

from search_space import Architecture, Cost, SearchSpace, build, cost, presets
from search_space.errors import UnknownSpaceNameError

# Millions of parameters to the digits shown, and billions of multiply-adds (Fourier transforms apart).
PUBLISHED: dict[str, tuple[str, float]] = {
    "convmixer_1536_20": ("51.63", 51.10),
    "convmixer_768_32": ("21.11", 20.68),
    "convmixer_1024_20": ("24.38", 5.95),
    "convmixer_256_8_cifar": ("0.594", 0.148),
    "convmixer_256_8_cifar_k9": ("0.709", 0.178),
    "gfnet_ti": ("7.51", 1.27),
    "gfnet_xs": ("15.99", 2.83),
    "gfnet_h_ti": ("15.09", 2.04),
    "afnonet_256_12_p16": ("7.62", 1.45),
    "poolformer_s12": ("11.92", 1.81),
    "poolformer_s24": ("21.39", 3.39),
    "vit_tiny_patch16": ("5.72", 1.25),
    "vit_small_patch16": ("22.05", 4.57),  # 4.60 with a class token, that is with 197 tokens instead of 196
    "mixer_s16": ("18.53", 3.78),
    "shiftvit_t": ("28.57", 4.58),
    "swin_tiny_patch4_window7": ("28.29", 4.49),
    "as_mlp_t": ("28.28", 4.35),
    "wave_mlp_t": ("17.19", 2.46),
    "clcnet_a": ("3.254", 0.343),
    "clcnet_b": ("4.085", 0.425),
    "lambda_resnet26t": ("10.96", 3.00),
}


of_each_family = pytest.mark.parametrize("architecture", SMALL.values(), ids=SMALL)
of_each_preset = pytest.mark.parametrize("name", PUBLISHED)


def test_every_preset_has_published_numbers() -> None:
    assert set(presets.names()) == set(PUBLISHED)


@of_each_preset
def test_parameters_are_as_many_as_published(name: str) -> None:
    millions = PUBLISHED[name][0]
    assert f"{cost(presets.get(name)).params / 1e6:.{len(millions.split('.')[1])}f}" == millions


@of_each_preset
def test_multiply_adds_are_as_many_as_published(name: str) -> None:
    assert cost(presets.get(name)).macs / 1e9 == pytest.approx(PUBLISHED[name][1], rel=5e-3)


def test_multiply_adds_of_vit_small_by_hand() -> None:
    # Patches of 3*16*16 numbers; in a block qkv, projection and two layers of fourfold width: 12 C^2 for each of 196
    # positions, and two products of 196 x 196 x C; at the end the classes.
    by_hand = 196 * 768 * 384 + 12 * (196 * 12 * 384**2 + 2 * 196**2 * 384) + 384 * 1000
    assert cost(presets.get("vit_small_patch16")).macs == by_hand


@of_each_preset
def test_networks_have_the_parameters_of_the_description(name: str) -> None:
    with torch.device("meta"):
        network = build(presets.get(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == cost(presets.get(name)).params


@of_each_family
def test_the_cost_is_that_of_a_counted_forward(
    architecture: Architecture, counted_forward: Callable[[nn.Module, tuple[int, ...]], Cost]
) -> None:
    assert cost(architecture) == counted_forward(build(architecture), (1, 3, *architecture.image_size))


@of_each_preset
def test_activation_memory_is_that_of_a_training_step(name: str, saved_bytes: Callable[..., int]) -> None:
    # On small images that the preset's patches fit, with two blocks of the many that are alike; of the stages of windows
    # those that they fit.
    preset = presets.get(name)
    windows = preset.stages[0].mixer.to_dict().get("window") is not None
    side = 112 if windows else 4 * preset.stem.patch if len(preset.stages) == 1 else 32
    stages = tuple(stage.replace(depth=min(stage.depth, 2)) for stage in preset.stages)
    architecture = preset.replace(image_size=side, stages=stages[:3] if windows else stages)
    assert cost(architecture).activation_bytes == saved_bytes(build(architecture), (3, side, side))


@of_each_family
def test_each_family_gives_logits_and_every_parameter_a_gradient(architecture: Architecture) -> None:
    generator = torch.Generator().manual_seed(0)
    network = build(architecture)
    logits = network(torch.randn(2, 3, *architecture.image_size, generator=generator))
    assert logits.shape == (2, architecture.num_classes)
    (logits * torch.randn(logits.shape, generator=generator)).sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@of_each_preset
def test_presets_survive_a_round_trip_through_json(name: str) -> None:
    assert Architecture.from_json(presets.get(name).to_json()) == presets.get(name)


def space_of(architecture: Architecture) -> SearchSpace:
    """The space whose only choices are those of `architecture`, and a few more."""
    description = architecture.to_dict()
    pyramid = len(description["stages"]) > 1
    stages: list[dict[str, Any]] = []
    for stage in description["stages"]:
        for part in ("mixer", "channel_mixer"):
            stage[part] = {stage[part].pop("name"): stage[part]}
        stage["depth"] = [stage["depth"], stage["depth"] + 1]
        stages.append(stage)
    head = {"norm": [description["head"]["norm"], "after", None], "kind": description["head"]["kind"]}
    kept = {key: description[key] for key in ("stem", "image_size", "in_chans", "num_classes")}
    return SearchSpace.from_dict(
        kept | {"stages": stages, "head": head, "layout": "pyramid" if pyramid else "isotropic"}
    )


@of_each_family
def test_each_family_is_a_point_of_a_space_of_ordinary_choices(architecture: Architecture) -> None:
    space = space_of(architecture)
    assert space.decode(space.encode(architecture)) == architecture


def test_the_error_for_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(
        UnknownSpaceNameError,
        match=r"no such preset, found 'poolformer_s13'; did you mean poolformer_s12 or poolformer_s24",
    ) as error:
        presets.get("poolformer_s13")
    assert error.value.value == "poolformer_s13"


def test_presets_need_no_torch() -> None:
    code = """
import sys
from search_space import cost, presets
assert all(cost(presets.get(name)).macs > 0 for name in presets.names())
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "timm", "torchvision", "ray", "optuna"}))
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert output == "[]"


def test_constants_of_larger_members_of_a_family_are_arguments() -> None:
    widths, depths = (12, 24), (1, 1)
    assert {stage.layer_scale for stage in presets.gfnet_pyramid(widths, depths, layer_scale=1e-5).stages} == {1e-5}
    assert {stage.layer_scale for stage in presets.poolformer(widths, depths, layer_scale=1e-6).stages} == {1e-6}
    for stage in presets.shiftvit((16, 32), depths, fraction=16, expansion=4.0).stages:
        assert stage.mixer.to_dict()["fraction"] == 16
        assert stage.channel_mixer.to_dict()["expansion"] == 4.0
