"""A search space around one architecture: the architecture itself, smaller ones, and other mixers in its stages.

The macro structure (stem, norms, residual form, downsampling) stays; each stage chooses among its own token mixer and
cheap or strong alternatives, between its width and half of it, and between its depth and half of it.
"""

from __future__ import annotations

from typing import Any

from search_space.architecture import Architecture, Stage
from search_space.errors import ArchitectureError
from search_space.space import SearchSpace

ALTERNATIVES: dict[str, dict[str, Any]] = {
    "conv": {"k": [3, 7]},
    "lambda": {"heads": 4, "k": 16, "context": [7, 15]},
    "attention": {"heads": [2, 4, 8]},
    "afno": {"num_blocks": [4, 8]},
    "global_filter": {},
    "shift": {},
    "pool": {},
}


def around(architecture: Architecture) -> SearchSpace:
    """The space around `architecture`, which it contains.

    Raises:
        ArchitectureError: its stages change the width without halving the map, or halve it in some stages only: such
            networks are points of no space with a layout.
    """
    strides = {stage.downsample for stage in architecture.stages[1:]}
    widths = {stage.width for stage in architecture.stages}
    if len(strides) > 1 or (strides == {1} and len(widths) > 1) or architecture.stages[0].downsample == 2:
        rule = "must all halve the map after the first, or all keep map and width"
        raise ArchitectureError("stages", rule, [stage.downsample for stage in architecture.stages])
    layout = "pyramid" if strides == {2} else "isotropic"
    return SearchSpace.from_dict(
        {
            "layout": layout,
            "stem": {name: [value] for name, value in architecture.stem.model_dump().items()},
            "head": {"norm": [architecture.head.norm], "kind": architecture.head.kind},
            "stages": [_choices(stage) for stage in architecture.stages],
            "image_size": architecture.image_size,
            "in_chans": architecture.in_chans,
            "num_classes": architecture.num_classes,
        }
    )


def _choices(stage: Stage) -> dict[str, Any]:
    own = {name: [value] for name, value in stage.mixer.model_dump().items()}
    channel = {name: [value] for name, value in stage.channel_mixer.model_dump().items()}
    others = {name: options for name, options in ALTERNATIVES.items() if name != stage.mixer.name}
    return {
        "mixer": {stage.mixer.name: own, **others},
        "channel_mixer": {stage.channel_mixer.name: channel},
        "depth": [stage.depth] if stage.depth == 1 else [stage.depth // 2, stage.depth],
        "width": [stage.width] if stage.width % 2 else [stage.width // 2, stage.width],
        "norm": [stage.norm],
        "act": [stage.act],
        "residual": [stage.residual],
        "layer_scale": [stage.layer_scale],
        "squeeze_excite": [stage.squeeze_excite],
        "downsampling": [stage.downsampling],
    }
