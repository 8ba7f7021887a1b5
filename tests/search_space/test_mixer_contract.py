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
from mixer_cases import CASES, CHANNEL_VARIANTS, VARIANT_CASES, VARIANTS, Case
from torch import nn

from search_space.channel_graph import ChannelGraph
from search_space.channel_mixers import CHANNEL_MIXERS
from search_space.errors import UnknownSpaceNameError
from search_space.mixers import MIXERS, TokenMixerSpec, create
from search_space.modules.block import strided_token_mixer
from search_space.registry import Registry
from search_space.tape import Cost, FeatureMap, Tape

every_case = pytest.mark.parametrize("case", CASES, ids=repr)
every_variant = pytest.mark.parametrize("case", VARIANT_CASES, ids=repr)


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


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.mixer, TokenMixerSpec)], ids=repr)
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


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.mixer, TokenMixerSpec)], ids=repr)
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
    with pytest.raises(UnknownSpaceNameError, match=r"no such mixer .*'atention'; did you mean attention"):
        create("atention", width=32, size=(4, 4))
    with pytest.raises(
        UnknownSpaceNameError,
        match=r"no such key \(known: heads, kv_pool, kv_reduction, shift, window\), found 'head'; did you mean heads\?",
    ):
        create("attention", width=32, size=(4, 4), head=4)


def test_graphs_are_boolean_matrices_of_the_width() -> None:
    for name in MIXERS:
        matrix = MIXERS[name]().graph(24).matrix
        assert matrix.shape == (24, 24)
        assert matrix.dtype == np.bool_
