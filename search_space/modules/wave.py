"""The phase-aware token mixing of `search_space/mixers/wave.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.mixers.wave import REDUCTION, TAPS, WaveSpec
from search_space.modules.batch_norm import MapBatchNorm
from search_space.modules.builders import builds
from search_space.modules.depthwise import depthwise_conv
from search_space.modules.eager import may_bypass
from search_space.shapes import Size

torch.fx.wrap("depthwise_conv")  # one node of a traced graph, the kernel is chosen when it runs


class Reweight(nn.Module):
    """Two pointwise layers from the mean of a map to three weights a channel, `(B, C, 1, 1) -> (B, 3C, 1, 1)`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, 3 * width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


def phase(width: int, mode: str) -> nn.Sequential:
    """The phase of each token, `(B, C, H, W) -> (B, C, H, W)`."""
    if mode == "fc":
        conv = nn.Conv2d(width, width, 1)
    else:
        conv = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    return nn.Sequential(conv, MapBatchNorm(width), nn.ReLU())


class Wave(nn.Module):
    """Phase-aware token mixing, `(B, C, H, W) -> (B, C, H, W)`; named as the published PATM."""

    def __init__(self, width: int, hidden: int, taps: int, mode: str) -> None:
        super().__init__()
        self.fc_h = nn.Conv2d(width, width, 1, bias=False)
        self.fc_w = nn.Conv2d(width, width, 1, bias=False)
        self.fc_c = nn.Conv2d(width, width, 1, bias=False)
        self.tfc_h = nn.Conv2d(2 * width, width, (1, taps), padding=(0, taps // 2), groups=width, bias=False)
        self.tfc_w = nn.Conv2d(2 * width, width, (taps, 1), padding=(taps // 2, 0), groups=width, bias=False)
        self.reweight = Reweight(width, hidden)
        self.proj = nn.Conv2d(width, width, 1)
        self.theta_h_conv = phase(width, mode)
        self.theta_w_conv = phase(width, mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = grouped_pair_conv(self.tfc_h, wave(self.fc_h(x), self.theta_h_conv(x)))
        w = grouped_pair_conv(self.tfc_w, wave(self.fc_w(x), self.theta_w_conv(x)))
        c = self.fc_c(x)
        mean = (h + w + c).mean((2, 3), keepdim=True)
        weights = self.reweight(mean).view(x.shape[0], x.shape[1], 3, 1, 1).softmax(dim=2)
        return self.proj(h * weights[:, :, 0] + w * weights[:, :, 1] + c * weights[:, :, 2])


def wave(amplitude: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Real parts, then imaginary parts, of `amplitude * exp(i theta)`: `(B, C, H, W) -> (B, 2C, H, W)`."""
    return torch.cat((amplitude * theta.cos(), amplitude * theta.sin()), dim=1)


def grouped_pair_conv(conv: nn.Conv2d, parts: torch.Tensor) -> torch.Tensor:
    """`conv(parts)` of a convolution in C groups of two channels, `(B, 2C, H, W) -> (B, C, H, W)`.

    The same as a depthwise convolution and a sum of pairs, which is several times faster.
    """
    if not may_bypass(conv):
        return conv(parts)
    batch, channels, height, width = parts.shape
    kernels = conv.weight.flatten(0, 1).unsqueeze(1)
    y = depthwise_conv(parts, kernels, None, (conv.kernel_size[0], conv.kernel_size[1]))
    first, second = y.view(batch, channels // 2, 2, height, width).unbind(2)
    return first + second


@builds(WaveSpec)
def build_wave(spec: WaveSpec, width: int, size: Size) -> nn.Module:
    return Wave(width, width // REDUCTION, TAPS, spec.mode)
