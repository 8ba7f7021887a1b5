"""Blocks: each residual form against its equation, and blocks that change map and width against plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_space import Architecture, Cost, Stage, build, channel_graph as cdg, cost
from search_space.channel_graph import Stack
from search_space.channel_mixers.mlp import MLPSpec
from search_space.errors import ArchitectureError
from search_space.modules.block import build_block
from search_space.residual_forms import RESIDUAL_FORMS
from search_space.shapes import BlockShape

Tensor = torch.Tensor
Size = tuple[int, int]


def randomised(module: nn.Module) -> Any:
    """`module` in float64 with random parameters and statistics, so that norms and scales count."""
    generator = torch.Generator().manual_seed(0)
    module = module.double().eval()
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return module


def maps(channels: int, size: Size, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


EQUATIONS: dict[str, Any] = {
    "pre_norm": lambda b, x: (z := x + b.ls1(b.mixer(b.norm1(x)))) + b.ls2(b.mlp(b.norm2(z))),
    "single": lambda b, x: x + b.ls(b.mlp(b.norm2(b.mixer(b.norm1(x))))),
    "convmixer": lambda b, x: b.norm2(F.gelu(b.mlp(x + b.ls(b.norm1(F.gelu(b.mixer(x))))))),
    "shiftvit": lambda b, x: (s := b.mixer(x)) + b.ls(b.mlp(b.norm2(s))),
    "plain": lambda b, x: F.gelu(b.norm2(b.mlp(b.norm1(b.mixer(x))))),
    "bottleneck": lambda b, x: F.gelu(
        x + b.ls(b.norm3(b.mlp.fc2(F.gelu(b.norm2(b.mixer(F.gelu(b.norm1(b.mlp.fc1(x)))))))))
    ),
}


@pytest.mark.parametrize("residual", sorted(RESIDUAL_FORMS))
@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_residual_forms_compute_their_equations(residual: Any, norm: Any) -> None:
    scale = None if residual == "plain" else 0.5
    stage = Stage(mixer="conv", width=8, residual=residual, norm=norm, layer_scale=scale)
    built = randomised(build_block(stage, BlockShape(8, 8, (5, 4)), 0))
    x = maps(8, (5, 4))
    torch.testing.assert_close(built(x), EQUATIONS[residual](built, x), rtol=1e-12, atol=1e-12)


def means_of_2x2(x: Tensor) -> Tensor:
    """Naively; at an odd border of the positions that there are."""
    rows, columns = x.shape[2:]
    halved = [
        torch.stack([x[:, :, i : i + 2, j : j + 2].mean((2, 3)) for j in range(0, columns, 2)], dim=-1)
        for i in range(0, rows, 2)
    ]
    return torch.stack(halved, dim=-2)


CONV = {"name": "conv", "k": 3, "groups": 1}
SIZES = [(8, 6), (5, 7), (1, 3)]


def halving(built: Any, x: Tensor, mixer: Any) -> Tensor:
    """What the token mixer of a block with stride does: a convolution by its stride, others by means after them."""
    if mixer["name"] == "conv":
        k = built.mixer.weight.shape[-1]
        padded = F.pad(x, ((k - 1) // 2, k // 2, (k - 1) // 2, k // 2))
        return F.conv2d(padded, built.mixer.weight, built.mixer.bias, stride=2, groups=built.mixer.groups)
    return means_of_2x2(built.mixer(x))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "mixer", [CONV, {"name": "conv", "k": 4}, {"name": "pool"}, {"name": "lambda", "heads": 2}], ids=str
)
def test_a_plain_block_that_changes_map_and_width(size: Size, mixer: dict[str, Any]) -> None:
    description: dict[str, Any] = {"mixer": mixer, "width": 12, "downsample": 2, "residual": "plain", "begin": "block"}
    shape = BlockShape(8, 12, size, 2)
    built = randomised(build_block(Stage(**description), shape, 0))
    x = maps(8, size)
    y = built.norm1(halving(built, x, mixer))
    y = F.conv2d(
        F.gelu(F.conv2d(y, built.mlp.fc1.weight, built.mlp.fc1.bias)), built.mlp.fc2.weight, built.mlp.fc2.bias
    )
    expected = F.gelu(built.norm2(y))
    assert built(x).shape == (2, 12, *shape.size) == (2, 12, -(-size[0] // 2), -(-size[1] // 2))
    torch.testing.assert_close(built(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mixer", [CONV, {"name": "attention", "heads": 2}], ids=str)
def test_a_bottleneck_block_that_changes_map_and_width(size: Size, mixer: dict[str, Any]) -> None:
    stage = Stage(
        mixer=mixer,
        channel_mixer={"name": "mlp", "expansion": 0.5, "groups": [2, 3], "bias": False},
        width=12,
        downsample=2,
        residual="bottleneck",
        begin="block",
        act="silu",
        downsampling={"kernel": 1, "norm": "after", "bias": False},
        squeeze_excite={"reduction": 4},
    )
    built = randomised(build_block(stage, BlockShape(8, 12, size, 2), 0))
    x = maps(8, size)
    y = F.silu(built.norm1(F.conv2d(x, built.mlp.fc1.weight, groups=2)))
    y = y[:, [0, 3, 1, 4, 2, 5]]  # six channels of two groups, interlaced
    y = F.silu(built.norm2(halving(built, y, mixer)))
    y = built.gate(built.norm3(F.conv2d(y, built.mlp.fc2.weight, groups=3)))
    shortcut = built.shortcut.norm_after(F.conv2d(x[:, :, ::2, ::2], built.shortcut.conv.weight))
    torch.testing.assert_close(built(x), F.silu(shortcut + y), rtol=1e-10, atol=1e-10)


FORMS: dict[str, dict[str, Any]] = {
    "clc": {"residual": "plain", "mixer": {"name": "conv", "k": 3, "group_width": 2, "interlace": True}}
    | {"channel_mixer": {"name": "pointwise", "groups": 2}},
    "plain mlp": {"residual": "plain", "mixer": "pool", "channel_mixer": {"name": "mlp", "expansion": 1.5}},
    "resnet": {"residual": "bottleneck", "mixer": CONV, "channel_mixer": {"name": "mlp", "expansion": 0.25}},
    "shufflenet": {"residual": "bottleneck", "mixer": {"name": "conv", "k": 3}, "layer_scale": 0.1}
    | {"channel_mixer": {"name": "mlp", "expansion": 0.5, "groups": [4, 2], "bias": False}},
    "botnet": {"residual": "bottleneck", "mixer": {"name": "attention", "heads": 2, "window": 2, "shift": "alternate"}}
    | {"squeeze_excite": {"reduction": 4}, "channel_mixer": {"name": "mlp", "expansion": 0.5}},
    "lambda": {"residual": "bottleneck", "mixer": {"name": "lambda", "context": "global", "heads": 2}},
    "afno": {"residual": "bottleneck", "mixer": {"name": "afno", "num_blocks": 2}},
    "patches": {"residual": "bottleneck", "mixer": "pool", "downsampling": {"kernel": 2, "norm": "patches"}},
    "shift": {"residual": "plain", "mixer": {"name": "shift", "fraction": 4}},
}


def network(form: str, begin: str = "block") -> Architecture:
    """Three stages of `form`: the first widens, the second halves and widens, the third halves an odd map."""
    stage = FORMS[form] | {"begin": begin, "act": "silu"}
    stages = [
        stage | {"width": 16, "depth": 2},
        stage | {"width": 32, "depth": 2, "downsample": 2},
        stage | {"width": 32, "depth": 1, "downsample": 2},
    ]
    return Architecture.from_dict({"stages": stages, "stem": {"patch": 2, "ratio": 0.5}, "image_size": [20, 28]})


every_form = pytest.mark.parametrize("form", FORMS)


@every_form
@pytest.mark.parametrize("begin", ["transition", "block"])
def test_the_cost_is_that_of_a_counted_forward(
    form: str, begin: str, counted_forward: Callable[[nn.Module, tuple[int, ...]], Cost]
) -> None:
    architecture = network(form, begin)
    assert architecture.sizes == ((10, 14), (5, 7), (3, 4))
    assert cost(architecture) == counted_forward(build(architecture), (1, 3, 20, 28))


@every_form
def test_every_parameter_gets_a_gradient_that_agrees_with_differences(form: str) -> None:
    net = randomised(build(network(form)))
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(
                parameter, std=parameter[0].numel() ** -0.5, generator=torch.Generator().manual_seed(len(name))
            )
    x, step = maps(3, (20, 28)), maps(3, (20, 28)).flip(0)
    weight = torch.randn(2, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x.requires_grad_()
    (net(x) * weight).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    with torch.no_grad():
        difference = ((net(x + 1e-6 * step) - net(x - 1e-6 * step)) * weight).sum() / 2e-6
    assert float((x.grad * step).sum()) == pytest.approx(float(difference), rel=1e-4, abs=1e-6)


@every_form
@pytest.mark.parametrize("place", [0, -1])
def test_the_layers_of_a_block_compose_to_what_its_branch_depends_on(form: str, place: int) -> None:
    stage, before = network(form).stages[1], network(form).stage_inputs[1]
    shape = stage.block_shapes(before)[place]
    built = randomised(build_block(stage, shape, 0))
    branch = built.norm3 if stage.residual == "bottleneck" else built.norm2
    seen: list[Tensor] = []
    branch.register_forward_hook(lambda module, args, output: seen.append(output))
    x = maps(shape.width_before, (6, 6), batch=1).requires_grad_()
    if stage.mixer.is_bound_to_size:
        built = randomised(build_block(stage, shape := shape._replace(size_before=(6, 6)), 0))
        built.norm3.register_forward_hook(lambda module, args, output: seen.append(output))
    built(x)
    rows = [torch.autograd.grad(y.sum(), x, retain_graph=True)[0][0].abs().sum((1, 2)) for y in seen[-1][0]]
    stack = Stack(stage.layers(shape))
    assert (torch.stack(rows) > 1e-12).tolist() == stack.graph.matrix.tolist()
    assert stack.graph.is_full


def test_shapes_bound_to_the_map_follow_another_size_in_each_block() -> None:
    architecture = network("lambda")
    net = build(architecture)
    tables = [b.mixer.pos_emb.shape[:2] for stage in net.stages for b in stage.blocks]
    assert tables == [(19, 27), (19, 27), (19, 27), (9, 13), (9, 13)]  # each reaches over the map that comes in
    net.set_input_size((12, 16))
    other = build(architecture.replace(image_size=(12, 16)))
    assert {n: p.shape for n, p in net.named_parameters()} == {n: p.shape for n, p in other.named_parameters()}
    assert net(torch.zeros(1, 3, 12, 16)).shape == (1, 10)


# What is refused


def stage(**parts: Any) -> dict[str, Any]:
    return {"mixer": "conv", "width": 12, "downsample": 2, "begin": "block", "residual": "plain", **parts}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"residual": "pre_norm"}, r"stages\[1\]\.begin: must be 'transition' for residual 'pre_norm' .*found 'block'"),
        ({"residual": "convmixer"}, r"stages\[1\]\.begin: must be 'transition' for residual 'convmixer'"),
        (
            {"residual": "bottleneck", "channel_mixer": "pointwise"},
            r"stages\[1\]\.channel_mixer: must be mlp for residual 'bottleneck', .*found 'pointwise'",
        ),
        # The first block works at the 8 channels that come in, the second at 12.
        ({"mixer": {"name": "conv", "groups": 6}}, r"stages\[1\]\.mixer\.groups: must divide the width 8, found 6"),
        ({"mixer": {"name": "conv", "groups": 8}}, r"stages\[1\]\.mixer\.groups: must divide the width 12, found 8"),
        (
            {"channel_mixer": {"name": "pointwise", "groups": 3}},
            r"stages\[1\]\.channel_mixer\.groups: must divide the width 8, found 3",
        ),
        (
            {"channel_mixer": {"name": "pointwise", "groups": 2}},
            r"stages\[1\]\.channel_mixer: the block must reach every channel: output 0 misses 4 of 8 inputs",
        ),
        (
            {"channel_mixer": {"name": "mlp", "expansion": 1.0, "groups": [4, 4]}},
            r"stages\[1\]\.channel_mixer\.groups: g1\*g2 must not exceed the 12 hidden channels .*found '4\*4 = 16'",
        ),
        (
            {"residual": "bottleneck", "channel_mixer": {"name": "mlp", "expansion": 1.0, "groups": [4, 4]}},
            r"stages\[1\]\.channel_mixer\.groups: g1\*g2 must not exceed the 12 hidden channels .*found '4\*4 = 16'",
        ),
        (
            {"residual": "bottleneck", "channel_mixer": {"name": "mlp", "expansion": 0.3}},
            r"stages\[1\]\.channel_mixer\.expansion: times the width 12 must be whole, found 0\.3",
        ),
        (
            {"residual": "bottleneck", "mixer": {"name": "attention", "heads": 4}}
            | {"channel_mixer": {"name": "mlp", "expansion": 0.5}},
            r"stages\[1\]\.mixer\.heads: must divide the width 6, found 4",
        ),
        (
            {"mixer": {"name": "conv", "groups": 2, "group_width": 2}},
            r"stages\[1\]\.mixer\.group_width: must be null where groups is 2, found 2",
        ),
        (
            {"mixer": {"name": "conv", "group_width": 3}},
            r"stages\[1\]\.mixer\.group_width: must divide the width 8, found 3",
        ),
    ],
)
def test_mixers_that_do_not_fit_a_block_are_refused_by_place_rule_and_value(
    parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Architecture.from_dict({"stages": [{"mixer": "pool", "width": 8}, stage(**parts)]})


def test_a_dense_token_mixer_frees_the_layers_around_it() -> None:
    beyond = {"channel_mixer": {"name": "mlp", "expansion": 1.0, "groups": [4, 4]}, "residual": "bottleneck"}
    dense = Architecture.from_dict({"stages": [{"mixer": "pool", "width": 8}, stage(mixer=CONV, **beyond)]})
    assert dense.stages[1].channel_mixer.to_dict()["groups"] == [4, 4]


def test_a_token_mixer_that_sorts_the_channels_back_undoes_the_reach_of_the_pair() -> None:
    pair = MLPSpec(expansion=1.0, groups=(2, 2))
    pair.check_reach_around(4, cdg.identity(4), 4)
    with pytest.raises(ArchitectureError, match="the block must reach every channel: output 0 misses 2 of 4 inputs"):
        pair.check_reach_around(4, cdg.interlace_layer(4, 2), 4)  # of four channels, interlacing twice is none


# Canonical forms


def test_a_block_that_keeps_its_shape_has_the_canonical_beginning() -> None:
    same = {"mixer": "conv", "width": 8, "residual": "bottleneck", "begin": "block", "downsampling": {"kernel": 1}}
    plain = {"mixer": "conv", "width": 8, "residual": "bottleneck"}
    assert Architecture.from_dict({"stages": [same]}) == Architecture.from_dict({"stages": [plain]})
    halved, kept = Stage(**same, downsample=2), Stage(**plain)
    assert (halved.begin, halved.downsampling.kernel, kept.begin) == ("block", 1, "transition")


def test_a_plain_block_has_no_downsampling() -> None:
    assert Stage(**stage(downsampling={"kernel": 2})) == Stage(**stage())


def test_the_groups_at_two_widths_have_one_canonical_form() -> None:
    def mixer(options: dict[str, Any], depth: int) -> dict[str, Any]:
        clc = {"channel_mixer": {"name": "mlp"}, "width": 16, "depth": depth, "mixer": {"name": "conv", **options}}
        whole = Architecture.from_dict({"stages": [{"mixer": "pool", "width": 8}, stage(**clc)]})
        return whole.stages[1].mixer.model_dump(include={"groups", "group_width"})

    counted, by_width = {"groups": 4, "group_width": None}, {"groups": "depthwise", "group_width": 2}
    assert mixer({"group_width": 2}, depth=1) == counted  # its one block has 8 channels
    assert mixer({"group_width": 2}, depth=2) == by_width  # 4 groups of 8, then 8 of 16
    assert mixer({"groups": 4}, depth=2) == counted  # 4 groups in both
    assert mixer({"group_width": 1}, depth=2) == mixer({}, depth=2) == {"groups": "depthwise", "group_width": None}
    assert mixer({"groups": 8}, depth=2) == {"groups": 8, "group_width": None}  # depthwise only in the first
