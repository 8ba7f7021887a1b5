"""timm's weights in our networks: the state dict of a timm model, renamed and reshaped for an architecture of ours.

    import timm
    from search_space import build, presets
    from search_space.timm_support.weights import from_timm

    network = build(presets.get("convmixer_768_32"))
    network.load_state_dict(from_timm(timm.create_model("convmixer_768_32", pretrained=True), "convmixer_768_32"))

Supported are ConvMixer, PoolFormer, ViT without a class token (timm: `class_token=False, global_pool="avg", fc_norm=False`),
Swin, MLP-Mixer and the bottleneck networks of timm's `byobnet` (LambdaResNet); `FAMILIES` maps timm's
names to ours. Every tensor of timm's must have a place and every tensor of ours a source, or an error is raised. A state dict
does not contain activations, numbers of heads and eps of norms: they must agree.

A stage of timm's whose blocks differ is several stages of ours: where the stages differ, blocks are matched by their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
_OURS = r"stages\.(\d+)\.blocks\.(\d+)\."
_PLACE, _PLACED = r"stages\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."


@dataclass(frozen=True)
class Family:
    r"""How timm names the tensors of one family of models.

    Args:
        marker: a tensor that only this family has.
        rules: pattern of timm's names -> name of ours, in which `\1`, `\2`, ... are the pattern's groups.
        unsupported: pattern of timm's names that have no place in ours -> the reason.
    """

    marker: str
    rules: Mapping[str, str]
    unsupported: Mapping[str, str]


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
    "byobnet": Family(
        "stages.0.0.conv1_1x1.conv.weight",
        {
            rf"stem\.conv1\.conv\.{_ENDS}": r"stem.proj.\1",
            rf"stem\.conv1\.bn\.{_ENDS}": r"stem.norm.\1",
            rf"stem\.conv2\.conv\.{_ENDS}": r"stem.tiers.0.proj.\1",
            rf"stem\.conv2\.bn\.{_ENDS}": r"stem.tiers.0.norm.\1",
            rf"stem\.conv3\.conv\.{_ENDS}": r"stem.tiers.1.proj.\1",
            rf"stem\.conv3\.bn\.{_ENDS}": r"stem.tiers.1.norm.\1",
            rf"{_PLACE}shortcut\.conv\.{_ENDS}": _PLACED + r"shortcut.conv.\3",
            rf"{_PLACE}shortcut\.bn\.{_ENDS}": _PLACED + r"shortcut.norm_after.\3",
            rf"{_PLACE}conv1_1x1\.conv\.{_ENDS}": _PLACED + r"mlp.fc1.\3",
            rf"{_PLACE}conv1_1x1\.bn\.{_ENDS}": _PLACED + r"norm1.\3",
            rf"{_PLACE}conv2_kxk\.conv\.{_ENDS}": _PLACED + r"mixer.\3",
            rf"{_PLACE}self_attn\.(qkv|norm_q|norm_v|conv_lambda)\.{_ENDS}": _PLACED + r"mixer.\3.\4",
            rf"{_PLACE}(?:conv2_kxk\.bn|post_attn)\.{_ENDS}": _PLACED + r"norm2.\3",
            rf"{_PLACE}conv3_1x1\.conv\.{_ENDS}": _PLACED + r"mlp.fc2.\3",
            rf"{_PLACE}conv3_1x1\.bn\.{_ENDS}": _PLACED + r"norm3.\3",
            rf"head\.fc\.{_ENDS}": r"head.\1",
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
        architecture: the architecture of the model, or the name of a preset.

    Raises:
        SpaceError: a tensor has no place in the architecture, does not fit there, or is missing; the error names it, and shapes.
    """
    weights = source if isinstance(source, Mapping) else source.state_dict()
    family = _family(weights)
    shapes = _shapes(presets.get(architecture) if isinstance(architecture, str) else architecture)
    converted: dict[str, torch.Tensor] = {}
    names = _match_blocks({name: _rename(name, family) for name in weights}, shapes)
    for name, tensor in weights.items():
        ours = names[name]
        if ours not in shapes:
            raise SpaceError(
                name, f"belongs to {ours}, which the architecture does not have (shape {tuple(tensor.shape)})"
            )
        converted[ours] = _reshape(name, tensor, ours, shapes[ours])
    missing = [name for name in shapes if name not in converted]
    if missing:
        rule = f"of shape {tuple(shapes[missing[0]])} is not among the weights ({len(missing)} missing)"
        raise SpaceError(missing[0], rule)
    return converted


def _shapes(architecture: Architecture) -> dict[str, torch.Size]:
    """The shape of each tensor of the network; nothing is allocated, no random number drawn."""
    import torch

    from search_space.modules.network import build

    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in build(architecture).state_dict().items()}


def _family(weights: Mapping[str, torch.Tensor]) -> Family:
    for family in FAMILIES.values():
        if family.marker in weights:
            return family
    rule = f"the weights must be of a supported family ({', '.join(FAMILIES)})"
    raise SpaceError("", rule, list(weights)[:3])


def _rename(name: str, family: Family) -> str:
    for pattern, reason in family.unsupported.items():
        if re.fullmatch(pattern, name):
            raise SpaceError(name, reason)
    for pattern, ours in family.rules.items():
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours)
    raise SpaceError(name, "has no place in a network of this package")


def _match_blocks(names: Mapping[str, str], our_names: Iterable[str]) -> dict[str, str]:
    """`names` of timm's -> ours, with blocks matched by their order where as many of ours are in other stages."""
    theirs, ours = _block_prefixes(names.values()), _block_prefixes(our_names)
    if len(theirs) != len(ours) or theirs == ours:
        return dict(names)
    prefixes = dict(zip(theirs, ours, strict=True))

    def move(name: str) -> str:
        match = re.match(_OURS, name)
        return name if match is None else prefixes[match[0]] + name[match.end() :]

    return {name: move(renamed) for name, renamed in names.items()}


def _block_prefixes(names: Iterable[str]) -> list[str]:
    """The distinct prefixes `stages.I.blocks.J.` of `names`, in the order of the network."""
    prefixes = {match[0]: (int(match[1]), int(match[2])) for name in names if (match := re.match(_OURS, name))}
    return sorted(prefixes, key=lambda prefix: prefixes[prefix])


def _reshape(name: str, tensor: torch.Tensor, ours: str, shape: torch.Size) -> torch.Tensor:
    """`tensor` in our layout: linear `(o, i)` as convolution `(o, i, 1, 1)`, tokens `(1, N, C)` as a map `(1, C, H, W)`."""
    tensor = tensor.detach()
    if tensor.shape == shape:
        return tensor
    if tensor.dim() == 2 and shape == (*tensor.shape, 1, 1):
        return tensor[:, :, None, None]
    if tensor.dim() == 3 and len(shape) == 4 and tensor.shape == (1, shape[2] * shape[3], shape[1]):
        return tensor.transpose(1, 2).reshape(shape)
    raise SpaceError(name, f"has the shape {tuple(tensor.shape)}, but {ours} of the architecture {tuple(shape)}")
