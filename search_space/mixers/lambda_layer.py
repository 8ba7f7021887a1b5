"""lambda: the lambda layer (LambdaNetworks; Bello, ICLR 2021).

Each position n gets a linear function (a lambda) of its context and applies it to its query; heads share the lambdas:

    q = BN(W_q x)  (heads, k)        K = softmax_over_positions(W_k x)  (u, k)        V = BN(W_v x)  (u, v),  v = C / heads
    content   Lc[k, v]    = sum_{u, m} K[u, k, m] V[u, v, m]
    position  Lp[n][k, v] = sum_{u, m} E[n, m, k, u] V[u, v, m],   E indexed by pos[m] - pos[n]
    y[n] = (Lc + Lp[n])^T q[n]

With a local context of r x r positions the position lambda is a convolution from u to k channels, with bias. With the
global one, E is a table of all relative positions of the map, bound to its size and interpolated for another.
Batch norms are on queries and values, as in the paper and in timm; keys have their softmax over positions only, and there is no
scale. Parameters are named and laid out as in timm's `LambdaLayer`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec, check_divides
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class LambdaSpec(TokenMixerSpec):
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
        check_divides("heads", self.heads, "width", width)
        if isinstance(self.context, int) and self.context % 2 == 0:
            raise ArchitectureError("context", "must be odd, or 'global'", self.context)

    @property
    def is_bound_to_size(self) -> bool:
        return self.context == "global"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        """Saved are x, the queries, keys and values as one convolution returns them, K, V, the queries once more with positions
        first, and the lambdas of all positions; with u > 1 further copies, see `_copies`.
        """
        positions, value = x.positions, x.width // self.heads
        queries, keys, values = self.heads * self.k, self.u * self.k, self.u * value
        tape.conv(x, queries + keys + values, bias=False)
        self._trace_positions(x, tape, value)
        tape.add(
            macs=positions * (keys * value + self.k * x.width),
            params=2 * (queries + values),
            saved=positions * (2 * queries + 2 * keys + 2 * values + self.k * value),
        )
        tape.add(saved=positions * self._copies(positions, value))
        # With k = 1 einsum makes no matrix product, and its output has the memory format of the queries.
        return FeatureMap(x.width, x.size, channels_last=self.k > 1 or self.heads == 1)

    def _copies(self, positions: int, value: int) -> int:
        """The number of channels of K and V that are copied: torch sums over u and positions as one axis, which needs a copy.

        The convolution of a local context saves V itself, the table of a global one a further copy.
        """
        keys, values = self.u * self.k, self.u * value
        if self.u == 1:
            return 0
        if positions > 1:
            return keys + values
        return values if value > 1 and self.context == "global" else 0

    def _trace_positions(self, x: FeatureMap, tape: Tape, value: int) -> None:
        if self.context == "global":
            table = (2 * x.size[0] - 1) * (2 * x.size[1] - 1) * self.k * self.u
            tape.add(macs=x.positions**2 * self.k * self.u * value, params=table)
        else:
            weights = self.context**2 * self.u * self.k
            tape.add(macs=weights * x.positions * value, params=weights + self.k)
