"""Costs on maps of one position, one row or one column: exact, by a second oracle that counts what torch's kernels compute.

The oracle of `conftest.py` counts einsums by their equation. This one counts the matrix products, convolutions and transforms
that are dispatched, whatever they were called by, and knows nothing of the layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_space import Architecture, HeadSpec, SearchSpace, build, cost
from search_space.errors import SpaceError
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.modules.builders import build_token_mixer
from search_space.operators import operators
from search_space.residual_forms import RESIDUAL_FORMS
from search_space.tape import Cost

SavedBytes = Callable[..., int]
ATEN = torch.ops.aten

MIXER_CHOICES: dict[str, dict[str, list[Any]]] = {
    "afno": {
        "num_blocks": [1, 2, 4],
        "hidden_size_factor": [1, 2],
        "hard_thresholding_fraction": [0.5, 1.0],
        "hard_thresholding": ["both_axes", "afno", "fourcastnet"],
    },
    "attention": {
        "heads": [1, 2, 4],
        "kv_reduction": [1, 2],
        "kv_pool": [None, 1, 2],
        "window": [None, 1, 2],
        "shift": ["none", "alternate", "always"],
    },
    "conv": {"k": [1, 2, 3, 7], "groups": ["depthwise", 1, 2], "interlace": [False, True], "bias": [False, True]},
    "fnet": {},
    "fno": {"modes": ["all", 1, 2]},
    "global_filter": {},
    "identity": {},
    # k = 1 is left out: its products are elementwise, though they count
    "lambda": {"heads": [1, 2, 4], "k": [2, 3, 16], "u": [1, 2, 4], "context": [1, 3, 7, "global"]},
    "mlp": {"ratio": [0.25, 0.5, 2.0]},
    "pool": {"k": [3, 5]},
    "separable_conv": {"k": [1, 3, 4], "expansion": [0.5, 2.0], "act": ["star_relu", "relu", "gelu"]},
    "shift": {"kind": ["shiftvit", "s2", "axial"], "fraction": [4, 12], "shift_size": [1, 3]},
    "wave": {"mode": ["fc", "depthwise"]},
}
WIDTHS = (4, 8, 12)
MAPS = ((1, 1), (1, 2), (2, 1), (1, 5), (4, 1), (2, 2), (3, 2))


class DispatchedCosts(TorchDispatchMode):
    """MACs and floating-point operations of transforms of all that runs within the context."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self.fft_flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output, operation = func(*args, **(kwargs or {})), func.overloadpacket
        if operation in (ATEN.mm, ATEN.bmm):
            self.macs += output.numel() * args[0].shape[-1] * (4 if output.is_complex() else 1)
        elif operation in (ATEN.addmm, ATEN.baddbmm):
            self.macs += output.numel() * args[1].shape[-1] * (4 if output.is_complex() else 1)
        elif operation is ATEN.convolution:
            self.macs += output.numel() * math.prod(args[1].shape[1:])
        elif operation is ATEN._scaled_dot_product_flash_attention_for_cpu:
            self.macs += 2 * args[0].numel() * args[1].shape[2]
        elif operation in (ATEN._fft_r2c, ATEN._fft_c2r):
            real = args[0] if operation is ATEN._fft_r2c else output
            points = real.shape[-2] * real.shape[-1]
            self.fft_flops += round(2.5 * real.numel() * math.log2(points))
        return output


def dispatched_cost(module: nn.Module, image: tuple[int, ...], saved_bytes: SavedBytes) -> Cost:
    """The cost of `module` for one image `(C, H, W)` in float64, where layers compute what their definitions say."""
    module = module.double().eval()
    with DispatchedCosts() as counted, torch.no_grad():
        module(torch.zeros(1, *image, dtype=torch.float64))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Cost(counted.macs, parameters, counted.fft_flops, saved_bytes(module, image))


def test_every_mixer_and_each_of_its_options_is_drawn() -> None:
    assert set(MIXER_CHOICES) == set(MIXERS)
    for name, options in MIXER_CHOICES.items():
        assert set(options) | {"group_width", "sparsity_threshold"} >= set(MIXERS[name].model_fields)


@st.composite
def mixers_on_maps(draw: Any) -> tuple[TokenMixerSpec, int, tuple[int, int]] | None:
    """A token mixer with the width and the size of a map; None where it does not fit."""
    name, width, size = (draw(st.sampled_from(values)) for values in (sorted(MIXER_CHOICES), WIDTHS, MAPS))
    options = {option: draw(st.sampled_from(values)) for option, values in MIXER_CHOICES[name].items()}
    try:
        mixer = MIXERS[name](**options)
        mixer.check(width, size)
    except SpaceError:
        return None
    return mixer.canonical(width, size).for_block(draw(st.integers(0, 1))), width, size


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(drawn=mixers_on_maps())
def test_the_cost_of_a_mixer_is_what_is_computed(drawn: Any, saved_bytes: SavedBytes) -> None:
    if drawn is None:
        return
    mixer, width, size = drawn
    module = build_token_mixer(mixer, width, size)
    if mixer.name == "identity":  # saves nothing, and so has no gradient
        assert mixer.cost(width, size) == Cost()
        return
    assert mixer.cost(width, size) == dispatched_cost(module, (width, *size), saved_bytes)


