"""The downsampling: the convolution that changes map and width at the beginning of a stage. See `modules/downsampling.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from search_space.errors import ArchitectureError
from search_space.field_types import Stride
from search_space.norm import Norm
from search_space.shapes import strided_size
from search_space.tape import FeatureMap, Tape
from search_space.value import Value


class DownsamplingSpec(Value):
    """The convolution that halves the map at the beginning of a stage, before its first block or on that block's shortcut.

    Args:
        kernel: 3 (padded by 1; PoolFormer), 2 (patches do not overlap; GFNet, ShiftViT; an odd map is padded at the right
            and the bottom) or 1 (every second position; ResNet).
        norm: "before" or "after" the convolution, or "patches" (Swin, AS-MLP: before it, over all numbers of each 2x2
            patch together), or None; of the stage's kind.
        bias: whether the convolution has a bias.
    """

    kernel: Literal[1, 2, 3] = 3
    norm: Literal["before", "after", "patches"] | None = "before"
    bias: bool = True

    @model_validator(mode="after")
    def _check_patches(self) -> DownsamplingSpec:
        if self.norm == "patches" and self.kernel != 2:
            raise ArchitectureError("kernel", "must be 2 where norm is 'patches'", self.kernel)
        return self

    def trace(self, x: FeatureMap, tape: Tape, width: int, kind: Norm, stride: Stride) -> FeatureMap:
        """Record the cost of `x` on `tape`, with norms of `kind`; returns the output, of `width` channels.

        At stride 1 the kernel, and each patch, is 1x1.
        """
        kernel, size = self.kernel if stride == 2 else 1, strided_size(x.size, stride)
        if self.norm == "patches" and stride == 2:
            return tape.conv(tape.norm(kind, FeatureMap(4 * x.width, size)), width, bias=self.bias)
        y = tape.norm(kind, x) if self.norm in ("before", "patches") else x
        if kernel == 2:
            y = tape.pad(y, x.size[0] % 2, x.size[1] % 2)
        y = tape.conv(y, width, kernel, size, bias=self.bias)
        return tape.norm(kind, y) if self.norm == "after" else y
