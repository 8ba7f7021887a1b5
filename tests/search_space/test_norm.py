"""Norms with an eps of their own: one description for one function, in every place of an architecture and of a space."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
import torch
from torch import nn

from nas.analysis.architecture_text import describe
from search_space import Architecture, SearchSpace, build, cost, presets
from search_space.errors import SpaceError
from search_space.norm import DEFAULT_EPS, NormSpec, norm_eps, norm_name
from search_space.operators import operators
from search_space.residual_forms import RESIDUAL_FORMS
from search_space.spaces.neighbourhood import neighbourhood

KINDS = ("batch", "layer", "group")


def architecture(norm: Any, **changes: Any) -> Architecture:
    stage = {"mixer": "pool", "width": 8, "depth": 1, "norm": norm}
    stages = [stage, stage | {"width": 16, "downsample": 2, "downsampling": {"kernel": 2, "norm": "patches"}}]
    return Architecture.from_dict({"stages": stages, "stem": {"norm": norm}, "image_size": 16} | changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_norm_with_the_eps_of_its_kind_is_its_name(kind: Any) -> None:
    plain = architecture(kind)
    for spelling in ({"name": kind}, {"name": kind, "eps": DEFAULT_EPS[kind]}, NormSpec(name=kind)):
        assert architecture(spelling) == plain
        assert architecture(spelling).to_json() == plain.to_json()
    assert f'"norm":"{kind}"' in plain.to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_another_eps_is_another_architecture_with_the_same_costs_and_operators(kind: Any) -> None:
    plain, other = architecture(kind), architecture({"name": kind, "eps": 1e-3})
    assert other.id != plain.id
    assert other.stages[0].norm == NormSpec(name=kind, eps=1e-3)
    assert Architecture.from_json(other.to_json()) == other == Architecture.from_yaml(other.to_yaml())
    assert cost(other) == cost(plain)
    assert operators(other) == operators(plain)  # an eps takes no time
    assert build(other).state_dict().keys() == build(plain).state_dict().keys()


def eps_of(network: nn.Module) -> set[float]:
    kinds = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
    return {module.eps for module in network.modules() if isinstance(module, kinds)}


@pytest.mark.parametrize("residual", sorted(RESIDUAL_FORMS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_norm_of_a_network_has_the_eps_of_its_description(kind: Any, residual: str) -> None:
    norm = {"name": kind, "eps": 3e-4}
    stage = {"mixer": "identity", "width": 8, "norm": norm, "residual": residual}
    for place in ("before", "after"):
        stages = [stage, stage | {"width": 16, "downsample": 2, "downsampling": {"kernel": 3, "norm": place}}]
        for head in ({"norm": place}, {"norm": place, "kind": {"name": "layer", "eps": 3e-4}}):
            described = {"stages": stages, "stem": {"norm": norm, "tiered": True}, "head": head}
            assert eps_of(build(Architecture.from_dict(described))) == {3e-4}


@pytest.mark.parametrize("kind", KINDS)
def test_the_eps_is_added_to_the_variance(kind: Any) -> None:
    x = torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(0)).double() * 1e-2
    axes = {"batch": (0, 2, 3), "layer": (1,), "group": (1, 2, 3)}[kind]
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    for eps in (None, 1e-4):
        norm: Any = kind if eps is None else {"name": kind, "eps": eps}
        module = build(architecture(norm)).stages[0].blocks[0].norm1.double().train()  # type: ignore[index,union-attr]
        expected = (x - mean) / (variance + (eps or {"batch": 1e-5, "layer": 1e-6, "group": 1e-5}[kind])).sqrt()
        torch.testing.assert_close(module(x), expected, rtol=1e-9, atol=1e-9)


def test_a_wrong_norm_is_named_with_its_place() -> None:
    for norm, message in (
        ("lyer", r"stages\[0\]\.norm: input should be 'batch', 'layer' or 'group', found 'lyer'; did you mean layer\?"),
        ({"name": "lyer"}, r"stages\[0\]\.norm\.name: input should be 'batch', .* found 'lyer'; did you mean layer\?"),
        ({"name": "layer", "eps": 0}, r"stages\[0\]\.norm\.eps: input should be greater than 0, found 0"),
        (
            {"name": "layer", "epsilon": 1},
            r"stages\[0\]\.norm\.epsilon: no such key \(known: eps, name\), found 'epsilon'; did you mean eps\?",
        ),
        ({"eps": 1e-5}, r"stages\[0\]\.norm\.name: must be given"),
        (1e-5, r"stages\[0\]\.norm: input should be 'batch', 'layer' or 'group', found 1e-05"),
    ):
        with pytest.raises(SpaceError, match=message):
            architecture(norm)
    with pytest.raises(SpaceError, match=r"stem\.norm: input should be .* found 'lyer'"):
        architecture("layer", stem={"norm": "lyer"})
    with pytest.raises(SpaceError, match=r"head\.kind\.eps: input should be greater than 0"):
        architecture("layer", head={"kind": {"name": "layer", "eps": -1.0}})


def space(**stage: Any) -> SearchSpace:
    return SearchSpace.from_dict({"stages": [{"mixer": "pool", **stage}], "image_size": 16})


def test_a_space_has_norms_with_an_eps_as_choices() -> None:
    norms = ["layer", {"name": "layer", "eps": 1e-5}, {"name": "layer", "eps": 1e-6}, {"name": "batch", "eps": 1e-3}]
    choices = space(norm=norms)
    assert choices.size == len({architecture.id for architecture in choices}) == 3  # 1e-6 is that of `layer`
    assert SearchSpace.from_dict(choices.to_dict()) == choices
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for described in choices:
        assert choices.decode(choices.encode(described)) == described
        assert neighbourhood(described).contains(described)
    suggested = {choices.suggest(study.ask()).stages[0].norm for _ in range(40)}
    assert {(norm_name(norm), norm_eps(norm)) for norm in suggested} == {
        ("layer", 1e-6),
        ("layer", 1e-5),
        ("batch", 1e-3),
    }
    assert choices.sample(np.random.default_rng(0)) in list(choices)
    with pytest.raises(SpaceError, match=r"norm\[1\]\.eps: input should be greater than 0"):
        space(norm=["layer", {"name": "layer", "eps": 0}])
    assert space(norm={"name": "layer", "eps": 1e-5}).size == 1


def test_the_text_of_an_architecture_shows_an_eps_of_its_own() -> None:
    swin = presets.get("swin_tiny_patch4_window7")
    assert "layer (eps 1e-05) norm" in str(describe(swin.to_dict()))
    assert "eps" not in str(describe(presets.get("vit_tiny_patch16").to_dict()))
