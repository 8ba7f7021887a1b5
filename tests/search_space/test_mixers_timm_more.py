"""Further mixers that timm has too: windows, pooled keys, separable convolution, token MLP. Values and gradients in float64.

As in `test_mixers_timm.py`, timm's weights load as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

from search_space.mixers import create

Size = tuple[int, int]
pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, which takes seconds to import, and only here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm.models.metaformer
        import timm.models.mlp_mixer
        import timm.models.pvt_v2
        import timm.models.swin_transformer

    return timm


def agree(
    ours: nn.Module, theirs: nn.Module, run_theirs: Callable[[torch.Tensor], torch.Tensor], size: Size, width: int = 12
) -> None:
    """With timm's randomised weights, output and gradients (of input and weights) are the same."""
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x, direction = (torch.randn(2, width, *size, generator=generator) for _ in range(2))
    mine, timms = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = ours(mine), run_theirs(timms)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9)
    (y * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(mine.grad, timms.grad, rtol=1e-9, atol=1e-9)
    of_timm = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, of_timm[name].grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("act", ["star_relu", "relu", "gelu"])
@pytest.mark.parametrize(("k", "expansion", "size"), [(7, 2.0, (5, 6)), (3, 0.5, (4, 4)), (1, 1.25, (1, 3))])
def test_separable_conv_is_timms_sepconv(timm: ModuleType, act: str, k: int, expansion: float, size: Size) -> None:
    acts = {"star_relu": timm.models.metaformer.StarReLU, "relu": nn.ReLU, "gelu": nn.GELU}
    theirs = timm.models.metaformer.SepConv(
        12, expansion_ratio=expansion, act1_layer=acts[act], kernel_size=k, padding=k // 2
    )
    agree(create("separable_conv", width=12, size=size, k=k, expansion=expansion, act=act), theirs, theirs, size)


@pytest.mark.parametrize("ratio", [0.5, 1.3])
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 2)])
def test_mlp_is_the_token_mlp_of_timms_mixer(timm: ModuleType, ratio: float, size: Size) -> None:
    theirs = timm.models.mlp_mixer.MixerBlock(12, size[0] * size[1], mlp_ratio=(ratio, 4.0)).mlp_tokens
    ours = create("mlp", width=12, size=size, ratio=ratio)
    agree(ours, theirs, lambda x: theirs(x.flatten(2)).view(x.shape), size)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("size", [(7, 7), (8, 10), (14, 7)])
def test_pooled_attention_is_the_linear_attention_of_timms_pvt(timm: ModuleType, heads: int, size: Size) -> None:
    theirs = timm.models.pvt_v2.Attention(12, num_heads=heads, linear_attn=True)
    agree(
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
    agree(ours, block.attn, lambda x: block._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), size)


def test_a_stage_of_alternating_windows_is_that_of_timms_swin(timm: ModuleType) -> None:
    from search_space.mixers.attention import Attention

    size = (8, 6)
    stage = timm.models.swin_transformer.SwinTransformerStage(
        12, 12, size, 4, downsample=False, num_heads=3, window_size=4
    )
    mixer = Attention(heads=3, window=4, shift="alternate")
    for index, block in enumerate(stage.blocks):
        ours = mixer.at(index).build(12, size)
        run = lambda x, block=block: block._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # noqa: E731
        agree(ours, block.attn, run, size)
