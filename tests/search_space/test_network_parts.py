"""The parts besides the mixers: stems, transitions, scales, gates and heads against plain torch operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_space import Architecture, Cost, HeadSpec, SearchSpace, Stage, StemSpec, build, cost
from search_space.errors import ArchitectureError
from search_space.modules.block import channel_mixer_of
from search_space.modules.downsampling import transition_of
from search_space.modules.layers import LayerScale
from search_space.modules.stem import Stem
from search_space.tape import cost_of_layer

Tensor = torch.Tensor


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """`module` in float64 with random parameters and statistics, so that norms and scales count."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return module


def test_a_layer_scale_multiplies_each_channel_of_a_branch() -> None:
    scale = LayerScale(3, 0.1)
    x = torch.randn(2, 3, 4, 4)
    scale.gamma.data = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(scale(x)[:, 2], 3 * x[:, 2])
    with pytest.raises(ArchitectureError, match=r"layer_scale: must be null for residual 'plain'.*found 0\.1"):
        Stage(mixer="conv", residual="plain", layer_scale=0.1)


def test_squeeze_excite_is_timms() -> None:
    from timm.layers import SqueezeExcite

    stage = Stage(mixer="pool", width=12, squeeze_excite={"reduction": 3}, norm="layer")
    ours = randomised(channel_mixer_of(stage))
    theirs = SqueezeExcite(12, rd_channels=4).double()
    theirs.load_state_dict(ours.gate.state_dict())
    x = torch.randn(2, 12, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(ours.mixer(x)), rtol=1e-12, atol=1e-12)
    gated, plain = (Architecture(stages=(s,)) for s in (stage, stage.replace(squeeze_excite=None)))
    assert cost(gated).macs - cost(plain).macs == 2 * (12 * 4 + 4 * 12)  # two blocks
    assert cost(gated).params - cost(plain).params == 2 * (12 * 4 + 4 + 4 * 12 + 12)
    assert sum(p.numel() for p in build(gated).parameters()) == cost(gated).params
    space = SearchSpace.from_dict({"stages": [{"mixer": "pool", "squeeze_excite": [None, {"reduction": 4}]}]})
    assert {a.stages[0].squeeze_excite for a in space} == {None, stage.squeeze_excite.replace(reduction=4)}
    assert all(space.decode(space.encode(a)) == a for a in space)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 3)])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("norm", ["before", "after", None])
