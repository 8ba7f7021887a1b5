"""The network over positions of `search_space/mixers/mlp.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.errors import ArchitectureError
from search_space.mixers.mlp import TokenMLPSpec
from search_space.modules.builders import builds
from search_space.modules.size_bound import SizeBound
from search_space.shapes import Size


class TokenMLP(SizeBound):
    """Linear, GELU, linear over the H*W positions of each channel, `(B, C, H, W) -> (B, C, H, W)`; named as timm's `Mlp`."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.size = size
        self.fc1 = nn.Linear(size[0] * size[1], hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, size[0] * size[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x.flatten(2)))).view(x.shape)

    def tensors_for_size(self, size: Size) -> dict[str, torch.Tensor]:
        """Refused: no way to carry its matrices over is established.

        Raises:
            ArchitectureError: always.
        """
        height, width = self.size
        rule = f"mlp is bound to its map of {height}x{width}: a matrix over positions has no accepted interpolation"
        raise ArchitectureError("", rule, size)


@builds(TokenMLPSpec)
def build_token_mlp(spec: TokenMLPSpec, width: int, size: Size) -> nn.Module:
    return TokenMLP(size, spec.hidden(width))
