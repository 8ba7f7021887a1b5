"""The mixers that timm has too: its weights load as they are, and values and gradients agree in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from search_space.mixers import create

SIZE = (5, 6)
pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, which takes seconds to import, and only here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm.layers.lambda_layer
        import timm.models.pvt_v2

    return timm


def agree(ours: nn.Module, theirs: nn.Module, run_theirs: Callable[[torch.Tensor], Any]) -> None:
    """With timm's randomised weights, output and gradients (of input and weights) are the same."""
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    # As it is, but for timm's table of positions, which has no last axis u = 1.
    weights = {name: tensor.reshape(shapes.get(name, tensor.shape)) for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(weights, strict=True)
    x, direction = (torch.randn(2, 12, *SIZE, generator=generator) for _ in range(2))
    mine, timms = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = ours(mine), run_theirs(timms)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    (y * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(mine.grad, timms.grad, rtol=1e-9, atol=1e-9)
    of_timm = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        expected_grad = of_timm[name].grad
        assert expected_grad is not None
        torch.testing.assert_close(parameter.grad, expected_grad.view(parameter.shape), rtol=1e-9, atol=1e-9)


def on_tokens(module: nn.Module, *arguments: object) -> Callable[[torch.Tensor], torch.Tensor]:
    """A module on tokens `(B, N, C)`, applied to a map."""
    return lambda x: module(x.flatten(2).transpose(1, 2), *arguments).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("heads", [1, 3, 4])
def test_attention_is_that_of_timms_vit(timm: ModuleType, heads: int) -> None:
    theirs = timm.layers.Attention(12, num_heads=heads, qkv_bias=True)
    agree(create("attention", width=12, size=SIZE, heads=heads), theirs, on_tokens(theirs))


@pytest.mark.parametrize("reduction", [2, 3])
def test_reduced_attention_is_that_of_timms_pvt(timm: ModuleType, reduction: int) -> None:
    theirs = timm.models.pvt_v2.Attention(12, num_heads=3, sr_ratio=reduction)
    ours = create("attention", width=12, size=SIZE, heads=3, kv_reduction=reduction)
    agree(ours, theirs, on_tokens(theirs, SIZE))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("r", [1, 3, 7])
def test_lambda_of_a_local_context_is_timms(timm: ModuleType, r: int, training: bool) -> None:
    theirs = timm.layers.lambda_layer.LambdaLayer(12, num_heads=3, dim_head=5, r=r).train(training)
    ours = create("lambda", width=12, size=SIZE, heads=3, k=5, context=r).train(training)
    agree(ours, theirs, theirs)


@pytest.mark.parametrize("training", [True, False])
def test_lambda_of_the_global_context_is_timms(timm: ModuleType, training: bool) -> None:
    theirs = timm.layers.lambda_layer.LambdaLayer(12, feat_size=SIZE, num_heads=3, dim_head=5, r=None).train(training)
    ours = create("lambda", width=12, size=SIZE, heads=3, k=5, context="global").train(training)
    agree(ours, theirs, theirs)
