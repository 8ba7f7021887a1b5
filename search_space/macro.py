"""What stands around the mixers, as plain descriptions: stem, downsampling, head; the names of norms, activations and
residual forms. No torch; the modules are in `modules/macro.py`.

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

from search_space.costs import Map, Tape
from search_space.errors import ArchitectureError
from search_space.value import Value

Norm = Literal["batch", "layer", "group"]  # BN; LN over channels at each position; GN with one group over (C, H, W)
Activation = Literal["gelu", "relu", "silu"]
Residual = Literal["pre_norm", "single", "convmixer", "shiftvit", "plain", "bottleneck"]
Begin = Literal["transition", "block"]
Stride = Literal[1, 2]

# For each residual form the residual branches that a layer scale stands on.
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

    def trace(self, image: Map, tape: Tape, width: int) -> Map:
        """Write on `tape` what an image costs; the map of `width` channels that comes out."""
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
            y = tape.halve(y)
            tape.add(kept=2 * y.numbers)  # where each maximum stood, in 8 bytes
        if self.pos_embed:
            tape.add(params=y.numbers)
            y = y.like()
        return y


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

    def trace(self, x: Map, tape: Tape, width: int, kind: Norm, stride: Stride) -> Map:
        """Write on `tape` what `x` costs, with norms of `kind`; the map that comes out.

        At stride 1 the kernel, and each patch, is 1x1.
        """
        kernel, size = self.kernel if stride == 2 else 1, (-(-x.size[0] // stride), -(-x.size[1] // stride))
        if self.norm == "patches" and stride == 2:
            return tape.conv(tape.norm(kind, Map(4 * x.width, size)), width, bias=self.bias)
        y = tape.norm(kind, x) if self.norm in ("before", "patches") else x
        if kernel == 2:
            y = tape.pad(y, x.size[0] % 2, x.size[1] % 2)
        y = tape.conv(y, width, kernel, size, bias=self.bias)
        return tape.norm(kind, y) if self.norm == "after" else y


class SqueezeExcite(Value):
    """A gate on each channel from the mean of all (Hu et al., CVPR 2018): `x * sigmoid(W2 relu(W1 mean(x)))`.

    Args:
        reduction: channels over those between W1 and W2.
    """

    reduction: Positive = 16

    def hidden(self, width: int) -> int:
        """Channels between W1 and W2; at least one."""
        return max(1, width // self.reduction)

    def trace(self, x: Map, tape: Tape) -> Map:
        """Write on `tape` what the gate of `x` costs; the map that comes out."""
        tape.keep(x)
        hidden = tape.act("relu", tape.conv(Map(x.width, (1, 1)), self.hidden(x.width)))
        tape.conv(hidden, x.width)
        tape.add(kept=x.width)  # the gate
        return x.like()


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

    def trace(self, x: Map, tape: Tape, num_classes: int, last: Norm) -> None:
        """Write on `tape` what classifying `x` costs, behind a last stage with norms of the kind `last`."""
        kind = self.kind or last
        if self.norm == "before":
            x = tape.norm(kind, x)
        pooled = Map(x.width, (1, 1))
        if self.norm == "after":
            pooled = tape.norm(kind, pooled)
        tape.keep(pooled)
        tape.linear(x.width, num_classes)
