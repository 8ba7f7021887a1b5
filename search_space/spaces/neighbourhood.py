"""The neighbourhood of an architecture as a search space: itself, smaller ones, and other mixers in its stages.

Stem, norms, residual forms and downsampling stay; each stage chooses among its own token mixer and cheap or strong
alternatives, between its width and half of it, and between its depth and half of it. Where its channel mixer is grouped, a
dense one is a choice too.
"""

from __future__ import annotations

from typing import Any

from search_space.architecture import Architecture
from search_space.errors import ArchitectureError
from search_space.spaces.space import SearchSpace
from search_space.stage import Stage

ALTERNATIVES: dict[str, dict[str, Any]] = {
    "conv": {"k": [3, 7]},
    "lambda": {"heads": 4, "k": 16, "context": [7, 15]},
    "attention": {"heads": [2, 4, 8]},
    "afno": {"num_blocks": [4, 8]},
    "global_filter": {},
    "shift": {},
    "pool": {},
}


def neighbourhood(architecture: Architecture) -> SearchSpace:
    """The search space around `architecture`, which is one of its points.

    Raises:
        ArchitectureError: its stages differ in width and none halves the map; no layout contains such networks.
    """
    pyramid = any(stage.downsample == 2 for stage in architecture.stages)
    widths = [stage.width for stage in architecture.stages]
    if not pyramid and len(set(widths)) > 1:
        raise ArchitectureError("stages", "must be of one width where none halves the map", widths)
    layout = "pyramid" if pyramid else "isotropic"
    return SearchSpace.from_dict(
        {
            "layout": layout,
            "stem": {name: [value] for name, value in architecture.stem.model_dump().items()},
            "head": {"norm": [architecture.head.norm], "kind": architecture.head.kind},
            "stages": [_choices(stage, index) for index, stage in enumerate(architecture.stages)],
            "image_size": architecture.image_size,
            "in_chans": architecture.in_chans,
            "num_classes": architecture.num_classes,
        }
    )


def _choices(stage: Stage, index: int) -> dict[str, Any]:
    own = {name: [value] for name, value in stage.mixer.model_dump().items()}
    channel = {name: [value] for name, value in stage.channel_mixer.model_dump().items()}
    dense = type(stage.channel_mixer)().model_dump().get("groups")
    if dense is not None and dense not in channel["groups"]:  # for token mixers that mix no channels
        channel["groups"].append(dense)
    usual = 1 if index == 0 else 2
    others = {name: options for name, options in ALTERNATIVES.items() if name != stage.mixer.name}
    return {
        "mixer": {stage.mixer.name: own, **others},
        "channel_mixer": {stage.channel_mixer.name: channel},
        "depth": [stage.depth] if stage.depth == 1 else [stage.depth // 2, stage.depth],
        "width": [stage.width] if stage.width % 2 else [stage.width // 2, stage.width],
        "norm": [stage.norm],
        "act": [stage.act],
        "downsample": None if stage.downsample == usual else [stage.downsample],
        "begin": [stage.begin],
        "residual": [stage.residual],
        "layer_scale": [stage.layer_scale],
        "squeeze_excite": [stage.squeeze_excite],
        "downsampling": [stage.downsampling],
    }
