"""The last feature map of a model, and the tokens of timm's transformers as a map."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nas.models.diagnose.registry import NotApplicable
from nas.models.diagnose.subject import DiagnosedModel


def last_feature_map(subject: DiagnosedModel, pixels: Tensor) -> Tensor:
    """What the classifier averages over positions, `(B, C, H, W)` pixels of 0..1 -> `(B, C, h, w)`.

    Raises:
        NotApplicable: the model has no `forward_features`, or it gives no map.
    """
    forward_features = getattr(subject.module, "forward_features", None)
    if forward_features is None:
        raise NotApplicable("no `forward_features`")
    features: Tensor = forward_features(subject.normalised(pixels))
    if features.dim() == 4:  # timm's models with channels last say so
        is_last = getattr(subject.module, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if is_last else features
    grid = token_grid(subject.module)
    if features.dim() != 3 or grid is None or features.shape[1] != prefix_tokens(subject.module) + grid[0] * grid[1]:
        raise NotApplicable(f"no feature map: `forward_features` gives the shape {tuple(features.shape)}")
    return features[:, prefix_tokens(subject.module) :].transpose(1, 2).unflatten(2, grid)


def token_grid(module: nn.Module) -> tuple[int, int] | None:
    """The (rows, columns) of the patches of one of timm's transformers; None for other modules."""
    size: Any = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    return None if size is None else (int(size[0]), int(size[1]))


def prefix_tokens(module: nn.Module) -> int:
    """The number of tokens before those of the patches, such as a class token."""
    return int(getattr(module, "num_prefix_tokens", 0))
