"""What stands around the mixers, as plain descriptions: stem, downsampling, head; the names of norms, activations and
residual forms. No torch; the modules are in `layers/macro.py`.

Residual forms of a block, x its input, m the token mixer, c the channel mixer:

- "pre_norm" (ViT, MetaFormer): `x = x + m(norm1 x); x = x + c(norm2 x)`
- "single" (GFNet): `x = x + c(norm2 m(norm1 x))`
- "convmixer" (ConvMixer): `x = x + norm1(act(m x)); x = norm2(act(c x))`
- "shiftvit" (ShiftViT): `x = m(x); x = x + c(norm2 x)`
- "plain" (clcNet): `x = norm1(m x); x = act(norm2(c x))`
- "bottleneck" (ResNet, BoTNet, LambdaResNet): `x = act(x + norm3 c2(act(norm2 m(act(norm1 c1 x)))))`, c1 and c2 the two
  layers of the channel mixer, which is an `mlp`: the token mixer stands between them and works at its hidden width

Where a stage changes map or width, it does so before its first block (`Stage.begin`: "transition") or within it ("block").
Within a block, the token mixer halves the map (by its stride, or without one by 2x2 means behind it) and the channel mixer
changes the width; the shortcut of "bottleneck" is then the stage's `Downsampling`, and "plain" has none.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from search_space import costs
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError
from search_space.value import Value

Norm = Literal["batch", "layer", "group"]  # BN; LN over channels at each position; GN with one group over (C, H, W)
Activation = Literal["gelu", "relu", "silu"]
Residual = Literal["pre_norm", "single", "convmixer", "shiftvit", "plain", "bottleneck"]
Begin = Literal["transition", "block"]
Stride = Literal[1, 2]
Side = Literal["before", "hidden", "after"]  # channels that come into a block, are inside the channel mixer, go out

# For each residual form the channels of its norms, and the residual branches that a layer scale stands on.
NORMS: dict[Residual, tuple[Side, ...]] = {
    "pre_norm": ("before", "after"),
    "single": ("before", "after"),
    "convmixer": ("before", "after"),
    "shiftvit": ("after",),
    "plain": ("before", "after"),
    "bottleneck": ("hidden", "hidden", "after"),
}
BRANCHES: dict[Residual, int] = {
    "pre_norm": 2,
    "single": 1,
    "convmixer": 1,
    "shiftvit": 1,
    "plain": 0,
    "bottleneck": 1,
}
# The forms of which a block may change map and width, and whether it has a shortcut, on which a downsampling then stands.
CHANGING: dict[Residual, bool] = {"plain": False, "bottleneck": True}

Positive = Annotated[int, Field(ge=1)]


class Stem(Value):
    """From pixels to tokens: a convolution of stride `patch`, then activation, norm, position embedding where asked for.

    Args:
        patch: pixels of the image for each token, along each axis; divides both sides of the image.
        kernel: side of the convolution; None: that of its stride, so that patches do not overlap (ViT, ConvMixer).
        act: activation behind the convolution, or None.
        norm: norm behind the activation, or None.
        pos_embed: add a learned embedding of each position, which binds the network to its image size.
        ratio: channels behind the stem over those of the first stage, which then begins with a change of width.
        order: "act_norm" (ConvMixer), or "norm_act": the norm before the activation (ResNet, clcNet).
        tiered: three convolutions of `kernel` (None: 3), each with its norm and activation, of 3/8, 1/2 and all of the
            channels (timm's ResNet-T); the first halves the map, the last too where the stride is 4.
        pool: the maximum of 3x3 positions at every second one behind the convolutions, whose stride is then patch / 2.
        bias: whether the convolutions have one.
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
    def _covers(self) -> Stem:
        if self.pool and self.patch % 2:
            raise ArchitectureError("pool", f"needs an even patch (patch is {self.patch})", self.pool)
        what = "stride before the pooling" if self.pool else "patch"
        if self.tiered and self.stride not in (2, 4):
            raise ArchitectureError("tiered", f"needs a {what} of 2 or 4, not {self.stride}", self.tiered)
        if self.tiered and (self.side % 2 == 0 or self.side < 3):
            raise ArchitectureError("kernel", "must be odd and at least 3 where the stem is tiered", self.kernel)
        if not self.tiered and self.side < self.stride:
            raise ArchitectureError("kernel", f"must not be smaller than the {what} {self.stride}", self.kernel)
        if self.stride == 1 and self.side % 2 == 0:
            raise ArchitectureError("kernel", f"must be odd where the {what} is 1", self.kernel)
        self._spell_once()
        return self

    def _spell_once(self) -> None:
        if self.kernel == (3 if self.tiered else self.stride):
            object.__setattr__(self, "kernel", None)
        if self.act is None or self.norm is None:
            object.__setattr__(self, "order", "act_norm")

    @property
    def stride(self) -> int:
        """Stride of all convolutions together."""
        return self.patch // 2 if self.pool else self.patch

    @property
    def side(self) -> int:
        """Side of each convolution."""
        return self.kernel or (3 if self.tiered else self.stride)

    def width(self, first: int) -> int:
        """Channels behind the stem where the first stage has `first`."""
        return max(1, round(self.ratio * first))

    def check(self, first: int) -> None:
        """Raise `ArchitectureError` if the ratio does not fit a first stage of `first` channels."""
        if not math.isclose(self.width(first), self.ratio * first, rel_tol=1e-12):
            raise ArchitectureError("ratio", f"times the width {first} of the first stage must be whole", self.ratio)

    def convolutions(self, in_chans: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Of each convolution channels in, channels out, stride; `width` channels come out of the last."""
        if not self.tiered:
            return ((in_chans, width, self.stride),)
        few, half = max(1, 3 * width // 8), max(1, width // 2)
        return ((in_chans, few, 2), (few, half, 1), (half, width, self.stride // 2))

    def padding(self, stride: int) -> int:
        """Zeros around the map of a convolution of `stride`, so that an image of n patches gives n tokens."""
        return (self.side - stride + 1) // 2

    def cost(self, in_chans: int, width: int, size: Size) -> Cost:
        """Cost for one image; `width` channels and a map of `size` come out."""
        total, left = Cost(params=width * size[0] * size[1] if self.pos_embed else 0), self.patch
        for c_in, c_out, stride in self.convolutions(in_chans, width):
            left //= stride
            total = total + costs.conv(c_in, c_out, self.side, (left * size[0], left * size[1]), bias=self.bias)
            if self.norm is not None:
                total = total + costs.norm(c_out)
        return total


class Downsampling(Value):
    """The convolution that halves the map where a stage begins, before its first block or on the shortcut of that.

    Args:
        kernel: 3 (padded by 1; PoolFormer), 2 (patches do not overlap; GFNet, ShiftViT; an odd map is padded at right
            and bottom) or 1 (every second position alone; ResNet).
        norm: "before" or "after" the convolution, or "patches" (Swin, AS-MLP: before it, on all the numbers of each 2x2
            patch together), or None; of the stage's kind.
        bias: whether the convolution has one.
    """

    kernel: Literal[1, 2, 3] = 3
    norm: Literal["before", "after", "patches"] | None = "before"
    bias: bool = True

    @model_validator(mode="after")
    def _has_patches(self) -> Downsampling:
        if self.norm == "patches" and self.kernel != 2:
            raise ArchitectureError("kernel", "must be 2 where the norm stands on patches", self.kernel)
        return self

    def cost(self, width_before: int, width: int, size: Size, stride: Stride) -> Cost:
        """Cost for one image; `size` is the map that comes out. At stride 1 the kernel, and each patch, is 1x1."""
        total = costs.conv(width_before, width, self.kernel if stride == 2 else 1, size, bias=self.bias)
        normed = {"before": width_before, "after": width, "patches": width_before * stride**2}
        return total if self.norm is None else total + costs.norm(normed[self.norm])


class SqueezeExcite(Value):
    """A gate on each channel from the mean of all (Hu et al., CVPR 2018): `x * sigmoid(W2 relu(W1 mean(x)))`.

    Args:
        reduction: channels over those between W1 and W2.
    """

    reduction: Positive = 16

    def hidden(self, width: int) -> int:
        """Channels between W1 and W2; at least one."""
        return max(1, width // self.reduction)

    def cost(self, width: int) -> Cost:
        """Cost for one image."""
        hidden = self.hidden(width)
        return costs.linear(width, hidden) + costs.linear(hidden, width)


class Head(Value):
    """From the last map to the classes: global average pooling and a linear layer, with a norm before, after, or without.

    Args:
        norm: "before" or "after" the pooling, or None.
        kind: of the norm; None: that of the last stage.
    """

    norm: Literal["before", "after"] | None = "before"
    kind: Norm | None = None

    @model_validator(mode="after")
    def _one_spelling(self) -> Head:
        if self.norm is None and self.kind is not None:
            object.__setattr__(self, "kind", None)
        return self

    def cost(self, width: int, num_classes: int) -> Cost:
        """Cost for one image."""
        total = costs.linear(width, num_classes)
        return total if self.norm is None else total + costs.norm(width)
