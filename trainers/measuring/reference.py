"""The reference network: passes of other networks are timed as multiples of its passes.

A machine becomes slower and faster from one minute to the next (clocks, heat, neighbours), and the reference with it: the
ratio of two passes taken one after the other stays the same.
"""

from __future__ import annotations

import torch
from torch import nn

from trainers.measuring.timing import time_call


class ReferenceNetwork:
    """The fixed network that others are timed against: depthwise and pointwise convolutions, norms, GELU.

    Args:
        device: where it runs.
        pass_s: seconds of one of its passes when the study began; None: set by the first measurement.
    """

    def __init__(self, device: torch.device | str = "cpu", pass_s: float | None = None) -> None:
        self.device = torch.device(device)
        self.pass_s = pass_s
        # About a millisecond on one core and on a large GPU.
        width, batch = (256, 128) if self.device.type == "cuda" else (64, 16)
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(2):
                layers += [nn.Conv2d(width, width, 5, padding=2, groups=width), nn.GELU(), nn.BatchNorm2d(width)]
                layers += [nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width)]
            self.network = nn.Sequential(nn.Conv2d(3, width, 4, 4), *layers).eval().to(self.device)
            self.images = torch.randn(batch, 3, 32, 32).to(self.device)

    def time_pass(self) -> float:
        """Seconds of one pass now. The work is the same under any autocast or cuDNN setting of the caller."""
        cudnn_fixed = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False), cudnn_fixed:
            return time_call(lambda: self.network(self.images), self.device)
