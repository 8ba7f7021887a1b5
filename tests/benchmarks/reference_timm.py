"""timm's own mixers on maps `(B, C, H, W)`, with the names of our weights.

`weights()` removes the prefix of the wrapper. The only other difference is a trailing axis of size 1, which the benchmark
reshapes: timm's table of relative positions has no intra-depth.
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
    """A module that takes tokens `(B, N, C)`, and the size of the map if `size` is given."""

    def __init__(self, inner: nn.Module, size: Size | None = None) -> None:
        super().__init__(inner)
        self.arguments = () if size is None else (size,)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(2).transpose(1, 2), *self.arguments).transpose(1, 2).reshape(x.shape)


class OnChannels(OnMaps):
    """A module that takes the positions of each channel, `(B, C, N)`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(2)).view(x.shape)


class Windows(OnMaps):
    """The attention of a Swin block: roll, partition into windows, attend, merge, roll back."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner._attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def weights(self) -> dict[str, Tensor]:
        return self.inner.attn.state_dict()


def attention(width: int, size: Size) -> nn.Module:
    """ViT's attention."""
    return OnTokens(Attention(width, num_heads=4, qkv_bias=True))


def reduced_attention(width: int, size: Size) -> nn.Module:
    """PVT's attention, with keys and values from squares of 2x2 positions."""
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
    """MLP-Mixer's token mixing."""
    return OnChannels(Mlp(size[0] * size[1], width // 2))
