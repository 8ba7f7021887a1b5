"""wave: the phase-aware token mixing of Wave-MLP (PATM; Tang et al., "An Image Patch is a Wave", CVPR 2022).

Each token is a wave of amplitude a = FC(x) and phase theta = ReLU(BN(conv(x))). For each of the two axes:

    h = conv_{1x7, C groups}([a_h cos theta_h, a_h sin theta_h])      along W
    w = conv_{7x1, C groups}([a_w cos theta_w, a_w sin theta_w])      along H
    c = FC(x)                                                        channels only
    y = proj(p_h h + p_w w + p_c c)

p is a softmax of three for each channel, by a two-layer network on the mean of h + w + c (its outputs ordered channel-major,
c*3 + branch). Parameters are named and laid out as in the published code (huawei-noah/Efficient-AI-Backbones).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape

TAPS = 7
REDUCTION = 4  # channels over hidden units of the network that weighs the branches


@MIXERS.register
class WaveSpec(TokenMixerSpec):
    """Phase-aware token mixing, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        mode: the input of the phase: "fc" (all channels of the pixel) or "depthwise" (3x3 pixels of the channel).
    """

    name: ClassVar[str] = "wave"
    mode: Literal["fc", "depthwise"] = "fc"

    def check(self, width: int, size: Size) -> None:
        if width < REDUCTION:
            raise ArchitectureError("", f"wave needs a width of at least {REDUCTION}", width)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        width, weights = x.width, 2 * x.width * TAPS
        for _ in ("h", "w"):
            kernel, groups = (1, 1) if self.mode == "fc" else (3, width)
            theta = tape.conv(x, width, kernel, groups=groups, bias=self.mode == "fc")
            theta = tape.act("relu", tape.norm("batch", theta))
            amplitude = tape.conv(x, width, bias=False)
            tape.save(theta)
            tape.save(amplitude)
            # cosine, sine, the products of both with the amplitude, and the output of their convolution
            tape.add(macs=weights * x.positions, params=weights, saved=5 * x.numel)
        tape.save(tape.conv(x, width, bias=False))
        hidden = tape.act("gelu", tape.conv(FeatureMap(width, (1, 1)), width // REDUCTION))
        tape.conv(hidden, 3 * width)
        tape.add(saved=3 * width)  # p
        return tape.conv(x.like(), width)
