"""Architectures of the literature, by name, described like any other architecture.

    from search_space import build, presets
    network = build(presets.get("poolformer_s12"))

Each family is a function that gives its members of any size; `PRESETS` holds the published ones, for images of
224 x 224 and 1000 classes unless their name says otherwise. No torch.

What a description determines is as published: GELU is the erf form, batch norms have eps 1e-5 and momentum 0.1, group norms
eps 1e-5, layer norms eps 1e-6 unless said. It does not determine how networks are trained: rates of dropout and stochastic depth
are arguments of the network, and new weights are drawn by torch's defaults, except for tables of positions, filters and the
weights of AFNO and lambda layers, which begin as in the published code.

- ConvMixer: Trockman & Kolter, "Patches Are All You Need?", 2022. The activation of 768/32 is ReLU, as trained.
- ViT: Dosovitskiy et al., 2021, in the sizes of DeiT (Touvron et al., 2021); the mean over the positions replaces the
  class token, as in timm with `class_token=False, global_pool="avg", fc_norm=False`.
- MLP-Mixer: Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", 2021.
- GFNet: Rao et al., "Global Filter Networks for Image Classification", 2021; the pyramids ("h") with their layer scale.
- AFNONet: Guibas et al., "Adaptive Fourier Neural Operators", 2022, with two residuals a block (`double_skip`).
- PoolFormer: Yu et al., "MetaFormer Is Actually What You Need for Vision", 2022; pooled before the last norm, as in timm.
- ShiftViT: Wang et al., "When Shift Operation Meets Vision Transformer", 2022.
- Swin: Liu et al., "Swin Transformer", 2021; its layer norms have eps 1e-5. (Version 0.1 built this preset with eps 1e-6: that
  network, under its old id, is the description whose norms are `layer`.)
- AS-MLP: Lian et al., "AS-MLP: An Axial Shifted MLP Architecture for Vision", 2022.
- Wave-MLP: Tang et al., "An Image Patch is a Wave", 2022; T, whose norms are batch norms.
- clcNet: Zhang, "clcNet: Improving the Efficiency of Convolutional Neural Network Using Channel Local Convolutions", CVPR
  2018. No convolution has a bias (a batch norm follows each): with biases A would have 3.267 M parameters, not 3.254.
- LambdaResNet: Bello, "LambdaNetworks: Modeling Long-Range Interactions Without Attention", 2021; 26t as in timm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any

from search_space.architecture import Architecture
from search_space.errors import unknown_name


def names() -> tuple[str, ...]:
    """The names of all presets."""
    return tuple(PRESETS)


@cache
def get(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        UnknownSpaceNameError: there is no such preset; the error lists the known names and suggests the closest.
    """
    if name not in PRESETS:
        raise unknown_name("", "preset", name, PRESETS)
    return PRESETS[name]()


def convmixer(
    width: int, depth: int, k: int, patch: int, act: str = "gelu", image_size: int = 224, num_classes: int = 1000
) -> Architecture:
    """ConvMixer-`width`/`depth` with depthwise convolutions of `k` x `k`."""
    stage = {"mixer": {"name": "conv", "k": k}, "channel_mixer": "pointwise", "width": width, "depth": depth}
    stage |= {"norm": "batch", "act": act, "residual": "convmixer"}
    stem = {"patch": patch, "act": act, "norm": "batch"}
    return _network([stage], stem, {"norm": None}, image_size, num_classes)


def vit(width: int, depth: int, heads: int, patch: int = 16) -> Architecture:
    """A vision transformer that averages its tokens instead of reading a class token."""
    stage = {"mixer": {"name": "attention", "heads": heads}, "width": width, "depth": depth, "norm": "layer"}
    return _network([stage], {"patch": patch, "pos_embed": True})


def mlp_mixer(width: int, depth: int, patch: int = 16) -> Architecture:
    """MLP-Mixer: half as many hidden units over positions as channels, four times as many over channels."""
    stage = {"mixer": {"name": "mlp", "ratio": 0.5}, "width": width, "depth": depth, "norm": "layer"}
    return _network([stage], {"patch": patch})


def gfnet(width: int, depth: int, patch: int = 16) -> Architecture:
    """GFNet of one width."""
    stage = {"mixer": "global_filter", "width": width, "depth": depth, "norm": "layer", "residual": "single"}
    return _network([stage], {"patch": patch, "pos_embed": True})


def gfnet_pyramid(widths: Sequence[int], depths: Sequence[int], layer_scale: float = 1e-3) -> Architecture:
    """GFNet-H: a pyramid; patches of four pixels, and of two positions between the stages.

    Published layer scales begin as 1e-3 in H-Ti, 1e-5 in H-S and 1e-6 in H-B.
    """
    stage = {"mixer": "global_filter", "norm": "layer", "residual": "single", "layer_scale": layer_scale}
    stages = _pyramid(widths, depths, stage, {"kernel": 2, "norm": None})
    return _network(stages, {"patch": 4, "pos_embed": True})


