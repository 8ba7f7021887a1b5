"""Layer-wise learning rates are timm's, and so are optimizers by name."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2
from torch import nn

from search_space import Architecture, build
from trainers.training.optimizer import set_lr
from trainers.training.recipe_config import RecipeConfig
from trainers.training.recipe_optimizer import clip_gradients, create_optimizer

CPU = torch.device("cpu")


def recipe(**fields: Any) -> RecipeConfig:
    return RecipeConfig.model_validate({"lr": 0.1, "weight_decay": 0.2, **fields})


def vit() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3, depth=3, embed_dim=24, num_heads=2)


def ours() -> nn.Module:
    stages = [
        {"mixer": "conv", "width": 8, "depth": 2},
        {"mixer": "attention", "width": 16, "depth": 1},
    ]
    plain = {"stem": {"patch": 2, "pos_embed": True}, "stages": stages, "image_size": 16, "num_classes": 3}
    return build(Architecture.from_dict(plain))


def by_name(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """The learning rate and the weight decay of each parameter."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("optimizer", ["adamw", "timm:adamw", "lamb"])
def test_layer_decay_of_a_vit_is_timms(optimizer: str) -> None:
    net = vit()
    found = create_optimizer(net, recipe(optimizer=optimizer, layer_decay=0.5), CPU)
    set_lr(found, 0.4)
    reference = create_optimizer_v2(net, "adamw", lr=0.4, weight_decay=0.2, layer_decay=0.5)
    for group in reference.param_groups:
        group["lr"] *= group["lr_scale"]
    rates = by_name(net, found)
    assert rates == by_name(net, reference)
    assert rates["head.weight"] == (0.4, 0.2)
    assert rates["blocks.2.norm1.weight"] == (0.2, 0.0)
    assert rates["blocks.1.mlp.fc1.weight"] == (0.1, 0.2)
    assert rates["pos_embed"] == (0.025, 0.0)


def test_layer_decay_of_our_networks_is_by_block() -> None:
    net = ours()
    found = create_optimizer(net, recipe(layer_decay=0.5), CPU)
    set_lr(found, 1.0)
    rates = {name: rate for name, (rate, _) in by_name(net, found).items()}
    assert rates.keys() == dict(net.named_parameters()).keys()
    assert rates["head.weight"] == 1.0
    depths = {
        "stem.": 0.0625,
        "stages.0.blocks.0.": 0.125,
        "stages.0.blocks.1.": 0.25,
        "stages.1.": 0.5,
        "norm.": 0.5,
        "head.": 1.0,
    }
    for name, rate in rates.items():
        assert rate == next(depths[place] for place in depths if name.startswith(place)), name


def test_without_layer_decay_all_have_one_rate() -> None:
    net = ours()
    found = create_optimizer(net, recipe(optimizer="sgd", momentum=0.8), CPU)
    set_lr(found, 0.3)
    assert {rate for rate, _ in by_name(net, found).values()} == {0.3}
    assert found.param_groups[0]["momentum"] == 0.8
    assert type(found) is torch.optim.SGD


def test_options_reach_the_optimizer() -> None:
    net = nn.Linear(3, 2)
    adamw = create_optimizer(net, recipe(betas=(0.8, 0.95)), CPU)
    assert adamw.param_groups[0]["betas"] == (0.8, 0.95)
    lion = create_optimizer(net, recipe(optimizer="lion", optimizer_options={"caution": True}), CPU)
    assert lion.param_groups[0]["caution"] is True


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
def test_gradients_are_clipped(optimizer: str) -> None:
    net = nn.Linear(3, 2, bias=False)
    found = create_optimizer(net, recipe(optimizer=optimizer, weight_decay=0.0, momentum=None), CPU)
    net.weight.grad = torch.full((2, 3), 10.0)
    clip_gradients(found, 0.5)
    set_lr(found, 1.0)
    before = net.weight.detach().clone()
    found.step()
    if optimizer == "momentum":  # the step is the gradient, whose six values have the norm 0.5
        torch.testing.assert_close(before - net.weight.detach(), torch.full((2, 3), 0.5 / 6**0.5))
    else:  # the first moment is a tenth of it
        torch.testing.assert_close(found.state[net.weight]["exp_avg"], torch.full((2, 3), 0.05 / 6**0.5))
