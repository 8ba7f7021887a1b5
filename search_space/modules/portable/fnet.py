"""The real form of the Fourier token mixing."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.dft import LineDFT, rotation
from search_space.modules.fnet import FNet
from search_space.modules.portable.registry import replaces
from search_space.shapes import Size


@replaces(FNet)
class RealFNet(nn.Module):
    """`FNet`: over the positions, then the real part of the transform over the channels; `(B, C, H, W) -> (B, C, H, W)`."""

    over_channels: torch.Tensor

    def __init__(self, module: FNet, channels: int, size: Size) -> None:
        super().__init__()
        self.over_positions = LineDFT(size)
        matrix = torch.cat(rotation(channels, channels, channels), dim=1)
        self.register_buffer("over_channels", matrix.to(torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.cat(self.over_positions(x), dim=1)  # (B, 2C, H * W)
        return (self.over_channels.to(spectrum.dtype) @ spectrum).view(x.shape).to(x.dtype)
