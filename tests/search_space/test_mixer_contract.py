"""What every token mixer and channel mixer promises, checked for each registered one in each variant of a table.

A mixer that is registered but has no row in the table, or an option that never varies there, fails this suite.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search_space.channel_graph import ChannelGraph
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixerSpec
from search_space.errors import UnknownSpaceNameError
from search_space.mixers import MIXERS, TokenMixerSpec, create
from search_space.modules.block import strided_token_mixer
from search_space.modules.builders import build_channel_mixer, build_token_mixer
from search_space.registry import Registry
from search_space.tape import Cost, FeatureMap, Tape

Size = tuple[int, int]
Shape = tuple[int, Size]

VARIANTS: dict[str, list[dict[str, object]]] = {
    "afno": [
        {},
        {"num_blocks": 1, "hidden_size_factor": 2, "sparsity_threshold": 0.0},
        {"num_blocks": 4, "hard_thresholding_fraction": 0.7},
        {"num_blocks": 24, "hidden_size_factor": 3, "hard_thresholding_fraction": 0.4, "sparsity_threshold": 0.02},
        {"num_blocks": 2, "hard_thresholding_fraction": 0.5, "hard_thresholding": "afno"},
        {"num_blocks": 4, "hard_thresholding_fraction": 0.5, "hard_thresholding": "fourcastnet"},
        {"num_blocks": 4, "hard_thresholding": "fourcastnet"},
    ],
    "attention": [
        {},
        {"heads": 1},
        {"heads": 3, "kv_reduction": 2},
        {"heads": 2, "kv_reduction": 3},
        {"heads": 3, "kv_pool": 3},
        {"heads": 2, "window": 3},
        {"heads": 3, "window": 4, "shift": "always"},
        {"window": 2, "shift": "alternate"},
    ],
    "conv": [
        {},
        {"k": 1, "groups": 4},
        {"k": 4},
        {"k": 3, "groups": 1},
        {"k": 2, "groups": 4, "interlace": True},
        {"k": 5, "groups": "depthwise", "interlace": True},
        {"k": 9, "groups": 8, "interlace": True},
        {"k": 3, "group_width": 3, "interlace": True, "bias": False},
    ],
    "fnet": [{}],
    "fno": [{}, {"modes": 1}, {"modes": 2}],
    "global_filter": [{}],
    "identity": [{}],
    "lambda": [
        {},
        {"heads": 1, "k": 4, "context": 1},
        {"heads": 2, "k": 3, "u": 4, "context": 5},
        {"heads": 3, "k": 5, "u": 2, "context": "global"},
        {"context": "global"},
    ],
    "mlp": [{}, {"ratio": 0.3}, {"ratio": 2.0}],
    "pool": [{}, {"k": 5}],
    "separable_conv": [
        {},
        {"k": 4, "expansion": 1.5, "act": "relu"},
        {"k": 1, "expansion": 0.5, "act": "gelu"},
        {"k": 3, "expansion": 4.0},
    ],
    "shift": [
        {},
        {"fraction": 5},
        {"kind": "s2"},
        {"kind": "s2", "fraction": 6, "shift_size": 2},
        {"kind": "axial"},
        {"kind": "axial", "shift_size": 7, "fraction": 5},
    ],
    "wave": [{}, {"mode": "depthwise"}],
}
CHANNEL_VARIANTS: dict[str, list[dict[str, object]]] = {
    "mlp": [
        {},
        {"expansion": 1.0, "groups": (4, 6)},
        {"expansion": 0.5, "groups": (3, 4)},
        {"expansion": 2.0, "groups": (24, 1)},
        {"expansion": 1.0, "groups": (8, 12)},  # reaches every channel only after dense mixers
        {"expansion": 4.0, "groups": (8, 12)},
        {"expansion": 1.0, "groups": (2, 3), "bias": False},
    ],
    "pointwise": [{}, {"groups": 4}, {"groups": 3, "bias": False}],
}
SHAPES: tuple[Shape, ...] = ((24, (8, 8)), (24, (5, 7)), (48, (9, 4)))
ACTIVATIONS = ("gelu", "relu", "silu")


class Case:
    """One mixer at one width and map size."""

    def __init__(self, mixer: TokenMixerSpec | ChannelMixerSpec, shape: Shape, act: str = "gelu") -> None:
        self.mixer, self.width, self.size, self.act = mixer, *shape, act

    def __repr__(self) -> str:
        options = ",".join(f"{k}={v}" for k, v in self.mixer.model_dump(exclude_defaults=True).items())
        return f"{self.mixer.name}({options})-{self.width}-{self.size[0]}x{self.size[1]}"

    def build(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        if isinstance(self.mixer, TokenMixerSpec):
            self.mixer.check(self.width, self.size)
            return build_token_mixer(self.mixer, self.width, self.size)
        self.mixer.check(self.width)
        return build_channel_mixer(self.mixer, self.width, self.act)

    @property
    def cost(self) -> Cost:
        if isinstance(self.mixer, TokenMixerSpec):
            return self.mixer.cost(self.width, self.size)
        return self.mixer.cost(self.width, self.size, self.act)

    def input(self, batch: int = 2, seed: int = 1) -> torch.Tensor:
        return torch.randn(batch, self.width, *self.size, generator=torch.Generator().manual_seed(seed))


def cases() -> list[Case]:
    return [
        Case(registry[name](**options), shape, ACTIVATIONS[index % 3])
        for table, registry in ((VARIANTS, MIXERS), (CHANNEL_VARIANTS, CHANNEL_MIXERS))
        for name in registry
        for index, options in enumerate(table.get(name, []))
        for shape in SHAPES
    ]


every_case = pytest.mark.parametrize("case", cases(), ids=repr)
every_variant = pytest.mark.parametrize("case", [case for case in cases() if case.size == (5, 7)], ids=repr)


def untested(registry: Registry[Any], table: dict[str, list[dict[str, object]]]) -> set[str]:
    """Registered names without a variant in `table`, and `name.option` of options that take one value only in it."""
    missing = {name for name in registry if not table.get(name)}
    for name in set(registry) - missing:
        variants = [registry[name](**options) for options in table[name]]
        fields = registry[name].model_fields
        missing |= {f"{name}.{option}" for option in fields if len({getattr(v, option) for v in variants}) < 2}
    return missing


def test_every_registered_mixer_and_each_of_its_options_is_in_the_tables() -> None:
    assert untested(MIXERS, VARIANTS) == set()
    assert untested(CHANNEL_MIXERS, CHANNEL_VARIANTS) == set()


def test_a_new_mixer_or_option_without_a_variant_would_be_noticed() -> None:
    without_pool = {name: rows for name, rows in VARIANTS.items() if name != "pool"}
    assert untested(MIXERS, without_pool) == {"pool"}
    options = {f"conv.{option}" for option in ("groups", "interlace", "group_width", "bias")}
    assert untested(MIXERS, VARIANTS | {"conv": [{}, {"k": 3}]}) == options


@every_case
def test_shape_and_precision_are_those_of_the_input(case: Case) -> None:
    module, x = case.build(), case.input()
    assert module(x).shape == x.shape
    assert module(x).dtype == torch.float32
    assert module.double()(x.double()).dtype == torch.float64
    assert torch.allclose(module(x.double()).float(), module.float()(x), atol=1e-5)


@every_case
def test_every_parameter_and_the_input_get_a_gradient(case: Case) -> None:
    module, x = case.build(), case.input().requires_grad_()
    y = module(x)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    for name, tensor in [*module.named_parameters(), ("the input", x)]:
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
        assert tensor.grad.abs().max() > 0, name


@every_case
def test_the_cost_is_that_of_a_counted_forward(
    case: Case, counted_forward: Callable[[nn.Module, tuple[int, ...]], Cost]
) -> None:
    counted = counted_forward(case.build(), (1, case.width, *case.size))
    assert case.cost == counted


@every_case
def test_the_memory_saved_for_a_channels_last_input(case: Case, saved_bytes: Callable[..., int]) -> None:
    tape, x = Tape(), FeatureMap(case.width, case.size, channels_last=True)
    y = case.mixer.trace(x, tape) if isinstance(case.mixer, TokenMixerSpec) else case.mixer.trace(x, tape, case.act)
    module = nn.Sequential(case.build(), nn.SiLU())  # what comes next and keeps the map that comes out
    tape.act("silu", y)
    assert tape.cost.activation_bytes == saved_bytes(module, (case.width, *case.size), channels_last=True)
    memory_format = torch.channels_last if y.channels_last else torch.contiguous_format
    lies = case.build().double()(case.input().double().to(memory_format=torch.channels_last))
    assert lies.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("case", [case for case in cases() if isinstance(case.mixer, TokenMixerSpec)], ids=repr)
def test_the_memory_saved_with_a_stride_of_two(case: Case, saved_bytes: Callable[..., int]) -> None:
    assert isinstance(case.mixer, TokenMixerSpec)
    tape = Tape()
    y = case.mixer.trace_strided(FeatureMap(case.width, case.size), tape)
    assert y.size == tuple(-(-side // 2) for side in case.size)
    module = nn.Sequential(*strided_token_mixer(case.mixer, case.width, case.size))
    assert tape.cost.activation_bytes == saved_bytes(module, (case.width, *case.size))


@every_case
def test_the_channel_graph_is_the_pattern_of_the_jacobian(case: Case) -> None:
    assert case.mixer.graph(case.width) == jacobian_pattern(case)


def jacobian_pattern(case: Case, draws: int = 4) -> ChannelGraph:
    """Which output channels move when one input channel does, for random weights; a dead unit of one draw lives in another."""
    module = case.build().double().eval()
    generator = torch.Generator().manual_seed(3)
    moved = torch.zeros(case.width, case.width, dtype=torch.bool)
    for _ in range(draws):
        for parameter in module.parameters():
            nn.init.normal_(parameter, generator=generator)
        x = torch.randn(1, case.width, *case.size, generator=generator, dtype=torch.float64)
        step = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        one_channel = torch.eye(case.width, dtype=torch.float64)[:, :, None, None]  # sample i differs only in channel i
        with torch.no_grad():
            change = module(x + step * one_channel) - module(x.expand(case.width, -1, -1, -1))
        moved |= change.abs().amax((2, 3)).T > 1e-9
    return ChannelGraph(moved.numpy())


@every_variant
def test_a_description_survives_a_round_trip(case: Case) -> None:
    registry: Registry[Any] = MIXERS if isinstance(case.mixer, TokenMixerSpec) else CHANNEL_MIXERS
    assert registry.parse(json.loads(json.dumps(case.mixer.to_dict()))) == case.mixer
    assert registry.parse(case.mixer) is case.mixer


@pytest.mark.parametrize("case", [case for case in cases() if isinstance(case.mixer, TokenMixerSpec)], ids=repr)
def test_the_canonical_form_is_the_same_mixer(case: Case) -> None:
    assert isinstance(case.mixer, TokenMixerSpec)
    canonical = case.mixer.canonical(case.width, case.size)
    assert canonical.canonical(case.width, case.size) == canonical
    assert canonical.cost(case.width, case.size) == case.mixer.cost(case.width, case.size)
    assert torch.equal(Case(canonical, (case.width, case.size)).build()(case.input()), case.build()(case.input()))


@every_variant
def test_a_seed_decides_the_weights_and_nothing_else_is_random(case: Case) -> None:
    first, second = case.build(seed=7), case.build(seed=7)
    assert torch.equal(first(case.input()), second(case.input()))
    state, other = first.state_dict(), second.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)


@every_variant
def test_the_input_is_not_changed(case: Case) -> None:
    x = case.input()
    before = x.clone()
    case.build()(x)
    assert torch.equal(x, before)


@every_variant
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_batch_of_one_works_in_either_mode(case: Case, training: bool) -> None:
    module, x = case.build().train(training), case.input(batch=1)
    assert module(x).shape == x.shape
    assert module(x).isfinite().all()


@every_variant
def test_samples_are_independent_in_eval_mode(case: Case) -> None:
    module, x = case.build().eval(), case.input(batch=3)
    apart = torch.cat([module(sample[None]) for sample in x])
    assert torch.allclose(module(x), apart, atol=1e-5)


@every_variant
def test_the_memory_layout_of_the_input_does_not_matter(case: Case) -> None:
    module, x = case.build(), case.input(batch=4)
    expected = module(x)
    channels_last = x.to(memory_format=torch.channels_last)
    transposed = x.transpose(2, 3).contiguous().transpose(2, 3)
    strided = torch.stack((x, torch.zeros_like(x)), dim=1).flatten(0, 1)[::2]
    for other in (channels_last, transposed, strided):
        assert torch.equal(other, x)
        assert torch.allclose(module(other), expected, atol=1e-5)


@every_variant
def test_mixed_precision_gives_nearly_the_same(case: Case) -> None:
    module, x = case.build(), case.input().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(x)
    y.float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    scale = module(x).abs().max()
    assert (y - module(x)).abs().max() < 0.05 * scale  # bfloat16 keeps eight bits


@every_case
def test_gradients_agree_with_differences(case: Case) -> None:
    module = case.build().double().eval()
    x, step, weight = (case.input(batch=1, seed=seed).double() for seed in (4, 5, 6))
    x.requires_grad_()
    (module(x) * weight).sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        difference = ((module(x + 1e-6 * step) - module(x - 1e-6 * step)) * weight).sum() / 2e-6
    assert float((x.grad * step).sum()) == pytest.approx(float(difference), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", sorted(MIXERS))
def test_a_map_of_one_pixel_is_a_map(name: str) -> None:
    module = create(name, width=24, size=(1, 1)).eval()
    y = module(torch.ones(2, 24, 1, 1))
    assert y.shape == (2, 24, 1, 1)
    assert y.isfinite().all()


def test_create_refuses_what_does_not_fit_or_is_not_known() -> None:
    with pytest.raises(ValueError, match=r"heads: must divide the width 30, found 4"):
        create("attention", width=30, size=(4, 4))
    with pytest.raises(ValueError, match=r"kv_reduction: must not exceed the map 4x3, found 4"):
        create("attention", width=32, size=(4, 3), kv_reduction=4)
    with pytest.raises(UnknownSpaceNameError, match=r"no such mixer .*did you mean attention.*'atention'"):
        create("atention", width=32, size=(4, 4))
    with pytest.raises(
        UnknownSpaceNameError,
        match=r"no such key \(known: heads, kv_pool, kv_reduction, shift, window\); did you mean heads\?",
    ):
        create("attention", width=32, size=(4, 4), head=4)


def test_graphs_are_boolean_matrices_of_the_width() -> None:
    for name in MIXERS:
        matrix = MIXERS[name]().graph(24).matrix
        assert matrix.shape == (24, 24)
        assert matrix.dtype == np.bool_
