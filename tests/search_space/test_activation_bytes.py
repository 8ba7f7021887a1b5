"""Activation memory against what autograd saves: the count by hand, and networks of every form, norm, activation and stem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search_space import Architecture, HeadSpec, SearchSpace, build, cost
from search_space.mixers import MIXERS
from search_space.residual_forms import RESIDUAL_FORMS
from search_space.tape import Cost, FeatureMap, Tape

SavedBytes = Callable[..., int]

MIXER_CHOICES: dict[str, Any] = {
    "afno": {
        "num_blocks": [1, 2],
        "hard_thresholding_fraction": [0.6, 1.0],
        "hard_thresholding": ["both_axes", "afno", "fourcastnet"],
    },
    "attention": {
        "heads": [1, 2],
        "kv_reduction": [1, 2],
        "kv_pool": [None, 1, 2],
        "window": [None, 2, 3],
        "shift": ["none", "alternate"],
    },
    "conv": {"k": [2, 3], "groups": ["depthwise", 1, 4], "interlace": [False, True]},
    "fnet": None,
    "fno": {"modes": ["all", 1]},
    "global_filter": None,
    "identity": None,
    "lambda": {"k": 4, "u": [1, 2], "context": [3, "global"], "heads": [2, 4]},
    "mlp": None,
    "pool": None,
    "separable_conv": {"k": [3, 4], "act": ["star_relu", "relu", "gelu"]},
    "shift": {"kind": ["shiftvit", "s2", "axial"]},
    "wave": {"mode": ["fc", "depthwise"]},
}
STAGE: dict[str, Any] = {
    "mixer": MIXER_CHOICES,
    "channel_mixer": {"mlp": {"expansion": [0.5, 1, 2], "groups": "full"}, "pointwise": None},
    "width": [12, 24],
    "depth": [1, 2, 3],
    "norm": ["batch", "layer", "group"],
    "act": ["gelu", "relu", "silu"],
    "residual": sorted(RESIDUAL_FORMS),
    "begin": ["transition", "block"],
    "downsampling": [
        {"kernel": 1},
        {"kernel": 2},
        {"kernel": 3, "norm": "after"},
        {"kernel": 2, "norm": "patches"},
        {"kernel": 3, "norm": None},
    ],
    "layer_scale": [None, 0.1],
    "squeeze_excite": [None, {"reduction": 4}],
}
EVERYTHING = SearchSpace.from_dict(
    {
        "image_size": [12, 20],
        "num_classes": 5,
        "layout": ["isotropic", "pyramid"],
        "num_stages": [1, 2],
        "stem": {
            "patch": [2, 4],
            "kernel": [None, 5],
            "act": [None, "relu", "gelu"],
            "norm": [None, "batch", "layer", "group"],
            "order": ["act_norm", "norm_act"],
            "tiered": [False, True],
            "pool": [False, True],
            "pos_embed": [False, True],
            "ratio": [1.0, 0.5],
        },
        "stages": [STAGE, STAGE],
    }
)
HEADS = [HeadSpec(norm=norm, kind=kind) for norm in ("before", "after", None) for kind in ("batch", "layer", "group")]
SAMPLED = [
    EVERYTHING.sample(np.random.default_rng([7, index])).replace(head=HEADS[index % len(HEADS)]) for index in range(60)
]


def test_the_samples_hold_every_mixer_form_norm_and_activation() -> None:
    stages = [stage for architecture in SAMPLED for stage in architecture.stages]
    assert {stage.mixer.name for stage in stages} == set(MIXERS) == set(MIXER_CHOICES)
    assert {stage.residual for stage in stages} == set(RESIDUAL_FORMS)
    assert {(stage.norm, stage.act) for stage in stages} == {
        (n, a) for n in ("batch", "layer", "group") for a in ("gelu", "relu", "silu")
    }
    assert {stage.begin for stage in stages} == {"transition", "block"}
    assert {architecture.stem.tiered for architecture in SAMPLED} == {True, False}
    assert {architecture.stem.pool for architecture in SAMPLED} == {True, False}


@pytest.mark.parametrize("architecture", SAMPLED, ids=lambda architecture: architecture.id)
def test_activation_memory_is_that_of_a_training_step(architecture: Architecture, saved_bytes: SavedBytes) -> None:
    image = (architecture.in_chans, *architecture.image_size)
    assert cost(architecture).activation_bytes == saved_bytes(build(architecture), image)


def test_the_count_by_hand(saved_bytes: SavedBytes) -> None:
    conv, image = nn.Conv2d(2, 5, 1), (2, 3, 4)
    assert saved_bytes(conv, image) == 4 * 2 * 12  # its input
    assert saved_bytes(nn.ReLU(), image) == 4 * 2 * 12  # what it gives
    assert saved_bytes(nn.Sequential(conv, nn.GELU()), image) == 4 * (2 + 5) * 12  # what each gets
    assert saved_bytes(nn.Sequential(nn.ReLU(), conv), image) == 4 * 2 * 12  # the same map twice
    assert (
        saved_bytes(nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()), image) == 4 * 4 * 12
    )  # and no statistics of the batch
    assert saved_bytes(nn.Sequential(conv, nn.GroupNorm(1, 5)), image) == 4 * (7 * 12 + 2)  # with those of the image
    assert saved_bytes(nn.MaxPool2d(2), image) == 4 * 2 * 12 + 8 * 2 * 2  # with where four maxima stood


def test_a_map_is_counted_once_however_many_layers_save_it() -> None:
    tape, x = Tape(), FeatureMap(3, (4, 5))
    for y in (x, tape.pad(x, 0, 0), tape.interlace(x, 1)):
        tape.conv(y, 6)
    assert tape.cost.activation_bytes == 4 * 60
    tape.save(x.like())  # another of the same shape
    assert tape.cost.activation_bytes == 8 * 60
    assert tape.cost == Cost(macs=3 * 60 * 6, params=3 * (18 + 6), activation_bytes=480)


@pytest.mark.parametrize("residual", sorted(RESIDUAL_FORMS))
def test_each_further_block_costs_the_same(residual: Any) -> None:
    def of_depth(depth: int) -> Cost:
        stage = {"mixer": {"name": "attention", "heads": 2}, "width": 12, "depth": depth, "residual": residual}
        return cost(Architecture.from_dict({"stages": [stage | {"norm": "layer", "act": "relu"}]}))

    assert of_depth(3) + of_depth(3) == of_depth(2) + of_depth(4)
    assert of_depth(3) + of_depth(9) * 2 == of_depth(7) * 3


def test_blocks_with_shifted_windows_save_more_than_those_between_them(saved_bytes: SavedBytes) -> None:
    def swin(depth: int) -> Architecture:
        mixer = {"name": "attention", "heads": 2, "window": 2, "shift": "alternate"}
        return Architecture.from_dict({"stages": [{"mixer": mixer, "width": 12, "depth": depth}], "image_size": 16})

    bytes_of = [cost(swin(depth)).activation_bytes for depth in range(1, 6)]
    still, moved = bytes_of[2] - bytes_of[1], bytes_of[1] - bytes_of[0]
    assert moved - still == 4 * 16 * 4 * 2  # the logits of 16 positions with 4 each, 2 heads
    assert bytes_of[4] - bytes_of[2] == still + moved
    assert bytes_of[2] == saved_bytes(build(swin(3)), (3, 16, 16))


def test_saved_memory_grows_with_the_batch_by_the_activation_bytes() -> None:
    # Once without the oracle of the other tests: all that the graph of the loss holds on to, found by walking through it.
    stage = {"mixer": "conv", "width": 8, "depth": 2, "norm": "batch", "act": "gelu"}
    architecture = Architecture.from_dict({"stages": [stage], "image_size": 8})
    network = build(architecture).double().train()

    def held(batch: int) -> int:
        storages: dict[int, int] = {}
        nodes, seen = [network(torch.zeros(batch, 3, 8, 8, dtype=torch.float64)).grad_fn], set()
        while nodes:
            node = nodes.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            for name in dir(node):
                saved = getattr(node, name) if name.startswith("_saved_") else None
                if isinstance(saved, torch.Tensor):
                    storages[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes() // 2
            nodes += [following for following, _ in node.next_functions]
        return sum(storages.values())

    assert held(5) - held(4) == cost(architecture).activation_bytes
