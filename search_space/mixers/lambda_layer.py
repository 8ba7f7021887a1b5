"""lambda: the lambda layer (LambdaNetworks; Bello, ICLR 2021).

Each position n gets a linear function (a lambda) of its context and applies it to its query; heads share the lambdas:

    q = BN(W_q x)  (heads, k)        K = softmax_over_positions(W_k x)  (u, k)        V = BN(W_v x)  (u, v),  v = C / heads
    content   Lc[k, v]    = sum_{u, m} K[u, k, m] V[u, v, m]
    position  Lp[n][k, v] = sum_{u, m} E[n, m, k, u] V[u, v, m],   E indexed by pos[m] - pos[n]
    y[n] = (Lc + Lp[n])^T q[n]

With a local context of r x r positions the position lambda is a convolution from u to k channels, with bias. With the
global one, E is a table of all relative positions of the map, bound to its size and interpolated for another.
Parameters are named and laid out as in timm's `LambdaLayer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_space import cdg, costs
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, Mixer, must_divide

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class Lambda(Mixer):
    """Lambda layer, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        heads: query heads; divides the width.
        k: depth of queries and keys.
        u: intra-depth, the number of values summed in each lambda.
        context: "global", which binds the table of positions to the map size, or r, odd: position lambdas reach r x r
            positions.
    """

    name: ClassVar[str] = "lambda"
    heads: Annotated[int, Field(ge=1)] = 4
    k: Annotated[int, Field(ge=1)] = 16
    u: Annotated[int, Field(ge=1)] = 1
    context: Literal["global"] | Annotated[int, Field(ge=1)] = 7

    def check(self, width: int, size: Size) -> None:
        must_divide("heads", self.heads, "width", width)
        if isinstance(self.context, int) and self.context % 2 == 0:
            raise ArchitectureError("context", "must be odd, or 'global'", self.context)

    @property
    def map_bound(self) -> bool:
        return self.context == "global"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def cost(self, width: int, size: Size) -> Cost:
        positions, value = size[0] * size[1], width // self.heads
        channels = self.heads * self.k + self.u * (self.k + value)
        total = costs.conv(width, channels, 1, size, bias=False)
        total = total + costs.norm(self.heads * self.k) + costs.norm(self.u * value)
        content = positions * self.u * self.k * value
        application = positions * self.k * width
        return total + Cost(macs=content + application) + self._position_cost(value, size)

    def _position_cost(self, value: int, size: Size) -> Cost:
        positions = size[0] * size[1]
        if self.context == "global":
            weights = (2 * size[0] - 1) * (2 * size[1] - 1) * self.k * self.u
            return Cost(macs=positions * positions * self.k * self.u * value, params=weights)
        one = costs.conv(self.u, self.k, self.context, size)
        return Cost(macs=one.macs * value, params=one.params)

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.layers.lambda_layer import LambdaLayer

        return LambdaLayer(width, size, self.heads, self.k, self.u, None if self.context == "global" else self.context)