def test_transitions_halve_the_map_rounding_up(size: tuple[int, int], kernel: Any, norm: Any) -> None:
    stage = Stage(mixer="conv", width=12, downsample=2, downsampling={"kernel": kernel, "norm": norm, "bias": False})
    module = randomised(transition_of(stage, 8))
    x = torch.randn(2, 8, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert module(x).shape == (2, 12, *stage.size_after(size)) == (2, 12, -(-size[0] // 2), -(-size[1] // 2))
    y = module.norm_before(x)
    # A 2x2 window at an odd border, a 3x3 one everywhere, see zeros; both written as plain products of unfolded patches.
    low = 1 if kernel == 3 else 0
    y = F.pad(y, (low, int(kernel > 1), low, int(kernel > 1)))
    patches = F.unfold(y, kernel, stride=2)  # (2, 8 * kernel^2, n)
    weight = module.conv.weight.reshape(12, -1)
    rows, columns = stage.size_after(size)
    wide = (y.shape[3] - kernel) // 2 + 1
    products = (weight @ patches).reshape(2, 12, -1, wide)[:, :, :rows, :columns]
    torch.testing.assert_close(module(x), module.norm_after(products), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("stem", "size"),
    [
        (StemSpec(patch=4), 16),
        (StemSpec(patch=4, kernel=7), 16),
        (StemSpec(patch=2, kernel=3, norm="batch", act="relu"), 10),
        (StemSpec(patch=2, kernel=3, norm="batch", act="relu", order="norm_act", bias=False), 10),
        (StemSpec(patch=1, kernel=3), 5),
        (StemSpec(patch=3, kernel=4, norm="layer"), 9),
        (StemSpec(patch=7, act="gelu", norm="batch", pos_embed=True), 14),
        (StemSpec(patch=4, kernel=7, pool=True, norm="batch", act="relu", order="norm_act"), 12),
        (StemSpec(patch=2, kernel=3, pool=True), 6),
        (StemSpec(patch=2, tiered=True, norm="batch", act="relu", order="norm_act", bias=False), 6),
        (StemSpec(patch=4, tiered=True, norm="batch", act="gelu"), 12),
        (StemSpec(patch=4, tiered=True, kernel=5, pool=True, norm="batch", act="relu", pos_embed=True), 12),
        (StemSpec(patch=8, tiered=True, pool=True), 16),
    ],
)
def test_stems_give_a_token_for_each_patch(
    stem: StemSpec, size: int, counted_forward: Callable[[nn.Module, tuple[int, ...]], Cost]
) -> None:
    tokens, side = (size // stem.patch, 2 * size // stem.patch), stem.side
    module = randomised(Stem(stem, 3, 16, tokens))
    y = x = torch.randn(2, 3, size, 2 * size, dtype=torch.float64)
    assert module(x).shape == (2, 16, *tokens)
    # The strides of the definition: all at once, or 2, 1 and the rest, of convolutions with 'same' padding.
    left = stem.patch // 2 if stem.pool else stem.patch
    strides, widths = ([2, 1, left // 2], [6, 8, 16]) if stem.tiered else ([left], [16])
    act = {None: lambda v: v, "gelu": F.gelu, "relu": F.relu}[stem.act]
    for layer, stride, width in zip((module, *module.tiers), strides, widths, strict=True):
        assert layer.proj.weight.shape[0] == width
        assert (layer.proj.bias is not None) == stem.bias
        y = F.conv2d(y, layer.proj.weight, layer.proj.bias, stride, (side - stride + 1) // 2)
        y = act(layer.norm(y)) if stem.order == "norm_act" else layer.norm(act(y))
    y = F.max_pool2d(y, 3, 2, 1) if stem.pool else y
    torch.testing.assert_close(module(x), y if module.pos_embed is None else y + module.pos_embed)
    expected = cost_of_layer(lambda image, tape: stem.trace(image, tape, 16), 3, (size, 2 * size))
    assert expected == counted_forward(module.float(), (1, 3, size, 2 * size))


def test_invalid_stems_are_refused() -> None:
    for options, message in (
        ({"patch": 4, "kernel": 3}, "kernel: must not be smaller than the patch 4, found 3"),
        ({"patch": 1, "kernel": 4}, "kernel: must be odd where the patch is 1, found 4"),
        (
            {"patch": 2, "kernel": 4, "pool": True},
            "kernel: must be odd where the stride before the pooling is 1, found 4",
        ),
        ({"patch": 8, "kernel": 3, "pool": True}, "kernel: must not be smaller than the stride before the pooling 4, "),
        ({"patch": 7, "pool": True}, r"pool: needs an even patch \(patch is 7\), found True"),
        ({"patch": 8, "tiered": True}, "tiered: needs a patch of 2 or 4, not 8, found True"),
        (
            {"patch": 2, "tiered": True, "pool": True},
            "tiered: needs a stride before the pooling of 2 or 4, not 1, found",
        ),
        (
            {"patch": 4, "tiered": True, "kernel": 4},
            "kernel: must be odd and at least 3 where the stem is tiered, found 4",
        ),
        ({"ratio": 0}, "ratio: input should be greater than 0"),
    ):
        with pytest.raises(ArchitectureError, match=message):
            StemSpec(**options)
    with pytest.raises(
        ArchitectureError, match=r"stem\.ratio: times the width 6 of the first stage must be whole.* 0\.25"
    ):
        Architecture(stages=(Stage(mixer="pool", width=6),), stem=StemSpec(ratio=0.25))


def test_equal_stems_have_one_canonical_form() -> None:
    assert StemSpec(patch=4, kernel=4) == StemSpec(patch=4)
    assert StemSpec(patch=4, kernel=2, pool=True) == StemSpec(patch=4, pool=True)
    assert StemSpec(patch=4, kernel=3, tiered=True) == StemSpec(patch=4, tiered=True)
    assert StemSpec(act="relu", order="norm_act") == StemSpec(act="relu")
    assert StemSpec(norm="batch", act="relu", order="norm_act") != StemSpec(norm="batch", act="relu")


def test_a_stem_narrower_than_the_first_stage_is_followed_by_a_change_of_width() -> None:
    for begin, residual in (("transition", "pre_norm"), ("block", "plain")):
        stage = Stage(mixer="conv", width=16, begin=begin, residual=residual)
        architecture = Architecture(stages=(stage,), stem=StemSpec(ratio=0.5), image_size=16)
        net = build(architecture)
        assert net.stem(torch.zeros(1, 3, 16, 16)).shape == (1, 8, 4, 4)
        assert net.forward_features(torch.zeros(1, 3, 16, 16)).shape == (1, 16, 4, 4)
        assert isinstance(net.get_submodule("stages.0.transition"), nn.Identity) == (begin == "block")
        assert sum(p.numel() for p in net.parameters()) == cost(architecture).params


@pytest.mark.parametrize("place", ["before", "after", None])
@pytest.mark.parametrize("kind", ["layer", "group", None])
def test_the_norm_of_the_head_is_before_or_after_the_pooling(place: Any, kind: Any) -> None:
    head = HeadSpec(norm=place, kind=kind)
    architecture = Architecture(stages=(Stage(mixer="pool", width=8, norm="group"),), head=head)
    assert architecture.head.kind == ("layer" if place and kind == "layer" else None)  # canonical
    net = randomised(build(architecture))
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    y = net.stages(net.stem(x))
    if place is not None:
        assert isinstance(
            net.norm if place == "before" else net.fc_norm, nn.LayerNorm if kind == "layer" else nn.GroupNorm
        )
    if place == "before":
        y = net.norm(y)
    y = y.mean(dim=(2, 3), keepdim=True)
    if place == "after":
        y = net.fc_norm(y)
    torch.testing.assert_close(net(x), y.flatten(1) @ net.head.weight.T + net.head.bias)
    assert sum(p.numel() for p in net.parameters()) == cost(architecture).params


def test_stem_head_and_blocks_are_choices_of_a_space() -> None:
    space = SearchSpace.from_dict(
        {
            "image_size": 16,
            "layout": ["isotropic", "pyramid"],
            "num_stages": [1, 2],
            "stem": {"patch": [2, 4], "kernel": [None, 3], "act": [None, "gelu"], "norm": [None, "batch"]},
            "head": {"norm": ["before", "after", None]},
            "stages": [
                {"mixer": "conv", "width": 8, "residual": ["plain", "convmixer"], "layer_scale": [None, 0.1]},
                {"mixer": "pool", "width": 8, "downsampling": [{"kernel": 3}, {"kernel": 2, "norm": None}]},
            ],
        }
    )
    # Stems: patch 2 with both kernels, patch 4 with one, times 2 acts and 2 norms: 12. First stage: plain, convmixer,
    # convmixer with scale: 3. One stage: 3; two: isotropic 3 (no downsampling), pyramid 3 * 2. Heads: 3.
    assert space.size == 12 * 3 * (3 + 3 + 6)
    everything = list(space)
    assert len({architecture.id for architecture in everything}) == len(everything) == space.size
    assert all(space.decode(space.encode(architecture)) == architecture for architecture in everything[::7])
    rng = np.random.default_rng(0)
    for _ in range(20):
        architecture = space.sample(rng)
        net = build(architecture)
        net(torch.randn(2, 3, 16, 16)).sum().backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        assert sum(p.numel() for p in net.parameters()) == cost(architecture).params
        assert all(space.contains(neighbour) for neighbour in space.neighbours(architecture))


def test_the_cost_of_a_first_stage_that_halves_the_map() -> None:
    stage = Stage(mixer="conv", width=8, downsample=2)
    architecture = Architecture(stages=(stage,), stem=StemSpec(patch=2, pos_embed=True), image_size=16)
    assert sum(p.numel() for p in build(architecture).parameters()) == cost(architecture).params
    assert build(architecture).stem.pos_embed.shape == (1, 8, 8, 8)