@pytest.mark.parametrize("context", [1, 3, "global"])
@pytest.mark.parametrize(("k", "u", "heads"), [(4, 1, 2), (4, 2, 2), (3, 1, 1), (16, 4, 4), (2, 1, 8)])
def test_the_macs_of_a_lambda_layer_on_one_position_by_hand(
    k: int, u: int, heads: int, context: Any, saved_bytes: SavedBytes
) -> None:
    value = 8 // heads
    qkv = 8 * (heads * k + u * k + u * value)
    content, applied = u * k * value, k * 8
    position = u * k * value * (1 if context == "global" else context**2)
    mixer = MIXERS["lambda"](k=k, u=u, heads=heads, context=context)
    assert mixer.cost(8, (1, 1)).macs == qkv + content + position + applied
    module = build_token_mixer(mixer, 8, (1, 1))
    assert mixer.cost(8, (1, 1)) == dispatched_cost(module, (8, 1, 1), saved_bytes)


@pytest.mark.parametrize("context", [3, "global"])
@pytest.mark.parametrize(("k", "u"), [(4, 1), (4, 2), (1, 1), (1, 2)])
def test_a_lambda_layer_on_one_position_is_the_same_in_either_form(k: int, u: int, context: Any) -> None:
    """Matrix products where layers compute by their definition, as in float64; elementwise where eager CPU forms run."""
    torch.manual_seed(0)
    module = build_token_mixer(MIXERS["lambda"](k=k, u=u, heads=2, context=context), 8, (1, 1))
    x = torch.randn(3, 8, 1, 1)
    exact = module.eval().double()(x.double())
    torch.testing.assert_close(module.float()(x).double(), exact, rtol=1e-5, atol=1e-5)


IMAGES = (((1, 1), 1), ((2, 2), 2), ((8, 8), 8), ((4, 20), 4), ((12, 4), 4), ((3, 1), 1), ((6, 6), 2))


@cache
def space(image_size: tuple[int, int], patch: int) -> SearchSpace:
    """Networks of every part on images of `image_size`, whose first map is small already."""
    stage: dict[str, Any] = {
        "mixer": MIXER_CHOICES,
        "channel_mixer": {"mlp": {"expansion": [0.5, 1, 2], "groups": "full"}, "pointwise": {"bias": [False, True]}},
        "width": list(WIDTHS),
        "depth": [1, 2],
        "norm": ["batch", "layer", "group", {"name": "layer", "eps": 1e-5}],
        "act": ["gelu", "relu", "silu"],
        "residual": sorted(RESIDUAL_FORMS),
        "begin": ["transition", "block"],
        "downsampling": [
            {"kernel": 1},
            {"kernel": 2},
            {"kernel": 3, "norm": "after"},
            {"kernel": 2, "norm": "patches"},
        ],
        "layer_scale": [None, 0.1],
        "squeeze_excite": [None, {"reduction": 4}],
    }
    stem = {
        "patch": patch,
        "kernel": [None, patch + 2],
        "act": [None, "relu", "gelu"],
        "norm": [None, "batch", "layer"],
        "pos_embed": [False, True],
        "pool": [False, True] if patch % 2 == 0 else False,
    }
    return SearchSpace.from_dict(
        {
            "image_size": image_size,
            "num_classes": 5,
            "layout": ["isotropic", "pyramid"],
            "num_stages": [1, 2],
            "stem": stem,
            "stages": [stage, stage],
        }
    )


@st.composite
def networks(draw: Any) -> Architecture:
    image_size, patch = draw(st.sampled_from(IMAGES))
    architecture = space(image_size, patch).walk(lambda decision: draw(st.sampled_from(decision.values)))
    place, kind = draw(st.sampled_from(["before", "after", None])), draw(st.sampled_from(["batch", "layer", "group"]))
    return architecture.replace(head=HeadSpec(norm=place, kind=kind))


@settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(architecture=networks())
def test_the_cost_of_a_network_is_what_is_computed(architecture: Architecture, saved_bytes: SavedBytes) -> None:
    image = (architecture.in_chans, *architecture.image_size)
    whole = cost(architecture)
    assert whole == dispatched_cost(build(architecture), image, saved_bytes)
    counts = operators(architecture)
    for part in ("macs", "params", "fft_flops"):
        assert sum(count * getattr(operator.cost, part) for operator, count in counts.items()) == getattr(whole, part)
    assert len({operator.key for operator in counts}) == len(counts)
