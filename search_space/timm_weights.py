"""timm's weights in our networks: the state dict of a timm model, renamed and reshaped for an architecture of ours.

    import timm
    from search_space import build, presets
    from search_space.timm_weights import from_timm

    network = build(presets.get("convmixer_768_32"))
    network.load_state_dict(from_timm(timm.create_model("convmixer_768_32", pretrained=True), "convmixer_768_32"))

Known are ConvMixer, PoolFormer, ViT without a class token (timm: `class_token=False, global_pool="avg", fc_norm=False`),
Swin and MLP-Mixer; `FAMILIES` is a table of the names, timm's on the left. Every tensor must find its place and every place its
tensor, or there is no result. What a state dict does not tell must agree by itself: activations, attention heads, eps of norms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_space import presets
from search_space.architecture import Architecture
from search_space.errors import SpaceError

if TYPE_CHECKING:
    import torch
    from torch import nn

_ENDS = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
_BLOCK = r"stages.0.blocks.\1."


@dataclass(frozen=True)
class Family:
    r"""How timm names the tensors of one family of models.

    Args:
        telltale: a tensor that this family has and no other.
        rules: patterns of timm's names, and ours, in which `\1`, `\2`, ... are the pattern's groups.
        refused: patterns of timm's names that have no place in ours, and why.
    """

    telltale: str
    rules: Mapping[str, str]
    refused: Mapping[str, str]


_TOKENS = "the network averages its tokens: create the timm model with class_token=False, global_pool='avg'"

FAMILIES: dict[str, Family] = {
    "convmixer": Family(
        "blocks.0.0.fn.0.weight",
        {
            rf"stem\.0\.{_ENDS}": r"stem.proj.\1",
            rf"stem\.2\.{_ENDS}": r"stem.norm.\1",
            rf"blocks\.(\d+)\.0\.fn\.0\.{_ENDS}": _BLOCK + r"mixer.\2",
            rf"blocks\.(\d+)\.0\.fn\.2\.{_ENDS}": _BLOCK + r"norm1.\2",
            rf"blocks\.(\d+)\.1\.{_ENDS}": _BLOCK + r"mlp.\2",
            rf"blocks\.(\d+)\.3\.{_ENDS}": _BLOCK + r"norm2.\2",
            rf"head\.{_ENDS}": r"head.\1",
        },
        {},
    ),
    "poolformer": Family(
        "stages.0.blocks.0.layer_scale1.scale",
        {
            rf"stem\.conv\.{_ENDS}": r"stem.proj.\1",
            rf"stages\.(\d+)\.downsample\.conv\.{_ENDS}": r"stages.\1.transition.conv.\2",
            rf"stages\.(\d+)\.blocks\.(\d+)\.(norm[12]|mlp\.fc[12])\.{_ENDS}": r"stages.\1.blocks.\2.\3.\4",
            r"stages\.(\d+)\.blocks\.(\d+)\.layer_scale([12])\.scale": r"stages.\1.blocks.\2.ls\3.gamma",
            rf"head\.norm\.{_ENDS}": r"fc_norm.\1",
            rf"head\.fc\.{_ENDS}": r"head.\1",
        },
        {},
    ),
    "vit": Family(
        "blocks.0.attn.qkv.weight",
        {
            r"pos_embed": r"stem.pos_embed",
            rf"patch_embed\.proj\.{_ENDS}": r"stem.proj.\1",
            rf"blocks\.(\d+)\.(norm[12]|mlp\.fc[12])\.{_ENDS}": _BLOCK + r"\2.\3",
            rf"blocks\.(\d+)\.attn\.(qkv|proj)\.{_ENDS}": _BLOCK + r"mixer.\2.\3",
            r"blocks\.(\d+)\.(ls[12])\.gamma": _BLOCK + r"\2.gamma",
            rf"(norm|fc_norm|head)\.{_ENDS}": r"\1.\2",
        },
        {r"cls_token|dist_token|reg_token": _TOKENS},
    ),
    "swin": Family(
        "layers.0.blocks.0.attn.relative_position_bias_table",
        {
            rf"patch_embed\.(proj|norm)\.{_ENDS}": r"stem.\1.\2",
            rf"layers\.(\d+)\.downsample\.norm\.{_ENDS}": r"stages.\1.transition.norm.\2",
            rf"layers\.(\d+)\.downsample\.reduction\.{_ENDS}": r"stages.\1.transition.conv.\2",
            rf"layers\.(\d+)\.blocks\.(\d+)\.(norm[12]|mlp\.fc[12])\.{_ENDS}": r"stages.\1.blocks.\2.\3.\4",
            rf"layers\.(\d+)\.blocks\.(\d+)\.attn\.(qkv|proj)\.{_ENDS}": r"stages.\1.blocks.\2.mixer.\3.\4",
            r"layers\.(\d+)\.blocks\.(\d+)\.attn\.(relative_position_bias_table)": r"stages.\1.blocks.\2.mixer.\3",
            rf"norm\.{_ENDS}": r"norm.\1",
            rf"head\.fc\.{_ENDS}": r"head.\1",
        },
        {},
    ),
    "mixer": Family(
        "blocks.0.mlp_tokens.fc1.weight",
        {
            rf"stem\.proj\.{_ENDS}": r"stem.proj.\1",
            rf"blocks\.(\d+)\.(norm[12])\.{_ENDS}": _BLOCK + r"\2.\3",
            rf"blocks\.(\d+)\.mlp_tokens\.(fc[12])\.{_ENDS}": _BLOCK + r"mixer.\2.\3",
            rf"blocks\.(\d+)\.mlp_channels\.(fc[12])\.{_ENDS}": _BLOCK + r"mlp.\2.\3",
            rf"(norm|head)\.{_ENDS}": r"\1.\2",
        },
        {},
    ),
}


def from_timm(
    source: nn.Module | Mapping[str, torch.Tensor], architecture: Architecture | str
) -> dict[str, torch.Tensor]:
    """The state dict of `build(architecture)` with the weights of a timm model.

    Args:
        source: the timm model, or its state dict.
        architecture: what it is in this space, or the name of a preset.

    Raises:
        SpaceError: a tensor has no place in the architecture, does not fit there, or is missing; the error names it, and shapes.
    """
    weights = source if isinstance(source, Mapping) else source.state_dict()
    family = _family(weights)
    wanted = _shapes(presets.get(architecture) if isinstance(architecture, str) else architecture)
    found: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        ours = _renamed(name, family)
        if ours not in wanted:
            raise SpaceError(name, f"the architecture has no {ours}, where this of shape {tuple(tensor.shape)} belongs")
        found[ours] = _fitted(name, tensor, ours, wanted[ours])
    missing = [name for name in wanted if name not in found]
    if missing:
        rule = f"of shape {tuple(wanted[missing[0]])} is not among the weights ({len(missing)} missing)"
        raise SpaceError(missing[0], rule)
    return found


def _shapes(architecture: Architecture) -> dict[str, torch.Size]:
    """The shape of each tensor of the network; nothing is allocated, no random number drawn."""
    import torch

    from search_space.network import build

    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in build(architecture).state_dict().items()}


def _family(weights: Mapping[str, torch.Tensor]) -> Family:
    for family in FAMILIES.values():
        if family.telltale in weights:
            return family
    rule = f"the weights are of no known family ({', '.join(FAMILIES)})"
    raise SpaceError("", rule, list(weights)[:3])


def _renamed(name: str, family: Family) -> str:
    for pattern, why in family.refused.items():
        if re.fullmatch(pattern, name):
            raise SpaceError(name, why)
    for pattern, ours in family.rules.items():
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours)
    raise SpaceError(name, "has no place in a network of this package")


def _fitted(name: str, tensor: torch.Tensor, ours: str, shape: torch.Size) -> torch.Tensor:
    """`tensor` in our layout: linear `(o, i)` as convolution `(o, i, 1, 1)`, tokens `(1, N, C)` as a map `(1, C, H, W)`."""
    tensor = tensor.detach()
    if tensor.shape == shape:
        return tensor
    if tensor.dim() == 2 and shape == (*tensor.shape, 1, 1):
        return tensor[:, :, None, None]
    if tensor.dim() == 3 and len(shape) == 4 and tensor.shape == (1, shape[2] * shape[3], shape[1]):
        return tensor.transpose(1, 2).reshape(shape)
    raise SpaceError(name, f"has the shape {tuple(tensor.shape)}, but {ours} of the architecture {tuple(shape)}")
