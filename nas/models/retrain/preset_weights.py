"""timm's published weights in the presets that timm has, too (`search_space.timm_support.weights` converts them)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.models.retrain.timm_models import ImageShape, obtain_weights
from search_space import Architecture
from search_space.errors import SpaceError

if TYPE_CHECKING:
    from torch import Tensor

_WITHOUT_TOKEN: Mapping[str, Any] = {"class_token": False, "global_pool": "avg", "fc_norm": False}

TIMM_MODELS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "convmixer_1536_20": ("convmixer_1536_20", {}),
        "convmixer_768_32": ("convmixer_768_32", {}),
        "convmixer_1024_20": ("convmixer_1024_20_ks9_p14", {}),
        "poolformer_s12": ("poolformer_s12", {}),
        "poolformer_s24": ("poolformer_s24", {}),
        "vit_tiny_patch16": ("vit_tiny_patch16_224", _WITHOUT_TOKEN),
        "vit_small_patch16": ("vit_small_patch16_224", _WITHOUT_TOKEN),
        "swin_tiny_patch4_window7": ("swin_tiny_patch4_window7_224", {}),
        "lambda_resnet26t": ("lambda_resnet26t", {}),
    }
)
"""Preset -> the same network in timm, and the arguments that make it so; those of which weights are published. The two vision
transformers leave out the class token, with which they were trained."""


def check_has_weights(preset: str) -> None:
    """Check that timm has the network of `preset`.

    Raises:
        UsageError: it has not.
    """
    if preset not in TIMM_MODELS:
        known = ", ".join(TIMM_MODELS)
        raise UsageError(f"--start pretrained: timm has no weights for the preset (known: {known}), found {preset}")


def preset_weights(preset: str, architecture: Architecture) -> dict[str, Tensor]:
    """Timm's weights as a state dict of the network of `architecture`, which is `preset` on the images of a study.

    The layers that depend on channels and classes are those that timm makes for other ones.

    Raises:
        UsageError: the weights cannot be downloaded, or do not fit.
    """
    from search_space.timm_support.weights import from_timm

    name, options = TIMM_MODELS[preset]
    shape = ImageShape(architecture.in_chans, architecture.image_size, architecture.num_classes)
    model = obtain_weights(name, shape, options)
    try:
        return from_timm(model, architecture)
    except SpaceError as error:
        raise UsageError(f"--start pretrained: timm's weights do not fit {preset}: {error}") from None
