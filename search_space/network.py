"""From an architecture to the `nn.Module` that it describes, with the members that timm expects of a model.

Nothing here needs timm to be imported: `features_only` and the factory live in `timm_entry.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from search_space.architecture import Architecture
from search_space.layers import macro


class Stage(nn.Module):
    """A transition (norm and convolution, or nothing), then blocks, `(B, C_before, H_before, W_before) -> (B, C, H, W)`."""

    def __init__(self, transition: nn.Module, blocks: nn.Sequential) -> None:
        super().__init__()
        self.transition = transition
        self.blocks = blocks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.transition(x))


class Network(nn.Module):
    """The network of an architecture, `(B, in_chans, H, W) -> (B, num_classes)`.

    Attributes:
        architecture: the description it was built from.
        num_classes, in_chans, num_features, head_hidden_size, feature_info: as in timm's models.
    """

    def __init__(self, architecture: Architecture, global_pool: str = "avg") -> None:
        super().__init__()
        self.architecture = architecture
        self.in_chans = architecture.in_chans
        first, last = architecture.stages[0], architecture.stages[-1]
        self.num_features = self.head_hidden_size = last.width
        # The stem gives the width of the first stage at the stem's own map size.
        patch, image = architecture.stem.patch, architecture.image_size
        embedded = (image[0] // patch, image[1] // patch) if architecture.stem.pos_embed else None
        self.stem = macro.PatchStem(architecture.in_chans, first.width, patch, embedded)
        self.stages = nn.Sequential()
        self.feature_info: list[dict[str, Any]] = []
        width, reduction = first.width, patch
        for index, (stage, size) in enumerate(zip(architecture.stages, architecture.sizes, strict=True)):
            blocks = nn.Sequential(*(macro.block(stage, size) for _ in range(stage.depth)))
            self.stages.append(Stage(macro.transition(width, stage), blocks))
            width, reduction = stage.width, reduction * stage.downsample
            self.feature_info.append({"num_chs": width, "reduction": reduction, "module": f"stages.{index}"})
        self.norm = macro.norm(last.norm, width)
        self.reset_classifier(architecture.num_classes, global_pool)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, in_chans, H, W) -> (B, C, h, w)`, normed."""
        return self.norm(self.stages(self.stem(x)))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """`(B, C, h, w) -> (B, num_classes)`; with `pre_logits`, what the linear layer would see."""
        if self.global_pool == "avg":
            x = x.mean(dim=(2, 3))
        return x if pre_logits else self.head(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, in_chans, H, W) -> (B, num_classes)`."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The linear layer that gives the classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new linear layer for `num_classes` (0: none), and another pooling ("avg", or "" for the map itself)."""
        if global_pool is not None:
            if global_pool not in ("avg", ""):
                raise ValueError(f"global_pool: must be 'avg' or '', found {global_pool!r}")
            self.global_pool = global_pool
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes > 0 else nn.Identity()

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay should spare."""
        return {"stem.pos_embed"} if self.architecture.stem.pos_embed else set()


def build(architecture: Architecture) -> Network:
    """The module that `architecture` describes, with fresh random weights from torch's global generator.

    `(B, in_chans, H, W) -> (B, num_classes)`; every parameter gets a gradient.
    """
    return Network(architecture)
