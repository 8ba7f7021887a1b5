"""Models of timm as baselines: made for the images of a study, checked before anything is trained, and counted.

The weights of `pretrained` come from timm's cache of downloads, or from the Hub.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError, reason
from nas.models.hub import hub_downloads
from nas.models.timm_names import check_model_name

if TYPE_CHECKING:
    from torch import nn

_SIZE_ARGUMENT = "img_size"


@dataclass(frozen=True)
class ImageShape:
    """What a model must take and give.

    Args:
        in_chans: channels of an image.
        size: (height, width) in pixels.
        num_classes: number of classes.
    """

    in_chans: int
    size: tuple[int, int]
    num_classes: int

    @property
    def pixels(self) -> str:
        """`32x32 pixels`."""
        return f"{self.size[0]}x{self.size[1]} pixels"


@dataclass(frozen=True)
class ModelCosts:
    """The costs of a model: multiply-adds of an image (None if they cannot be counted), and parameters."""

    macs: int | None
    params: int


def create_timm_model(
    name: str, shape: ImageShape, options: Mapping[str, Any] | None = None, pretrained: bool = False
) -> nn.Module:
    """Create a model of timm for images of `shape`, with the argument `img_size` if it takes one.

    Args:
        name: timm's name.
        shape: of the images.
        options: further arguments of `timm.create_model`, such as `drop_path_rate`.
        pretrained: whether it gets timm's weights.

    Raises:
        Exception: whatever timm raises; there is no common class.
    """
    import timm

    arguments = {"num_classes": shape.num_classes, "in_chans": shape.in_chans, **(options or {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated names of models
        try:
            return timm.create_model(name, pretrained=pretrained, img_size=shape.size, **arguments)
        except TypeError as error:
            if _SIZE_ARGUMENT not in str(error):
                raise
        return timm.create_model(name, pretrained=pretrained, **arguments)


def check_timm_model(name: str, shape: ImageShape, options: Mapping[str, Any], option: str) -> ModelCosts:
    """Create the model once, run it on an image, and count its costs.

    Raises:
        UsageError: timm does not have it, it cannot be made, or takes no images of that size.
    """
    check_model_name(name, option)
    try:
        model = create_timm_model(name, shape, options, pretrained=False)
    except Exception as error:  # timm and its models raise any
        raise UsageError(f"{option}: {name} cannot be made for {shape.pixels}: {reason(error)}") from None
    try:
        return count_costs(model, shape)
    except Exception as error:
        raise UsageError(f"{option}: {name} cannot take images of {shape.pixels}: {reason(error)}") from None


def obtain_weights(name: str, shape: ImageShape, options: Mapping[str, Any]) -> nn.Module:
    """The model with timm's weights, from the cache of downloads or from the Hub.

    Raises:
        UsageError: there are none, or they cannot be downloaded.
    """
    try:
        with hub_downloads():
            return create_timm_model(name, shape, options, pretrained=True)
    except Exception as error:
        raise UsageError(f"{name}: timm's weights cannot be obtained: {reason(error)}") from None


def count_costs(model: nn.Module, shape: ImageShape) -> ModelCosts:
    """Count the multiply-adds and parameters of `model` by running it on one image.

    torch counts convolutions, matrix products and attention, two operations for each multiply-add.

    Raises:
        Exception: the model does not take such images.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    params = sum(parameter.numel() for parameter in model.parameters())
    was_training = model.training
    counter = FlopCounterMode(display=False)
    with counter:  # with gradients: the fast path of attention without them is not counted
        logits = model.eval()(torch.zeros(1, shape.in_chans, *shape.size))
    model.train(was_training)
    if tuple(logits.shape) != (1, shape.num_classes):
        raise ValueError(f"must give {shape.num_classes} classes, found an output of shape {tuple(logits.shape)}")
    macs = counter.get_total_flops() // 2
    return ModelCosts(macs or None, params)
