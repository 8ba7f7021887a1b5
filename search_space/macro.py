"""What stands around the mixers, as plain descriptions: stem, downsampling, head; the names of norms, activations and
residual forms. No torch; the modules are in `layers/macro.py`.

Residual forms of a block, x its input, m the token mixer, c the channel mixer:

- "pre_norm" (ViT, MetaFormer): `x = x + m(norm1 x); x = x + c(norm2 x)`
- "single" (GFNet): `x = x + c(norm2 m(norm1 x))`
- "convmixer" (ConvMixer): `x = x + norm1(act(m x)); x = norm2(act(c x))`
- "shiftvit" (ShiftViT): `x = m(x); x = x + c(norm2 x)`
- "plain" (clcNet): `x = norm1(m x); x = act(norm2(c x))`
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from search_space import costs
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError
from search_space.value import Value

Norm = Literal["batch", "layer", "group"]  # BN; LN over channels at each position; GN with one group over (C, H, W)
Activation = Literal["gelu", "relu", "silu"]
Residual = Literal["pre_norm", "single", "convmixer", "shiftvit", "plain"]
Stride = Literal[1, 2]

# Norms of a block, and residual branches that a layer scale stands on, for each residual form.
NORMS: dict[Residual, int] = {"pre_norm": 2, "single": 2, "convmixer": 2, "shiftvit": 1, "plain": 2}
BRANCHES: dict[Residual, int] = {"pre_norm": 2, "single": 1, "convmixer": 1, "shiftvit": 1, "plain": 0}

Positive = Annotated[int, Field(ge=1)]


class Stem(Value):
    """From pixels to tokens: a convolution of stride `patch`, then activation, norm, position embedding where asked for.

    Args:
        patch: pixels of the image for each token, along each axis; divides both sides of the image.
        kernel: side of the convolution; None: that of the patch, so that patches do not overlap (ViT, ConvMixer).
        act: activation behind the convolution, or None.
        norm: norm behind the activation, or None.
        pos_embed: add a learned embedding of each position, which binds the network to its image size.
    """

    patch: Positive = 4
    kernel: Positive | None = None
    act: Activation | None = None
    norm: Norm | None = None
    pos_embed: bool = False

    @model_validator(mode="after")
    def _covers(self) -> Stem:
        if self.kernel is not None and self.kernel < self.patch:
            raise ArchitectureError("kernel", f"must not be smaller than the patch {self.patch}", self.kernel)
        if self.kernel is not None and self.patch == 1 and self.kernel % 2 == 0:
            raise ArchitectureError("kernel", "must be odd where the patch is 1", self.kernel)
        if self.kernel == self.patch:
            object.__setattr__(self, "kernel", None)  # one spelling
        return self

    @property
    def side(self) -> int:
        """Side of the convolution."""
        return self.patch if self.kernel is None else self.kernel

    @property
    def padding(self) -> int:
        """Zeros around the image, so that an image of n patches gives n tokens."""
        return (self.side - self.patch + 1) // 2

    def cost(self, in_chans: int, width: int, size: Size) -> Cost:
        """Cost for one image; `size` is the map that comes out."""
        total = costs.conv(in_chans, width, self.side, size)
        if self.norm is not None:
            total = total + costs.norm(width)
        return total + Cost(params=width * size[0] * size[1] if self.pos_embed else 0)


class Downsampling(Value):
    """The convolution that halves the map where a stage begins.

    Args:
        kernel: 3 (padded by 1; PoolFormer) or 2 (patches do not overlap; GFNet, ShiftViT; an odd map is padded at right
            and bottom).
        norm: "before" or "after" the convolution, or "patches" (Swin, AS-MLP: before it, on all the numbers of each 2x2
            patch together), or None; of the stage's kind.
        bias: whether the convolution has one.
    """

    kernel: Literal[2, 3] = 3
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