def afnonet(width: int, depth: int, num_blocks: int, patch: int = 16) -> Architecture:
    """AFNONet with `num_blocks` blocks in its channel matrices."""
    stage = {"mixer": {"name": "afno", "num_blocks": num_blocks}, "width": width, "depth": depth, "norm": "layer"}
    return _network([stage], {"patch": patch, "pos_embed": True})


def poolformer(widths: Sequence[int], depths: Sequence[int], layer_scale: float = 1e-5) -> Architecture:
    """PoolFormer: a pyramid with overlapping patches; the last norm is the only one outside the blocks.

    Published layer scales begin as 1e-5 in S12 and S24, and as 1e-6 in the deeper ones.
    """
    stage = {"mixer": {"name": "pool", "k": 3}, "norm": "group", "layer_scale": layer_scale}
    stages = _pyramid(widths, depths, stage, {"kernel": 3, "norm": None})
    return _network(stages, {"patch": 4, "kernel": 7}, {"norm": "after", "kind": "layer"})


def shiftvit(widths: Sequence[int], depths: Sequence[int], fraction: int = 12, expansion: float = 2.0) -> Architecture:
    """ShiftViT: a pyramid, twice as many hidden channels as channels, a twelfth of them moved to each side.

    Published B moves a sixteenth; the networks called "R4" have four times as many hidden channels.
    """
    stage: dict[str, Any] = {"mixer": {"name": "shift", "kind": "shiftvit", "fraction": fraction}, "norm": "group"}
    stage |= {"residual": "shiftvit", "channel_mixer": {"name": "mlp", "expansion": expansion}}
    stages = _pyramid(widths, depths, stage, {"kernel": 2, "norm": "before", "bias": False})
    return _network(stages, {"patch": 4, "norm": "group"})


def swin(widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], window: int = 7) -> Architecture:
    """Swin Transformer: a pyramid of attention in windows, shifted in every second block."""
    norm = {"name": "layer", "eps": 1e-5}
    stages = _pyramid(widths, depths, {"norm": norm}, {"kernel": 2, "norm": "patches", "bias": False})
    for description, count in zip(stages, heads, strict=True):
        description["mixer"] = {"name": "attention", "heads": count, "window": window, "shift": "alternate"}
    return _network(stages, {"patch": 4, "norm": norm})


def as_mlp(widths: Sequence[int], depths: Sequence[int], shift_size: int = 5) -> Architecture:
    """AS-MLP: Swin's pyramid with axial shifts."""
    stage = {"mixer": {"name": "shift", "kind": "axial", "shift_size": shift_size}, "norm": "group"}
    stages = _pyramid(widths, depths, stage, {"kernel": 2, "norm": "patches", "bias": False})
    return _network(stages, {"patch": 4, "norm": "group"})


def wave_mlp(widths: Sequence[int], depths: Sequence[int]) -> Architecture:
    """Wave-MLP-T: a pyramid with overlapping patches, a norm after each convolution outside the blocks.

    Published S, M and B have group norms instead, M and B none outside the blocks.
    """
    stage = {"mixer": {"name": "wave", "mode": "fc"}, "norm": "batch"}
    stages = _pyramid(widths, depths, stage, {"kernel": 3, "norm": "after"})
    return _network(stages, {"patch": 4, "kernel": 7, "norm": "batch"})


def clcnet(widths: Sequence[int], depths: Sequence[int]) -> Architecture:
    """ClcNet: a pyramid, map and width of each stage changing in its first block; the stem has half of the first width.

    Of L channels between its two layers, L those that come in, each block has g1 = L/2 groups of two channels in the 3x3
    convolution and g2 = 2 in the pointwise one: g1*g2 = L, the most that reach every channel.
    """
    mixer = {"name": "conv", "k": 3, "group_width": 2, "interlace": True, "bias": False}
    stage: dict[str, Any] = {"mixer": mixer, "channel_mixer": {"name": "pointwise", "groups": 2, "bias": False}}
    stage |= {"norm": "batch", "act": "relu", "residual": "plain", "begin": "block"}
    stages = _pyramid(widths, depths, stage, {})
    stem = {"patch": 2, "kernel": 3, "norm": "batch", "act": "relu", "order": "norm_act", "bias": False, "ratio": 0.5}
    return _network(stages, stem, {"norm": None})


