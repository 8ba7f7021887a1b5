"""The mixers that timm has: its own modules on maps `(B, C, H, W)`, with their weights as ours are named.

`weights()` takes the prefix of the wrapping away; what else differs is a trailing axis of one (timm's table of relative
positions has no intra-depth), which the benchmark reshapes.
"""

from __future__ import annotations

import torch
from timm.layers import Attention, Mlp
from timm.layers.lambda_layer import LambdaLayer
from timm.models import pvt_v2
from timm.models.metaformer import Pooling, SepConv
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

Tensor = torch.Tensor
Size = tuple[int, int]


class OnMaps(nn.Module):
    """A module that takes maps."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def weights(self) -> dict[str, Tensor]:
        return self.inner.state_dict()


class OnTokens(OnMaps):
    """A module that takes tokens `(B, N, C)`, and the map's size where `sized`."""

    def __init__(self, inner: nn.Module, size: Size | None = None) -> None:
        super().__init__(inner)
        self.arguments = () if size is None else (size,)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(2).transpose(1, 2), *self.arguments).transpose(1, 2).reshape(x.shape)


class OnChannels(OnMaps):
    """A module that takes channels as rows, `(B, C, N)`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(2)).view(x.shape)


class Windows(OnMaps):
    """The attention of a Swin block: roll, part into windows, attend, join, roll back."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def weights(self) -> dict[str, Tensor]:
        return self.inner.attn.state_dict()


def attention(width: int, size: Size) -> nn.Module:
    """ViT's attention."""
    return OnTokens(Attention(width, num_heads=4, qkv_bias=True))


def reduced_attention(width: int, size: Size) -> nn.Module:
    """PVT's attention, keys and values from squares of 2x2 positions."""
    return OnTokens(pvt_v2.Attention(width, num_heads=4, sr_ratio=2), size)


def pooled_attention(width: int, size: Size) -> nn.Module:
    """PVTv2's linear attention."""
    return OnTokens(pvt_v2.Attention(width, num_heads=4, linear_attn=True), size)


def windows(width: int, size: Size, shift: int = 0) -> nn.Module:
    """Swin's windows of 7x7."""
    return Windows(SwinTransformerBlock(width, size, num_heads=4, window_size=7, shift_size=shift))


def lambdas(width: int, size: Size, context: int | None) -> nn.Module:
    """The lambda layer."""
    return OnMaps(LambdaLayer(width, feat_size=size, num_heads=4, dim_head=16, r=context))


def separable_conv(width: int, size: Size) -> nn.Module:
    """ConvFormer's mixer."""
    return OnMaps(SepConv(width))


def pooling(width: int, size: Size) -> nn.Module:
    """PoolFormer's mixer."""
    return OnMaps(Pooling())


def token_mlp(width: int, size: Size) -> nn.Module:
    """MLP-Mixer's network over the positions."""
    return OnChannels(Mlp(size[0] * size[1], width // 2))
