"""The networks that architectures describe: shapes, gradients, costs, and the members that timm expects."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search_space import Architecture, Cost, SearchSpace, build, cost

RICH = SearchSpace.from_dict(
    {
        "image_size": [12, 20],
        "in_chans": 2,
        "num_classes": 5,
        "layout": ["isotropic", "pyramid"],
        "num_stages": [1, 2, 3],
        "stem": {"patch": [1, 2, 4], "pos_embed": [False, True]},  # maps 12x20, 6x10, 3x5; then 2x3 and 1x2
        "stages": [
            {
                "mixer": {
                    "conv": {"k": [2, 3], "groups": ["depthwise", 1, 4], "interlace": [False, True]},
                    "attention": {"heads": [2, 3], "kv_reduction": [1, 2]},
                    "lambda": {"k": 4, "u": [1, 2], "context": [3, "global"], "heads": [2, 4]},
                    "afno": {"num_blocks": [1, 4], "hard_thresholding_fraction": [0.6, 1.0]},
                    "global_filter": None,
                    "shift": {"kind": ["shiftvit", "s2"]},
                    "pool": None,
                    "identity": None,
                },
                "channel_mixer": {"mlp": {"expansion": [0.5, 1, 2], "groups": ["full", [4, 12]]}},
                "width": [12, 24],
                "depth": [1, 2],
                "norm": ["batch", "layer", "group"],
                "act": ["gelu", "relu", "silu"],
                "residual": ["pre_norm", "single"],
                "layer_scale": [None, 0.1],
            }
        ]
        * 3,
    }
)


def sampled(count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [RICH.sample(rng) for _ in range(count)]


def images(architecture: Architecture, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, architecture.in_chans, *architecture.image_size, generator=generator)


def randomised(architecture: Architecture) -> nn.Module:
    """The network with larger weights than at its start, so that nothing is too small to be seen."""
    network, generator = build(architecture), torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return network


every_sample = pytest.mark.parametrize("architecture", sampled(40), ids=lambda architecture: architecture.id)


def test_the_samples_hold_every_mixer_and_several_stages() -> None:
    stages = [stage for architecture in sampled(40) for stage in architecture.stages]
    assert {stage.mixer.name for stage in stages} == set(RICH.stages[0].mixer)
    assert {len(architecture.stages) for architecture in sampled(40)} == {1, 2, 3}
    assert {stage.downsample for stage in stages} == {1, 2}


@every_sample
def test_the_cost_is_that_of_a_counted_forward(
    architecture: Architecture, counted_forward: Callable[[nn.Module, tuple[int, ...]], Cost]
) -> None:
    shape = (1, architecture.in_chans, *architecture.image_size)
    assert cost(architecture) == counted_forward(build(architecture), shape)


@every_sample
def test_shapes_are_as_described_and_every_parameter_gets_a_gradient(architecture: Architecture) -> None:
    network, x = randomised(architecture), images(architecture)
    logits = network(x)
    assert logits.shape == (2, 5)
    (logits * torch.randn(2, 5, generator=torch.Generator().manual_seed(3))).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@every_sample
def test_gradients_of_a_batch_of_one_agree_with_differences(architecture: Architecture) -> None:
    network, x = randomised(architecture).double().eval(), images(architecture, batch=1).double()
    step, weight = torch.randn_like(x), torch.randn(1, 5, dtype=torch.float64)
    x.requires_grad_()
    (network(x) * weight).sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        difference = ((network(x + 1e-6 * step) - network(x - 1e-6 * step)) * weight).sum() / 2e-6
    assert float((x.grad * step).sum()) == pytest.approx(float(difference), rel=1e-4, abs=1e-5)


def test_a_seed_decides_the_weights() -> None:
    architecture = sampled(1)[0]
    torch.manual_seed(5)
    first = build(architecture).state_dict()
    torch.manual_seed(5)
    assert all(torch.equal(tensor, first[name]) for name, tensor in build(architecture).state_dict().items())


def test_every_parameter_gets_a_gradient_that_is_not_zero_in_a_plain_network() -> None:
    stages = [{"mixer": name, "width": 24, "depth": 1} for name in ("conv", "lambda", "afno", "attention", "pool")]
    torch.manual_seed(0)
    network = build(Architecture.from_dict({"stages": stages, "image_size": 16, "stem": {"pos_embed": True}}))
    nn.functional.cross_entropy(network(torch.randn(4, 3, 16, 16)), torch.tensor([1, 2, 3, 4])).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_the_cost_of_a_tiny_architecture_by_hand() -> None:
    architecture = Architecture.from_dict(
        {
            "image_size": [4, 6],
            "in_chans": 1,
            "num_classes": 3,
            "stem": {"patch": 2, "pos_embed": True},
            "stages": [
                {"mixer": {"name": "attention", "heads": 2}, "width": 4, "depth": 2, "layer_scale": 0.1}
                | {"channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [2, 4]}},
                {"mixer": "global_filter", "width": 8, "depth": 1, "downsample": 2, "residual": "single"}
                | {"channel_mixer": {"name": "mlp", "expansion": 1.0}},
            ],
        }
    )
    # Maps: 4x6 pixels -> 2x3 tokens (N = 6), then 1x2 (N = 2).
    # Stem: 1*4*2*2 = 16 weights, 4 biases, 4*6 = 24 of the embedding; 16 weights on 6 positions.
    params, macs = 16 + 4 + 24, 16 * 6
    # Block of stage 0: attention has qkv 4*12 + 12 and proj 4*4 + 4 on 6 tokens; q k^T and weights times v, 6*6*4 each.
    params_block, macs_block = 60 + 20, 6 * 48 + 6 * 16 + 2 * 6 * 6 * 4
    # Its MLP, 8 hidden: 8*(4/2) + 8 and 4*(8/4) + 4 on 6 tokens.
    params_block, macs_block = params_block + 24 + 12, macs_block + 6 * (16 + 8)
    # Two norms of 2*4 and two scales of 4; two such blocks.
    params, macs = params + 2 * (params_block + 16 + 8), macs + 2 * macs_block
    # Transition: a norm of 2*4, a 3x3 convolution 4 -> 8 on 2 positions.
    params, macs = params + 8 + 8 * 4 * 9 + 8, macs + 288 * 2
    # Block of stage 1: a filter of 1*(2//2 + 1)*8 complex numbers, an MLP of 8*8 + 8 twice, two norms of 2*8.
    params, macs = params + 32 + 2 * 72 + 32, macs + 2 * 2 * 64
    # Head: a norm of 2*8, 8*3 + 3.
    params, macs = params + 16 + 27, macs + 24
    # Two real transforms of 2 points for 8 channels: 2.5 * 2 * log2(2) = 5 each.
    fft_flops = 2 * 8 * 5
    # Kept is the image, of 24 numbers. In a block of stage 0, where maps have 24 too: x, for its norm; the normed map, as
    # tokens; q, k, v and the output, and 6 sums for each of 2 heads; what the first scale sees; the sum, for its norm; the
    # normed map; 48 hidden numbers before the activation, and interlaced after it; the input of the second scale.
    kept = 24 + 2 * (24 + 24 + 4 * 24 + 12 + 24 + 24 + 24 + 2 * 48 + 24)
    # The transition: x and the normed map. The block of stage 1, of 16: x; the normed map and its spectrum of 2 complex
    # numbers for 8 channels; the filtered map; normed; before and after the activation. Head: the map, and 8 means.
    kept += 2 * 24 + (16 + 16 + 32 + 16 + 16 + 2 * 16) + 16 + 8
    assert cost(architecture) == Cost(macs, params, fft_flops, activation_bytes=4 * kept)
    assert (macs, params, kept) == (2584, 879, 920)


def test_costs_add_and_multiply() -> None:
    assert Cost(1, 2, 3, 4) + Cost(10, 20, 30, 40) * 2 == Cost(21, 42, 63, 84)


@pytest.mark.parametrize("architecture", sampled(6, seed=4), ids=lambda architecture: architecture.id)
def test_the_members_that_timm_expects(architecture: Architecture) -> None:
    network, x = build(architecture).eval(), images(architecture)
    last = architecture.stages[-1]
    assert (network.num_classes, network.in_chans) == (5, 2)
    assert network.num_features == network.head_hidden_size == last.width
    features = network.forward_features(x)
    assert features.shape == (2, last.width, *architecture.sizes[-1])
    assert torch.equal(network.forward_head(features), network(x))
    pooled = network.forward_head(features, pre_logits=True)
    assert torch.allclose(pooled, features.mean((2, 3)))
    assert torch.allclose(network.get_classifier()(pooled), network(x))
    tensor = network.stem(x)
    if len(architecture.stages) == 1:  # then a feature for each block
        assert [info["module"] for info in network.feature_info] == [f"stages.0.blocks.{i}" for i in range(last.depth)]
        network.feature_info = [network.feature_info[-1] | {"module": "stages.0"}]
    for stage, info, size in zip(network.stages, network.feature_info, architecture.sizes, strict=True):
        tensor = stage(tensor)
        assert tensor.shape == (2, info["num_chs"], *size)
        assert network.get_submodule(info["module"]) is stage
        assert tuple(-(-side // info["reduction"]) for side in architecture.image_size) == size


def test_the_classifier_can_be_reset() -> None:
    network, x = build(sampled(1)[0]).eval(), images(sampled(1)[0])
    network.reset_classifier(9)
    assert network.num_classes == 9
    assert network(x).shape == (2, 9)
    network.reset_classifier(0)
    assert network(x).shape == (2, network.num_features)
    network.reset_classifier(0, "")
    assert torch.equal(network(x), network.forward_features(x))
    with pytest.raises(ValueError, match="global_pool: must be 'avg' or '', found 'max'"):
        network.reset_classifier(3, "max")


def test_the_position_embedding_is_spared_by_weight_decay() -> None:
    stages = [{"mixer": "pool"}]
    for pos_embed in (True, False):
        network = build(Architecture.from_dict({"stages": stages, "stem": {"pos_embed": pos_embed}}))
        assert network.no_weight_decay() == {name for name, _ in network.named_parameters() if "pos_embed" in name}


@pytest.mark.parametrize("architecture", sampled(4, seed=7), ids=lambda architecture: architecture.id)
def test_a_network_can_be_copied_pickled_and_its_weights_loaded(architecture: Architecture) -> None:
    network, x = randomised(architecture).eval(), images(architecture)
    fresh = build(architecture).eval()
    fresh.load_state_dict(network.state_dict())
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), fresh):
        assert torch.equal(other(x), network(x))
    assert copy.deepcopy(network).architecture == architecture


def test_residual_forms_are_those_of_the_literature() -> None:
    def block(residual: str) -> Any:
        description = {"mixer": "conv", "width": 12, "depth": 1, "residual": residual, "norm": "layer"}
        return randomised(Architecture.from_dict({"stages": [description]})).get_submodule("stages.0.blocks.0")

    x = torch.randn(2, 12, 4, 4, generator=torch.Generator().manual_seed(4))
    vit, gfnet = block("pre_norm"), block("single")
    half = x + vit.mixer(vit.norm1(x))
    assert torch.allclose(vit(x), half + vit.mlp(vit.norm2(half)))
    assert torch.allclose(gfnet(x), x + gfnet.mlp(gfnet.norm2(gfnet.mixer(gfnet.norm1(x)))))


def test_norms_are_those_of_their_names() -> None:
    x = torch.randn(3, 12, 4, 5, generator=torch.Generator().manual_seed(4)) * 3 + 1
    for kind, over in (("layer", (1,)), ("group", (1, 2, 3)), ("batch", (0, 2, 3))):
        network = build(Architecture.from_dict({"stages": [{"mixer": "pool", "width": 12, "norm": kind}]}))
        y = network.get_submodule("stages.0.blocks.0.norm1")(x)
        assert torch.allclose(y.mean(over), torch.zeros(()), atol=1e-5)
        assert torch.allclose(y.std(over, correction=0), torch.ones(()), atol=1e-4)
