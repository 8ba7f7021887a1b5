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
from search_space.mixers.attention import AttentionSpec
from search_space.modules.builders import build_token_mixer

Size = tuple[int, int]
SIZE = (5, 6)
pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, imported here because it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm.layers.lambda_layer
        import timm.models.metaformer
        import timm.models.mlp_mixer
        import timm.models.pvt_v2
        import timm.models.swin_transformer

    return timm


def check_agreement(
    ours: nn.Module, theirs: nn.Module, run_theirs: Callable[[torch.Tensor], Any], size: Size = SIZE
) -> None:
    """With timm's weights, drawn at random, output and gradients (of input and weights) are the same."""
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    # Unchanged, but for timm's table of positions, which has no last axis u = 1.
    weights = {name: tensor.reshape(shapes.get(name, tensor.shape)) for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(weights, strict=True)
    x, direction = (torch.randn(2, 12, *size, generator=generator) for _ in range(2))
    our_x, their_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = ours(our_x), run_theirs(their_x)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    (y * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(our_x.grad, their_x.grad, rtol=1e-9, atol=1e-9)
    their_parameters = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        gradient = their_parameters[name].grad
        assert gradient is not None
        torch.testing.assert_close(parameter.grad, gradient.view(parameter.shape), rtol=1e-9, atol=1e-9)
    if not ours.training or not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in ours.modules()):
        with torch.no_grad():  # operations that are used without gradients
            torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9)


def on_tokens(module: nn.Module, *arguments: object) -> Callable[[torch.Tensor], torch.Tensor]:
    """A module on tokens `(B, N, C)`, applied to a map."""
    return lambda x: module(x.flatten(2).transpose(1, 2), *arguments).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("heads", [1, 3, 4])
def test_attention_is_that_of_timms_vit(timm: ModuleType, heads: int) -> None:
    theirs = timm.layers.Attention(12, num_heads=heads, qkv_bias=True)
    check_agreement(create("attention", width=12, size=SIZE, heads=heads), theirs, on_tokens(theirs))


@pytest.mark.parametrize("reduction", [2, 3])
def test_reduced_attention_is_that_of_timms_pvt(timm: ModuleType, reduction: int) -> None:
    theirs = timm.models.pvt_v2.Attention(12, num_heads=3, sr_ratio=reduction)
    ours = create("attention", width=12, size=SIZE, heads=3, kv_reduction=reduction)
    check_agreement(ours, theirs, on_tokens(theirs, SIZE))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("r", [1, 3, 7])
def test_lambda_of_a_local_context_is_timms(timm: ModuleType, r: int, training: bool) -> None:
    theirs = timm.layers.lambda_layer.LambdaLayer(12, num_heads=3, dim_head=5, r=r).train(training)
    ours = create("lambda", width=12, size=SIZE, heads=3, k=5, context=r).train(training)
    check_agreement(ours, theirs, theirs)


@pytest.mark.parametrize("training", [True, False])
def test_lambda_of_the_global_context_is_timms(timm: ModuleType, training: bool) -> None:
    theirs = timm.layers.lambda_layer.LambdaLayer(12, feat_size=SIZE, num_heads=3, dim_head=5, r=None).train(training)
    ours = create("lambda", width=12, size=SIZE, heads=3, k=5, context="global").train(training)
    check_agreement(ours, theirs, theirs)


@pytest.mark.parametrize("act", ["star_relu", "relu", "gelu"])
@pytest.mark.parametrize(("k", "expansion", "size"), [(7, 2.0, (5, 6)), (3, 0.5, (4, 4)), (1, 1.25, (1, 3))])
def test_separable_conv_is_timms_sepconv(timm: ModuleType, act: str, k: int, expansion: float, size: Size) -> None:
    acts = {"star_relu": timm.models.metaformer.StarReLU, "relu": nn.ReLU, "gelu": nn.GELU}
    theirs = timm.models.metaformer.SepConv(
        12, expansion_ratio=expansion, act1_layer=acts[act], kernel_size=k, padding=k // 2
    )
    check_agreement(
        create("separable_conv", width=12, size=size, k=k, expansion=expansion, act=act), theirs, theirs, size
    )


@pytest.mark.parametrize("ratio", [0.5, 1.3])
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 2)])
def test_mlp_is_the_token_mlp_of_timms_mixer(timm: ModuleType, ratio: float, size: Size) -> None:
    theirs = timm.models.mlp_mixer.MixerBlock(12, size[0] * size[1], mlp_ratio=(ratio, 4.0)).mlp_tokens
    ours = create("mlp", width=12, size=size, ratio=ratio)
    check_agreement(ours, theirs, lambda x: theirs(x.flatten(2)).view(x.shape), size)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("size", [(7, 7), (8, 10), (14, 7)])
def test_pooled_attention_is_the_linear_attention_of_timms_pvt(timm: ModuleType, heads: int, size: Size) -> None:
    theirs = timm.models.pvt_v2.Attention(12, num_heads=heads, linear_attn=True)
    check_agreement(
        create("attention", width=12, size=size, heads=heads, kv_pool=7),
        theirs,
        lambda x: theirs(x.flatten(2).transpose(1, 2), size).transpose(1, 2).reshape(x.shape),
        size,
    )


# Sizes that the windows fill, that need padding along one axis or both, and that one window covers along an axis.
WINDOWS = [(3, (6, 9)), (3, (5, 7)), (4, (9, 8)), (2, (5, 4)), (4, (4, 7)), (3, (8, 3)), (3, (3, 3)), (1, (2, 3))]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("window", "size"), WINDOWS)
def test_window_attention_is_that_of_timms_swin(timm: ModuleType, window: int, size: Size, shifted: bool) -> None:
    block = timm.models.swin_transformer.SwinTransformerBlock(
        12, size, num_heads=3, window_size=window, shift_size=window // 2 if shifted else 0
    )
    ours = create("attention", width=12, size=size, heads=3, window=window, shift="always" if shifted else "none")
    check_agreement(ours, block.attn, lambda x: block._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size)


def test_a_stage_of_alternating_windows_is_that_of_timms_swin(timm: ModuleType) -> None:
    size = (8, 6)
    stage = timm.models.swin_transformer.SwinTransformerStage(
        12, 12, size, 4, downsample=False, num_heads=3, window_size=4
    )
    mixer = AttentionSpec(heads=3, window=4, shift="alternate")
    for index, block in enumerate(stage.blocks):
        ours = build_token_mixer(mixer.for_block(index), 12, size)
        run = lambda x, block=block: block._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # noqa: E731
        check_agreement(ours, block.attn, run, size)
