"""What a network makes of images, with its last feature map, and how far two networks look at different places of them.

A feature map says by the squares of its channels how much a network makes of each place (attention transfer: Zagoruyko and
Komodakis, 2017, arXiv:1612.03928). So maps of any number of channels can be compared without a projection that would have to be
trained, saved and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.errors import RecipeError
from trainers.inference import evaluation_mode

REQUIRED_METHODS = ("forward_intermediates", "forward_head")
"""Methods of timm's models, and of ours, that give feature maps `(B, C, h, w)`."""


@dataclass(frozen=True)
class Outputs:
    """What a network makes of a batch.

    Args:
        logits: `(B, classes)`.
        feature_map: `(B, C, h, w)`, of the last stage or block; None: not asked for.
    """

    logits: Tensor
    feature_map: Tensor | None = None


def with_feature_map(module: nn.Module) -> Callable[[Tensor], Outputs]:
    """A function that runs `module` on images and keeps its last feature map."""
    model = cast(Any, module)

    def run(images: Tensor) -> Outputs:
        features, maps = model.forward_intermediates(images, indices=1)
        return Outputs(model.forward_head(features), maps[-1])

    return run


def without_feature_map(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Outputs]:
    """A function that runs `forward` on images."""
    return lambda images: Outputs(forward(images))


def attention_distance(own: Tensor, teachers: Tensor) -> Tensor:
    """The sum over the images of the squared distance of two maps `(B, C, h, w)`; they may differ in all but B.

    The larger one is averaged to the size of the smaller. Each attention, the mean square of the channels at each place, has the
    length 1.
    """
    size = (min(own.shape[-2], teachers.shape[-2]), min(own.shape[-1], teachers.shape[-1]))
    attentions = [
        F.normalize(F.adaptive_avg_pool2d(features.float().square().mean(1), size).flatten(1), dim=1)
        for features in (own, teachers)
    ]
    return (attentions[0] - attentions[1]).square().sum()


@torch.no_grad()
def check_feature_maps(module: nn.Module, place: str, data: Dataset) -> None:
    """Run `module`, which is not changed, and look at its feature map.

    Args:
        module: the network.
        place: "teacher", or "distillation" for the network that is trained.
        data: gives the shape of its images.

    Raises:
        RecipeError: it has no feature map, or none with places to compare.
    """
    rule = "must have feature maps (B, C, h, w) of timm's forward_intermediates where feature_weight is set"
    if not all(callable(getattr(module, name, None)) for name in REQUIRED_METHODS):
        raise RecipeError(place, rule, type(module).__name__)
    height, width = data.image_size
    with evaluation_mode(module, data.device):
        try:
            found = with_feature_map(module)(torch.zeros(2, data.in_chans, height, width, device=data.device))
        except Exception as error:  # networks document none
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RecipeError(place, f"{rule} ({reason:.300})", type(module).__name__) from error
    shape = None if found.feature_map is None else tuple(found.feature_map.shape)
    if shape is None or len(shape) != 4 or shape[-2] * shape[-1] < 2:
        raise RecipeError(place, f"{rule}, with 2 places or more", shape)
