"""timm's published weights in the presets that timm has, too (`search_space.timm_support.weights` converts them)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.models.retrain.subjects.timm_models import ImageShape, obtain_weights
from search_space import Architecture
from search_space.errors import SpaceError

if TYPE_CHECKING:
    from torch import Tensor

TIMM_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "convmixer_1536_20": "convmixer_1536_20",
        "convmixer_768_32": "convmixer_768_32",
        "convmixer_1024_20": "convmixer_1024_20_ks9_p14",
        "poolformer_s12": "poolformer_s12",
        "poolformer_s24": "poolformer_s24",
        "vit_tiny_patch16": "vit_tiny_patch16_224",
        "vit_small_patch16": "vit_small_patch16_224",
        "swin_tiny_patch4_window7": "swin_tiny_patch4_window7_224",
        "lambda_resnet26t": "lambda_resnet26t",
    }
)
"""Preset -> the same network in timm, if weights of it are published."""
CLASS_TOKEN, POSITIONS = "cls_token", "pos_embed"
"""Tensors of timm's vision transformers; the first of the positions is that of the class token."""


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

    timm adapts the layers that depend on image size, channels and classes. The vision transformers lose the class token, with
    which they were trained: the presets take the mean over the positions instead.

    Raises:
        UsageError: the weights cannot be downloaded, or do not fit.
    """
    from search_space.timm_support.weights import from_timm

    shape = ImageShape(architecture.in_chans, architecture.image_size, architecture.num_classes)
    weights = dict(obtain_weights(TIMM_MODELS[preset], shape, {}).state_dict())
    if weights.pop(CLASS_TOKEN, None) is not None:
        weights[POSITIONS] = weights[POSITIONS][:, 1:]
    try:
        return from_timm(weights, architecture)
    except SpaceError as error:
        raise UsageError(f"--start pretrained: timm's weights do not fit {preset}: {error}") from None
