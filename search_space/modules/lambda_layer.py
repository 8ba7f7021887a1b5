"""The lambda layer of `search_space/mixers/lambda_layer.py`."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.lambda_layer import LambdaSpec
from search_space.modules.builders import builds
from search_space.modules.depthwise import MAX_FAST_PADDING
from search_space.modules.eager import may_rewrite, needs_gradients
from search_space.modules.local_lambdas import LocalLambdas
from search_space.modules.memory_format import Change, apply_to_four_axes
from search_space.modules.precision import at_least_single, call_in_single_precision, is_half_precision_on_cpu
from search_space.modules.size_bound import SizeBound
from search_space.shapes import Size


class LambdaLayer(SizeBound):
    """Lambda layer, `(B, C, H, W) -> (B, C, H, W)`, C = heads * v.

    `qkv` rows: queries (heads, k), keys (u, k), values (u, v). `context` r: position lambdas by `conv_lambda`, an
    `(r, r, 1)` convolution from u to k channels; None: `pos_emb` `(2H-1, 2W-1, k, u)` for every relative position.
    """

    pos_index: torch.Tensor

    def __init__(self, width: int, size: Size, heads: int, k: int, u: int, context: int | None) -> None:
        super().__init__()
        self.heads, self.k, self.u, self.v, self.size = heads, k, u, width // heads, size
        self.qkv = nn.Conv2d(width, heads * k + u * k + u * self.v, 1, bias=False)
        # On flat positions: torch's BatchNorm2d has wrong gradients on CPUs for a batch of one in einsum's strides.
        self.norm_q = nn.BatchNorm1d(heads * k)
        self.norm_v = nn.BatchNorm1d(u * self.v)
        nn.init.trunc_normal_(self.qkv.weight, std=width**-0.5)
        if context is None:
            self.pos_emb = nn.Parameter(torch.empty(2 * size[0] - 1, 2 * size[1] - 1, k, u))
            nn.init.trunc_normal_(self.pos_emb, std=0.02)
            self.register_buffer("pos_index", relative_offset_index(size), persistent=False)
        else:
            self.conv_lambda = nn.Conv3d(u, k, (context, context, 1), padding=(context // 2, context // 2, 0))
            nn.init.trunc_normal_(self.conv_lambda.weight, std=k**-0.5)
        self.is_global = context is None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        n = height * width
        q, k, v = self.qkv(x).flatten(2).split([self.heads * self.k, self.u * self.k, self.u * self.v], dim=1)
        q = self.norm_q(q).view(batch, self.heads, self.k, n)
        k = k.reshape(batch, self.u, self.k, n).softmax(dim=-1)
        v = self.norm_v(v).view(batch, self.u, self.v, n)
        content = content_lambdas(k, v)
        if self.is_global:
            lambdas = by_table(v, self.pos_emb, self.pos_index)
        elif self.is_covered(x):
            lambdas = by_table(v, self.table(height, width), relative_offset_index((height, width)).to(x.device))
            content = content + cast(torch.Tensor, self.conv_lambda.bias)[:, None]
        else:
            maps = v.view(batch, self.u, self.v, height, width).permute(0, 1, 3, 4, 2)  # (B, u, H, W, v)
            lambdas = self.local(maps).flatten(2, 3).transpose(1, 2)  # (B, N, k, v)
        if may_rewrite(x):  # more multiplications, but one pass less over the lambdas of all positions
            y = torch.einsum("bhkn,bnkv->bhvn", q, lambdas) + torch.einsum("bhkn,bkv->bhvn", q, content)
        else:
            y = apply_lambdas(q, lambdas + content.unsqueeze(1))
        return y.reshape(batch, channels, height, width)

    def local(self, values: torch.Tensor) -> torch.Tensor:
        """Position lambdas of a local context, `(B, u, H, W, v) -> (B, k, H, W, v)`.

        On CPUs without AMX, oneDNN's bfloat16 convolution of three axes writes outside of its memory where the kernel is wider
        than the map: NaN gradients, or a corrupted heap. Half precision is therefore computed in single precision there.
        """
        conv = self.conv_lambda
        if is_half_precision_on_cpu(values):
            return call_in_single_precision(conv, values)
        if not may_rewrite(values, module=conv):
            return conv(values)
        bias = cast(torch.Tensor, conv.bias)
        if needs_gradients(values, conv.weight):
            return LocalLambdas.apply(values, conv.weight, bias)
        is_wide = conv.kernel_size[0] > 2 * MAX_FAST_PADDING + 1
        return LocalLambdas.forward(values, conv.weight, bias) if is_wide else conv(values)

    def is_covered(self, x: torch.Tensor) -> bool:
        """True if a table of all pairs of positions costs less than the convolution over the local context.

        This holds where the context covers the map and the table is not larger than the lambdas.
        """
        if not may_rewrite(x, module=self.conv_lambda):
            return False
        batch, _, height, width = x.shape
        context, positions = self.conv_lambda.kernel_size[0], height * width
        return context**2 >= positions and positions * self.u <= batch * self.v

    def table(self, height: int, width: int) -> torch.Tensor:
        """The local context as a table `(2H-1, 2W-1, k, u)` of all relative positions: zero where it does not reach."""
        reach = self.conv_lambda.kernel_size[0] // 2
        rows, columns = height - 1 - reach, width - 1 - reach  # what the context lacks; negative: what it has in excess
        kernel = F.pad(self.conv_lambda.weight.squeeze(-1), (columns, columns, rows, rows))
        return kernel.permute(2, 3, 0, 1)

    def _apply(self, fn: Change, recurse: bool = True) -> LambdaLayer:
        """As `nn.Module` does it; `.to(memory_format=torch.channels_last)` would fail."""
        return super()._apply(apply_to_four_axes(fn), recurse)  # type: ignore[no-untyped-call]

    def tensors_for_size(self, size: Size) -> dict[str, torch.Tensor]:
        """The layer for another map: `pos_emb` interpolated (bicubic), centre and ends fixed; a local context fits any map."""
        if not self.is_global:
            return {}
        table = at_least_single(self.pos_emb.detach()).flatten(2).permute(2, 0, 1)[None]  # (1, k * u, 2H-1, 2W-1)
        shape = (2 * size[0] - 1, 2 * size[1] - 1)
        table = F.interpolate(table, size=shape, mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
        return {"pos_emb": table.unflatten(2, (self.k, self.u)), "pos_index": relative_offset_index(size)}


# On a map of one position some products have sums of one term. einsum computes them by elementwise multiplication, which counters
# of matrix products do not see; the definition's are matrix products, which MACs count (search_space/tape.py).


@torch.fx.wrap  # one node of a traced graph: the size is known when it runs
def content_lambdas(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Content lambdas `(B, k, v)` of keys `(B, u, k, N)` and values `(B, u, v, N)`."""
    if k.shape[1] * k.shape[3] == 1 and not may_rewrite(k):
        return torch.bmm(k[:, 0], v[:, 0].mT)
    return torch.einsum("bukm,buvm->bkv", k, v)


