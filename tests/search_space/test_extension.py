"""A token mixer, a channel mixer and a residual form are each a description and a module; nothing else is edited.

Each test registers a synthetic one by the public functions and uses it wherever an architecture is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from search_space import Architecture, Cost, SearchSpace, Stage, build, channel_graph as cdg, cost, mixers
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixerSpec
from search_space.errors import ArchitectureError, UnknownSpaceNameError
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.modules.block import channel_mixer_of, layer_scale_of, token_mixer_of
from search_space.modules.builders import builder_of, builds, unregister_builder
from search_space.modules.layers import DropPath, build_norm
from search_space.modules.operators import build as build_operator
from search_space.operators import operators
from search_space.residual_forms import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.shapes import BlockShape, Size
from search_space.spaces.neighbourhood import neighbourhood
from search_space.tape import FeatureMap, Tape

CountedForward = Callable[[nn.Module, tuple[int, ...]], Cost]


class GainSpec(TokenMixerSpec):
    """A learned gain for each channel and row, `(B, C, H, W) -> (B, C, H, W)`, bound to the height of the map."""

    name: ClassVar[str] = "gain"
    initial: Annotated[float, Field(gt=0)] = 1.0

    @property
    def is_bound_to_size(self) -> bool:
        return True

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        tape.save(x)
        tape.add(params=x.width * x.size[0])
        return x.like()


class Gain(nn.Module):
    """The module of `GainSpec`."""

    def __init__(self, width: int, rows: int, initial: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((width, rows, 1), initial))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain

    def for_size(self, size: Size) -> Gain:
        """The mean gain of each channel in every row."""
        layer = copy.deepcopy(self)
        layer.gain = nn.Parameter(self.gain.detach().mean(dim=1, keepdim=True).repeat(1, size[0], 1))
        return layer


class LowRankSpec(ChannelMixerSpec):
    """Two pointwise layers through `rank` channels, `(B, C, H, W) -> (B, out, H, W)`."""

    name: ClassVar[str] = "low_rank"
    rank: Annotated[int, Field(ge=1)] = 2

    def check(self, width: int, out: int | None = None) -> None:
        if self.rank > width:
            raise ArchitectureError("rank", f"must not exceed the width {width}", self.rank)

    def graph(self, width: int, out: int | None = None) -> cdg.ChannelGraph:
        return cdg.dense(width, out)

    def trace(self, x: FeatureMap, tape: Tape, act: str, out: int | None = None) -> FeatureMap:
        return tape.conv(tape.conv(x, self.rank, bias=False), out or x.width)


class PostNorm(ResidualForm):
    """`x = norm1(x + m x); x = norm2(x + c x)` (Vaswani et al., 2017)."""

    name: ClassVar[str] = "post_norm"
    branches: ClassVar[int] = 2

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        x = layers.norm(layers.residual_sum(x, layers.token_mixer(x)))
        return layers.norm(layers.residual_sum(x, layers.channel_mixer(x)))


class PostNormBlock(nn.Module):
    """The block of `PostNorm`."""

    def __init__(self, stage: Stage, shape: BlockShape) -> None:
        super().__init__()
        self.mixer, self.mlp = token_mixer_of(stage, shape), channel_mixer_of(stage)
        self.norm1, self.norm2 = build_norm(stage.norm, stage.width), build_norm(stage.norm, stage.width)
        self.ls1, self.ls2 = layer_scale_of(stage), layer_scale_of(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(x + self.drop_path(self.ls1(self.mixer(x))))
        return self.norm2(x + self.drop_path(self.ls2(self.mlp(x))))


@pytest.fixture
def token_mixer() -> Iterator[str]:
    MIXERS.register(GainSpec)
    builds(GainSpec)(lambda spec, width, size: Gain(width, size[0], spec.initial))
    yield GainSpec.name
    unregister_builder(GainSpec)
    MIXERS.unregister(GainSpec.name)


@pytest.fixture
def channel_mixer() -> Iterator[str]:
    def build_low_rank(spec: LowRankSpec, width: int, act: str, out: int | None) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(width, spec.rank, 1, bias=False),
            nn.Conv2d(spec.rank, out or width, 1),
        )

    CHANNEL_MIXERS.register(LowRankSpec)
    builds(LowRankSpec)(build_low_rank)
    yield LowRankSpec.name
    unregister_builder(LowRankSpec)
    CHANNEL_MIXERS.unregister(LowRankSpec.name)


@pytest.fixture
def residual_form() -> Iterator[str]:
    RESIDUAL_FORMS.register(PostNorm())
    builds(PostNorm)(PostNormBlock)
    yield PostNorm.name
    unregister_builder(PostNorm)
    RESIDUAL_FORMS.unregister(PostNorm.name)


def check_everywhere(stage: dict[str, Any], choices: int, counted_forward: CountedForward) -> None:
    """A space of `choices` architectures whose one stage is `stage`: each is valid, encoded, costed, built and exported."""
    import timm

    space = SearchSpace.from_dict({"stages": [{"width": 8, "depth": 2, **stage}], "image_size": 16, "num_classes": 5})
    architectures = list(space)
    assert space.size == len({architecture.id for architecture in architectures}) == choices
    assert space.sample(np.random.default_rng(0)) in architectures
    for architecture in architectures:
        assert space.decode(space.encode(architecture)) == architecture
        assert len(space.neighbours(architecture)) > 0
        assert neighbourhood(architecture).contains(architecture)
        assert Architecture.from_json(architecture.to_json()).id == architecture.id
        network, total_cost = build(architecture), cost(architecture)
        assert total_cost == counted_forward(network, (1, 3, 16, 16))
        check_operators(architecture, total_cost)
        exported = timm.create_model("mixfront", architecture=architecture.to_dict(), img_size=24)
        exported(torch.zeros(2, 3, 24, 24)).sum().backward()
        assert all(parameter.grad is not None for parameter in exported.parameters())
        assert exported.state_dict().keys() == network.state_dict().keys()
        network.set_input_size(24)
        assert network(torch.zeros(2, 3, 24, 24)).shape == (2, 5)


def check_operators(architecture: Architecture, total_cost: Cost) -> None:
    """The operators cost together what the architecture costs, have keys of their own and are modules."""
    counts = operators(architecture)
    assert len({operator.key for operator in counts}) == len(counts)
    for name in ("macs", "params", "fft_flops"):
        total = sum(count * getattr(operator.cost, name) for operator, count in counts.items())
        assert total == getattr(total_cost, name)
    for operator in counts:
        module = build_operator(operator).eval()
        assert module(torch.zeros(1, operator.width, *operator.size)).shape[:2] == (1, operator.out)
        assert sum(parameter.numel() for parameter in module.parameters()) == operator.cost.params


@pytest.mark.parametrize("residual", ["pre_norm", "convmixer", "bottleneck"])
def test_a_token_mixer_is_one_description_and_one_module(
    token_mixer: str, residual: str, counted_forward: CountedForward
) -> None:
    check_everywhere({"mixer": {token_mixer: {"initial": [0.5, 1.0]}}, "residual": residual}, 2, counted_forward)
    module = mixers.create(token_mixer, width=4, size=(2, 3), initial=2.0)
    assert torch.equal(module(torch.ones(1, 4, 2, 3)), torch.full((1, 4, 2, 3), 2.0))


def test_a_token_mixer_without_stride_is_followed_by_means_where_a_block_halves_the_map(
    token_mixer: str, counted_forward: CountedForward
) -> None:
    stages = [{"mixer": "pool", "width": 8}, {"mixer": token_mixer, "width": 12, "downsample": 2}]
    stages[1] |= {"residual": "plain", "begin": "block"}
    architecture = Architecture.from_dict({"stages": stages})
    assert cost(architecture) == counted_forward(build(architecture), (1, 3, 32, 32))
    check_operators(architecture, cost(architecture))


@pytest.mark.parametrize("residual", ["pre_norm", "single", "plain"])
def test_a_channel_mixer_is_one_description_and_one_module(
    channel_mixer: str, residual: str, counted_forward: CountedForward
) -> None:
    stage = {"mixer": "conv", "channel_mixer": {channel_mixer: {"rank": [2, 4, 9]}}, "residual": residual}
    check_everywhere(stage, 2, counted_forward)  # rank 9 exceeds the width
    with pytest.raises(ArchitectureError, match=r"stages\[0\]\.channel_mixer: must be mlp for residual 'bottleneck'"):
        Architecture.from_dict({"stages": [{"mixer": "conv", "channel_mixer": "low_rank", "residual": "bottleneck"}]})


@pytest.mark.parametrize("mixer", ["conv", "attention", "global_filter"])
def test_a_residual_form_is_one_description_and_one_module(
    residual_form: str, mixer: str, counted_forward: CountedForward
) -> None:
    stage = {"mixer": mixer, "residual": [residual_form, "plain"], "layer_scale": [None, 0.1]}
    check_everywhere(stage | {"squeeze_excite": [None, {"reduction": 4}]}, 2 * (2 + 1), counted_forward)
    with pytest.raises(ArchitectureError, match=r"begin: must be 'transition' for residual 'post_norm'"):
        Stage(mixer="conv", residual=residual_form, begin="block")
    with pytest.raises(
        UnknownSpaceNameError,
        match=r"residual: no such residual form .*found 'postnorm'; did you mean post_norm or pre_norm\?$",
    ):
        Stage(mixer="conv", residual="postnorm")


def test_all_three_together(
    token_mixer: str, channel_mixer: str, residual_form: str, counted_forward: CountedForward
) -> None:
    stage = {"mixer": token_mixer, "channel_mixer": channel_mixer, "residual": residual_form, "width": [8, 12]}
    check_everywhere(stage, 2, counted_forward)


def test_names_and_builders_are_registered_once(token_mixer: str) -> None:
    with pytest.raises(ValueError, match="mixer 'gain' already exists"):
        MIXERS.register(GainSpec)
    with pytest.raises(ValueError, match="a builder of GainSpec with stride 1 already exists"):
        builds(GainSpec)(nn.Identity)
    with pytest.raises(LookupError, match="no module is registered for LowRankSpec"):
        builder_of(LowRankSpec)
