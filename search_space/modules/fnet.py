"""The Fourier token mixing of `search_space/mixers/fnet.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.mixers.fnet import FNetSpec
from search_space.modules import fourier
from search_space.modules.builders import builds
from search_space.shapes import Size


class FNet(nn.Module):
    """Real part of the transform over channels and positions, `(B, C, H, W) -> (B, C, H, W)`.

    The input is real, so the half spectrum is enough: `Re Y[c, n] = Re Y[-c, -n]` (indices modulo C and N) gives the rest.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[2] * x.shape[3]
        half = fourier.rfft2(x.flatten(2)).real  # (B, C, N//2 + 1)
        mirrored = half[..., 1 : n - n // 2].flip(1, 2)  # the columns N//2 + 1 to N - 1; rows C-1 to 0
        rest = torch.cat((mirrored[:, -1:], mirrored[:, :-1]), dim=1)  # rows 0, C-1 to 1
        return torch.cat((half, rest), dim=-1).view(x.shape).to(x.dtype)


@builds(FNetSpec)
def build_fnet(spec: FNetSpec, width: int, size: Size) -> nn.Module:
    return FNet()
