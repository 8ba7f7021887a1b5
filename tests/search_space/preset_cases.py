"""Small networks of each family of presets: few channels, blocks and classes, on maps that are not square."""

from __future__ import annotations

from search_space import Architecture, presets


def small(architecture: Architecture) -> Architecture:
    """`architecture` for small images of few classes, on maps that are not square."""
    return architecture.replace(image_size=(32, 48), num_classes=5)


SMALL: dict[str, Architecture] = {
    "convmixer": small(presets.convmixer(16, 2, k=5, patch=4)),
    "convmixer of an even kernel": small(presets.convmixer(16, 1, k=4, patch=4, act="relu")),
    "vit": small(presets.vit(24, 2, heads=3, patch=8)),
    "mlp_mixer": small(presets.mlp_mixer(16, 2, patch=8)),
    "gfnet": small(presets.gfnet(16, 2, patch=8)),
    "gfnet_pyramid": small(presets.gfnet_pyramid((8, 16, 24), (1, 2, 1))),
    "afnonet": small(presets.afnonet(16, 2, num_blocks=4, patch=8)),
    "poolformer": small(presets.poolformer((8, 16, 24), (1, 2, 1))),
    "shiftvit": small(presets.shiftvit((12, 24, 36), (1, 2, 1))),
    "swin": small(presets.swin((8, 16), (2, 3), heads=(2, 4), window=4)),
    "as_mlp": small(presets.as_mlp((8, 16, 24), (1, 2, 1))),
    "wave_mlp": small(presets.wave_mlp((8, 16, 24), (1, 2, 1))),
    "clcnet": small(presets.clcnet((8, 16, 24), (1, 2, 1))),
    "lambda_resnet": small(presets.lambda_resnet((32, 64, 64), (1, 2, 1), lambdas=(False, False, True), context=3)),
    "convmixer_256_8_cifar": presets.get("convmixer_256_8_cifar"),
}
