"""The attention mixers of `search_space/mixers/attention.py`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.attention import AttentionSpec, axis_shift
from search_space.modules.builders import builds
from search_space.modules.eager import graph_node
from search_space.modules.size_bound import SizeBound
from search_space.modules.torch_internals import is_transforming
from search_space.shapes import Size


class SelfAttention(nn.Module):
    """Multi-head self-attention, `(B, C, H, W) -> (B, C, H, W)`; `qkv` rows ordered (3, heads, head_dim), as in timm's ViT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)  # (B, N, C)
        qkv = self.qkv(tokens).view(batch, height * width, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, head_dim)
        y = dot_product_attention(q, k, v)
        y = self.proj(y.transpose(1, 2).reshape(batch, height * width, channels))
        return y.transpose(1, 2).reshape(batch, channels, height, width)


class ReducedAttention(nn.Module):
    """Self-attention with fewer keys and values, `(B, C, H, W) -> (B, C, H, W)`; named as PVT and PVTv2.

    They come from LN(Conv_{r, stride r}(x)), or, where `pooled` is p, from gelu(LN(Conv_1x1(x pooled to p x p))).
    """

    def __init__(self, width: int, heads: int, reduction: int, pooled: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.pool = nn.Identity() if pooled is None else nn.AdaptiveAvgPool2d(pooled)
        self.sr = nn.Conv2d(width, width, reduction, stride=reduction)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.act = nn.Identity() if pooled is None else nn.GELU()
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        head = channels // self.heads
        q = self.q(x.flatten(2).transpose(1, 2)).view(batch, height * width, self.heads, head).transpose(1, 2)
        reduced = self.act(self.norm(self.sr(self.pool(x)).flatten(2).transpose(1, 2)))  # (B, M, C)
        k, v = self.kv(reduced).view(batch, reduced.shape[1], 2, self.heads, head).permute(2, 0, 3, 1, 4).unbind(0)
        y = dot_product_attention(q, k, v)  # (B, heads, N, head_dim)
        y = self.proj(y.transpose(1, 2).reshape(batch, height * width, channels))
        return y.transpose(1, 2).reshape(batch, channels, height, width)


class WindowAttention(SizeBound):
    """Self-attention within windows, `(B, C, H, W) -> (B, C, H, W)`; named as timm's Swin.

    `relative_position_bias_table` is `((2 window - 1)^2, heads)`, indexed by query minus key.
    """

    relative_position_index: torch.Tensor
    attn_mask: torch.Tensor

    def __init__(self, width: int, size: Size, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shifted, self.size = heads, window, shifted, size
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window), persistent=False)
        self.register_buffer("attn_mask", self.mask(size), persistent=False)

    def shift(self, size: Size) -> Size:
        """The shift of the windows on a map of `size`."""
        if not self.shifted:
            return (0, 0)
        return (axis_shift(self.window, size[0]), axis_shift(self.window, size[1]))

    def mask(self, size: Size) -> torch.Tensor:
        """Which pairs of positions must not attend to each other, see `separated_positions`; empty without a shift."""
        shift = self.shift(size)
        return separated_positions(size, self.window, shift) if any(shift) else torch.empty(0, dtype=torch.bool)

    def tensors_for_size(self, size: Size) -> dict[str, torch.Tensor]:
        """The mask of another map. The biases are those of relative positions within a window, whatever the map."""
        return {"attn_mask": self.mask(size)}

    def forward(self, x: torch.Tensor | torch.fx.Proxy) -> Any:
        if isinstance(x, torch.fx.Proxy):  # whether to pad depends on the size
            return graph_node(self, x)
        height, width = x.shape[2:]
        down, right = self.shift((height, width))
        if down or right:
            x = x.roll((-down, -right), dims=(2, 3))
        y = self.attend(x)
        if down or right:
            y = y.roll((down, right), dims=(1, 2))
        return self.proj(y).permute(0, 3, 1, 2)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        """Attention of a rolled map, before the projection, `(B, C, H, W) -> (B, H, W, C)`."""
        batch, channels, height, width = x.shape
        w, area = self.window, self.window**2
        rows, columns = -(-height // w), -(-width // w)
        if (rows * w, columns * w) != (height, width):
            x = F.pad(x, (0, columns * w - width, 0, rows * w - height))
        # Channels last first of all: the gradient then comes back in that format, without a copy.
        windows = x.permute(0, 2, 3, 1).view(batch, rows, w, columns, w, channels).transpose(2, 3)
        qkv = self.qkv(windows.reshape(batch * rows * columns, area, channels))
        qkv = qkv.view(batch * rows * columns, area, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B * windows, heads, area, head_dim)
        y = self.attention_output(q, k, v, batch, (height, width))
        y = y.transpose(1, 2).reshape(batch, rows, columns, w, w, channels).transpose(2, 3)
        return y.reshape(batch, rows * w, columns * w, channels)[:, :height, :width]

    def attention_output(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, batch: int, size: Size
    ) -> torch.Tensor:
        """`softmax(q k^T / sqrt(head_dim) + bias) v`, each `(B * windows, heads, area, head_dim)`.

        CPUs have no fused kernel with gradients of the bias; a traced graph has the fused form in any case. Attention weights
        masked by -100 are denormal numbers (about 1e-44), which slow a training step down several times. Logits are therefore
        clamped to 60 below the greatest of their row: exp(-60) vanishes next to 1 even in double precision.
        """
        bias = self.bias(batch, size)
        if q.device.type != "cpu" or not torch.is_grad_enabled() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return dot_product_attention(q, k, v, bias)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
        if any(self.shift(size)):
            logits = (logits - logits.detach().amax(dim=-1, keepdim=True)).clamp_min(-60)
        return logits.softmax(dim=-1) @ v

    def bias(self, batch: int, size: Size) -> torch.Tensor:
        """The bias added to the products of queries and keys, `(1 or B * windows, heads, area, area)`."""
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if not any(self.shift(size)):
            return bias.unsqueeze(0)
        mask = (
            self.attn_mask
            if size == self.size
            else separated_positions(size, self.window, self.shift(size)).to(bias.device)
        )
        biases = bias - 100 * mask.unsqueeze(1).to(bias.dtype)  # (windows, heads, area, area)
        return biases.expand(batch, *biases.shape).flatten(0, 1)


def dot_product_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """`softmax(q k^T / sqrt(head_dim) + bias) v`, each `(B, heads, N, head_dim)`.

    torch's fused kernels have no forward-mode derivatives, and no rule for `torch.func.vmap` on CPUs. Nor have they second
    derivatives, which a layer cannot know of beforehand: those need `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.
    """
    if not is_transforming():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return (logits if bias is None else logits + bias).softmax(dim=-1) @ v


def relative_position_index(window: int) -> torch.Tensor:
    """For queries n and keys m of a window: the flat index of `pos[n] - pos[m] + window - 1`, `(area, area)`."""
    position = torch.arange(window)
    rows, columns = position.repeat_interleave(window), position.repeat(window)
    row = rows[:, None] - rows[None, :] + window - 1
    column = columns[:, None] - columns[None, :] + window - 1
    return row * (2 * window - 1) + column


def separated_positions(size: Size, window: int, shift: Size) -> torch.Tensor:
    """Which pairs of positions in the windows of a rolled map must not attend to each other: `(windows, area, area)`, boolean.

    As in Swin: along each axis of the padded map, the part before the last window, the part of the last window that was there
    before, and the part that was rolled over from the other end are separate regions.
    """
    regions = []
    for side, moved in zip(size, shift, strict=True):
        padded = -(-side // window) * window
        position = torch.arange(padded)
        regions.append((position >= padded - window).long() + (position >= padded - moved).long())
    region = 3 * regions[0][:, None] + regions[1][None, :]  # (H, W), padded
    rows, columns = region.shape[0] // window, region.shape[1] // window
    region = region.view(rows, window, columns, window).transpose(1, 2).reshape(rows * columns, -1)
    return region[:, :, None] != region[:, None, :]


@builds(AttentionSpec)
def build_attention(spec: AttentionSpec, width: int, size: Size) -> nn.Module:
    """The module; of alternating windows, that of the first block."""
    if spec.window is not None:
        return WindowAttention(width, size, spec.heads, spec.window, shifted=spec.shift == "always")
    if spec.kv_pool is not None or spec.kv_reduction > 1:
        return ReducedAttention(width, spec.heads, spec.kv_reduction, spec.kv_pool)
    return SelfAttention(width, spec.heads)