def lambda_resnet(
    widths: Sequence[int], depths: Sequence[int], lambdas: Sequence[bool], context: int = 9, image_size: int = 256
) -> Architecture:
    """LambdaResNet: bottleneck blocks after timm's tiered stem with pooling, which has 1/4 of the first width.

    Args:
        widths: of the stages; a stage halves the map unless it has the width of the stage before.
        depths: blocks of the stages.
        lambdas: whether the blocks of a stage have a lambda layer instead of the 3x3 convolution.
        context: side of what the position lambdas reach.
        image_size: in pixels.
    """
    convolution = {"name": "conv", "k": 3, "groups": 1, "bias": False}
    mixers = [{"name": "lambda", "context": context} if attends else convolution for attends in lambdas]
    stage: dict[str, Any] = {"norm": "batch", "act": "relu", "residual": "bottleneck", "begin": "block"}
    stage |= {"channel_mixer": {"name": "mlp", "expansion": 0.25, "bias": False}}
    stage |= {"downsampling": {"kernel": 1, "norm": "after", "bias": False}}
    shapes = zip(mixers, widths, depths, strict=True)
    stages = [stage | {"mixer": mixer, "width": width, "depth": depth} for mixer, width, depth in shapes]
    for previous, stage in pairwise(stages):
        stage["downsample"] = 1 if stage["width"] == previous["width"] else 2
    stem = {
        "patch": 4,
        "tiered": True,
        "pool": True,
        "norm": "batch",
        "act": "relu",
        "order": "norm_act",
        "bias": False,
    }
    return _network(stages, stem | {"ratio": 0.25}, {"norm": None}, image_size)


def _pyramid(
    widths: Sequence[int], depths: Sequence[int], stage: dict[str, Any], downsampling: dict[str, Any]
) -> list[dict[str, Any]]:
    """Stages like `stage`, each but the first on half the map of the one before."""
    stages = [stage | {"width": width, "depth": depth} for width, depth in zip(widths, depths, strict=True)]
    return stages[:1] + [later | {"downsample": 2, "downsampling": downsampling} for later in stages[1:]]


def _network(
    stages: list[dict[str, Any]],
    stem: dict[str, Any],
    head: dict[str, Any] | None = None,
    image_size: int = 224,
    num_classes: int = 1000,
) -> Architecture:
    description = {"stages": stages, "stem": stem, "image_size": image_size, "num_classes": num_classes}
    return Architecture.from_dict(description if head is None else description | {"head": head})


PRESETS: dict[str, Callable[[], Architecture]] = {
    "convmixer_1536_20": partial(convmixer, 1536, 20, k=9, patch=7),
    "convmixer_768_32": partial(convmixer, 768, 32, k=7, patch=7, act="relu"),
    "convmixer_1024_20": partial(convmixer, 1024, 20, k=9, patch=14),
    "convmixer_256_8_cifar": partial(convmixer, 256, 8, k=5, patch=2, image_size=32, num_classes=10),
    "convmixer_256_8_cifar_k9": partial(convmixer, 256, 8, k=9, patch=2, image_size=32, num_classes=10),
    "vit_tiny_patch16": partial(vit, 192, 12, heads=3),
    "vit_small_patch16": partial(vit, 384, 12, heads=6),
    "mixer_s16": partial(mlp_mixer, 512, 8),
    "gfnet_ti": partial(gfnet, 256, 12),
    "gfnet_xs": partial(gfnet, 384, 12),
    "gfnet_h_ti": partial(gfnet_pyramid, (64, 128, 256, 512), (3, 3, 10, 3)),
    "afnonet_256_12_p16": partial(afnonet, 256, 12, num_blocks=4),
    "poolformer_s12": partial(poolformer, (64, 128, 320, 512), (2, 2, 6, 2)),
    "poolformer_s24": partial(poolformer, (64, 128, 320, 512), (4, 4, 12, 4)),
    "shiftvit_t": partial(shiftvit, (96, 192, 384, 768), (6, 8, 18, 6)),
    "swin_tiny_patch4_window7": partial(swin, (96, 192, 384, 768), (2, 2, 6, 2), heads=(3, 6, 12, 24)),
    "as_mlp_t": partial(as_mlp, (96, 192, 384, 768), (2, 2, 6, 2)),
    "wave_mlp_t": partial(wave_mlp, (64, 128, 320, 512), (2, 2, 4, 2)),
    "clcnet_a": partial(clcnet, (64, 128, 256, 512, 1024), (1, 2, 2, 6, 3)),
    "clcnet_b": partial(clcnet, (64, 128, 256, 512, 1024), (1, 2, 2, 8, 4)),
    "lambda_resnet26t": partial(
        lambda_resnet, (256, 512, 1024, 1024, 2048), (2, 2, 1, 1, 2), lambdas=(False, False, False, True, True)
    ),
}
