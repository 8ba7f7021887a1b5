"""The stem: from pixels to tokens. The module is in `modules/stem.py`."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from search_space.errors import ArchitectureError
from search_space.field_types import Activation, Positive
from search_space.norm import Norm
from search_space.tape import FeatureMap, Tape
from search_space.value import Value


class StemSpec(Value):
    """From pixels to tokens: a convolution of stride `patch`, then optionally activation, norm and position embedding.

    Args:
        patch: pixels of the image for each token, along each axis; divides both sides of the image.
        kernel: side of the convolution; None: its stride, so that patches do not overlap (ViT, ConvMixer).
        act: activation after the convolution, or None.
        norm: norm after the activation, or None.
        pos_embed: add a learned embedding of each position, which binds the network to its image size.
        ratio: channels of the stem over those of the first stage, which then begins with a change of width.
        order: "act_norm" (ConvMixer), or "norm_act": the norm before the activation (ResNet, clcNet).
        tiered: three convolutions of `kernel` (None: 3), each with its norm and activation, of 3/8, 1/2 and all of the
            channels (timm's ResNet-T); the first halves the map, the last too where the stride is 4.
        pool: max pooling of 3x3 positions with stride 2 after the convolutions, whose stride is then patch / 2.
        bias: whether the convolutions have a bias.
    """

    patch: Positive = 4
    kernel: Positive | None = None
    act: Activation | None = None
    norm: Norm | None = None
    pos_embed: bool = False
    ratio: Annotated[float, Field(gt=0)] = 1.0
    order: Literal["act_norm", "norm_act"] = "act_norm"
    tiered: bool = False
    pool: bool = False
    bias: bool = True

    @model_validator(mode="after")
    def _check_kernel(self) -> StemSpec:
        if self.pool and self.patch % 2:
            raise ArchitectureError("pool", f"needs an even patch (patch is {self.patch})", self.pool)
        stride_name = "stride before the pooling" if self.pool else "patch"
        if self.tiered and self.stride not in (2, 4):
            raise ArchitectureError("tiered", f"needs a {stride_name} of 2 or 4, not {self.stride}", self.tiered)
        if self.tiered and (self.side % 2 == 0 or self.side < 3):
            raise ArchitectureError("kernel", "must be odd and at least 3 where the stem is tiered", self.kernel)
        if not self.tiered and self.side < self.stride:
            raise ArchitectureError("kernel", f"must not be smaller than the {stride_name} {self.stride}", self.kernel)
        if self.stride == 1 and self.side % 2 == 0:
            raise ArchitectureError("kernel", f"must be odd where the {stride_name} is 1", self.kernel)
        return self

    def canonical_changes(self) -> dict[str, Any]:
        """A kernel of the default side is None; without activation or norm there is no order of the two."""
        changes: dict[str, Any] = {}
        if self.kernel is not None and self.kernel == (3 if self.tiered else self.stride):
            changes["kernel"] = None
        if self.order != "act_norm" and (self.act is None or self.norm is None):
            changes["order"] = "act_norm"
        return changes

    @property
    def stride(self) -> int:
        """Stride of all convolutions together."""
        return self.patch // 2 if self.pool else self.patch

    @property
    def side(self) -> int:
        """Side of each convolution's kernel."""
        return self.kernel or (3 if self.tiered else self.stride)

    def width(self, first: int) -> int:
        """Channels of the stem where the first stage has `first`."""
        return max(1, round(self.ratio * first))

    def check(self, first: int) -> None:
        """Raise `ArchitectureError` if the ratio does not fit a first stage of `first` channels."""
        if not math.isclose(self.width(first), self.ratio * first, rel_tol=1e-12):
            raise ArchitectureError("ratio", f"times the width {first} of the first stage must be whole", self.ratio)

    def convolutions(self, in_chans: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Channels in, channels out and stride of each convolution; the last gives `width` channels."""
        if not self.tiered:
            return ((in_chans, width, self.stride),)
        few, half = max(1, 3 * width // 8), max(1, width // 2)
        return ((in_chans, few, 2), (few, half, 1), (half, width, self.stride // 2))

    def padding(self, stride: int) -> int:
        """Zero padding of a convolution of `stride`, so that an image of n patches gives n tokens."""
        return (self.side - stride + 1) // 2

    def trace(self, image: FeatureMap, tape: Tape, width: int) -> FeatureMap:
        """Record the cost of an image on `tape`; returns the output, of `width` channels."""
        y = image
        for _, c_out, stride in self.convolutions(image.width, width):
            size = (y.size[0] // stride, y.size[1] // stride)
            y = tape.conv(y, c_out, self.side, size, bias=self.bias)
            if self.order == "act_norm" and self.act is not None:
                y = tape.act(self.act, y)
            if self.norm is not None:
                y = tape.norm(self.norm, y)
            if self.order == "norm_act" and self.act is not None:
                y = tape.act(self.act, y)
        if self.pool:
            y = tape.avg_pool2x2(y)  # max pooling saves its input too
            tape.add(saved=2 * y.numel)  # and the index of each maximum, in 8 bytes
        if self.pos_embed:
            tape.add(params=y.numel)
            y = y.like()
        return y
