"""Architectures of the product: pyramids of two or three stages, each with a mixer that has its own options."""

from __future__ import annotations

import math

import numpy as np

from nas.objectives.costs import costs_of
from search_space import Architecture, SearchSpace
from search_suite.architectures import ArchitectureProblem
from search_suite.catalogue import family
from search_suite.families.products import MACS
from search_suite.responses import MEASURES

_MIXERS = ("conv", "attention", "lambda", "global_filter", "shift", "pool")
_STAGE = {
    "mixer": {
        "conv": {"k": [3, 5, 7]},
        "lambda": {"heads": 4, "k": [8, 16], "context": [5, "global"]},
        "global_filter": {},
        "attention": {"heads": [2, 4]},
        "shift": {},
        "pool": {},
    },
    "channel_mixer": {"mlp": {"expansion": [1, 2, 4], "groups": [[1, 1], "cheapest"]}},
    "depth": [1, 2],
    "norm": "batch",
}
SPACE = {
    "layout": "pyramid",
    "num_stages": [2, 3],
    "stem": {"patch": [2, 4]},
    "stages": [{**_STAGE, "width": widths} for widths in ([24, 32, 48], [48, 64, 96], [64, 96, 128])],
    "image_size": [32, 32],
}


@family("pyramids")
def create_pyramids(name: str, seed: int) -> ArchitectureProblem:
    """A `SearchSpace` of architectures: accuracy, decided by mixers, depths, widths and MACs, against log MACs."""
    rng = np.random.default_rng(seed)
    mixers = rng.normal(0, 0.35, (3, len(_MIXERS))) + rng.normal(0, 0.25, len(_MIXERS))
    after = rng.normal(0, 0.25, (len(_MIXERS), len(_MIXERS)))  # of a mixer on the one before it
    depth, width, expansion = rng.uniform(0.1, 0.5, 3), rng.uniform(0.2, 0.6, 3), rng.uniform(0.0, 0.3, 3)

    def quality(architecture: Architecture) -> float:
        total = 1.1 * (math.log(costs_of(architecture).macs) - 15)
        previous = None
        for i, stage in enumerate(architecture.stages):
            kind = _MIXERS.index(stage.mixer.name)
            total += mixers[i, kind] + depth[i] * math.log(stage.depth) + width[i] * math.log(stage.width / 48)
            total += expansion[i] * math.log(stage.channel_mixer.expansion)  # type: ignore[attr-defined]
            total += 0.1 * math.sin(getattr(stage.mixer, "k", 3) + i) if kind == 0 else 0.0
            total += 0.0 if previous is None else after[previous, kind]
            previous = kind
        return total

    space = SearchSpace.from_dict(SPACE)
    return ArchitectureProblem(name, space, MEASURES["accuracy"], MACS, quality)