@torch.fx.wrap  # one node of a traced graph: the size is known when it runs
def by_table(v: torch.Tensor, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Position lambdas `(B, N, k, v)` of values `(B, u, v, N)` from a table of relative positions and its flat index."""
    table = table.flatten(0, 1)[index]  # (N, N, k, u)
    if v.shape[1] * v.shape[3] == 1 and not may_rewrite(v):
        return torch.matmul(table[0], v[:, 0].mT).unsqueeze(1)
    return torch.einsum("nmku,buvm->bnkv", table, v)


@torch.fx.wrap  # one node of a traced graph: the size is known when it runs
def apply_lambdas(q: torch.Tensor, lambdas: torch.Tensor) -> torch.Tensor:
    """Each query of `(B, h, k, N)` by the lambda of its position, `(B, N, k, v) -> (B, h, v, N)`."""
    if q.shape[2] * q.shape[3] == 1 and not may_rewrite(q):
        return torch.bmm(q[..., 0], lambdas[:, 0]).unsqueeze(-1)
    return torch.einsum("bhkn,bnkv->bhvn", q, lambdas)


def relative_offset_index(size: Size) -> torch.Tensor:
    """For positions n, m of a map: the flat index of `pos[m] - pos[n] + size - 1` in a `(2H-1, 2W-1)` table, `(N, N)`."""
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    row = rows[None, :] - rows[:, None] + size[0] - 1
    column = columns[None, :] - columns[:, None] + size[1] - 1
    return row * (2 * size[1] - 1) + column


@builds(LambdaSpec)
def build_lambda(spec: LambdaSpec, width: int, size: Size) -> nn.Module:
    context = None if spec.context == "global" else spec.context
    return LambdaLayer(width, size, spec.heads, spec.k, spec.u, context)
