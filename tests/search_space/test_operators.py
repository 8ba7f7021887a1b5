"""Operators against the exact costs of whole networks, and against the modules that they build."""

from __future__ import annotations

import random
from collections import Counter
from typing import get_args

import pytest
import torch

from search_space import Architecture, Cost, SearchSpace, cost, cost_by_part, presets
from search_space.modules.operators import build
from search_space.operators import Kind, Operator, operators, operators_by_part

SPACE = SearchSpace.from_dict(
    {
        "layout": ["isotropic", "pyramid"],
        "num_stages": [1, 2],
        "stem": {"patch": [2, 4], "pos_embed": [False, True]},
        "stages": [
            {
                "mixer": {
                    "conv": {"k": [2, 3], "groups": ["depthwise", 2]},
                    "attention": {"heads": 2, "window": [None, 2], "shift": ["none", "alternate"]},
                    "lambda": {"heads": 2, "k": 4},
                    "global_filter": None,
                    "pool": None,
                },
                "channel_mixer": {"mlp": {"expansion": [1, 2], "groups": [[1, 1], [2, 2]]}},
                "depth": [1, 3],
                "width": [8, 16],
                "norm": ["batch", "layer", "group"],
                "residual": ["pre_norm", "single", "convmixer", "shiftvit", "plain", "bottleneck"],
                "begin": ["transition", "block"],
                "layer_scale": [None, 0.1],
                "squeeze_excite": [None, {"reduction": 4}],
                "downsampling": [{"kernel": 3}, {"kernel": 2, "norm": "patches"}, {"kernel": 1, "norm": "after"}],
            }
        ]
        * 2,
        "image_size": 16,
        "num_classes": 5,
    }
)


def architectures() -> list[Architecture]:
    rng = random.Random(0)
    return [SPACE.sample(rng) for _ in range(300)]


def check_adds_up(architecture: Architecture) -> None:
    found = operators(architecture)
    whole = cost(architecture)
    for name in ("macs", "params", "fft_flops"):
        total = sum(count * getattr(operator.cost, name) for operator, count in found.items())
        assert total == getattr(whole, name), name
    parts, by_part = cost_by_part(architecture), operators_by_part(architecture)
    assert sum(parts, Cost()) == whole
    assert sum(by_part, Counter()) == found
    assert len(parts) == len(by_part) == len(architecture.stages) + 2
    for part, counts in zip(parts, by_part, strict=True):
        assert part.macs == sum(count * operator.cost.macs for operator, count in counts.items())
        assert part.params == sum(count * operator.cost.params for operator, count in counts.items())


@pytest.mark.parametrize("name", presets.names())
def test_the_operators_of_a_preset_cost_what_it_costs(name: str) -> None:
    check_adds_up(presets.get(name))


def test_the_operators_of_any_architecture_cost_what_it_costs() -> None:
    forms = set()
    for architecture in architectures():
        check_adds_up(architecture)
        forms |= {(stage.residual, stage.begin) for stage in architecture.stages}
    assert len(forms) == 8  # six forms, two of which may begin within a block


def test_each_operator_is_a_module_of_its_shape_and_parameters() -> None:
    known: set[Operator] = set()
    for architecture in architectures():
        known |= operators(architecture).keys()
    assert {operator.kind for operator in known} == set(get_args(Kind))
    for operator in known:
        module = build(operator).eval()
        with torch.inference_mode():
            y = module(torch.randn(2, operator.width, *operator.size))
        assert sum(parameter.numel() for parameter in module.parameters()) == operator.cost.params, operator.key
        assert y.shape[:2] == (2, operator.out), operator.key
        assert operator.io_numel == operator.width * operator.size[0] * operator.size[1] + y[0].numel(), operator.key


def test_only_equal_operators_have_equal_keys() -> None:
    known = {operator for architecture in architectures() for operator in operators(architecture)}
    known |= {operator for name in presets.names() for operator in operators(presets.get(name))}
    assert len({operator.key for operator in known}) == len(known) > 200


def test_operators_of_a_family_differ_only_in_numbers() -> None:
    def family(**mixer: object) -> str:
        architecture = Architecture.from_dict({"stages": [{"mixer": mixer, "width": 16}], "image_size": 16})
        (tokens,) = (operator for operator in operators(architecture) if operator.kind == "tokens")
        return tokens.family

    assert family(name="conv", k=3) == family(name="conv", k=5)
    assert family(name="conv", k=3) != family(name="conv", k=3, groups=2)
    assert family(name="conv", k=3) != family(name="pool")
