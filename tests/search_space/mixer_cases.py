"""Every registered mixer with each of its options: the table that the contract suites run over.

A mixer that is registered but has no row in the table, or an option that never varies there, fails `test_mixer_contract.py`.
"""

from __future__ import annotations

import torch
from torch import nn

from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixerSpec
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.modules.builders import build_channel_mixer, build_token_mixer
from search_space.tape import Cost

Size = tuple[int, int]
Shape = tuple[int, Size]

VARIANTS: dict[str, list[dict[str, object]]] = {
    "afno": [
        {},
        {"num_blocks": 1, "hidden_size_factor": 2, "sparsity_threshold": 0.0},
        {"num_blocks": 4, "hard_thresholding_fraction": 0.7},
        {"num_blocks": 24, "hidden_size_factor": 3, "hard_thresholding_fraction": 0.4, "sparsity_threshold": 0.02},
        {"num_blocks": 2, "hard_thresholding_fraction": 0.5, "hard_thresholding": "afno"},
        {"num_blocks": 4, "hard_thresholding_fraction": 0.5, "hard_thresholding": "fourcastnet"},
        {"num_blocks": 4, "hard_thresholding": "fourcastnet"},
    ],
    "attention": [
        {},
        {"heads": 1},
        {"heads": 3, "kv_reduction": 2},
        {"heads": 2, "kv_reduction": 3},
        {"heads": 3, "kv_pool": 3},
        {"heads": 2, "window": 3},
        {"heads": 3, "window": 4, "shift": "always"},
        {"window": 2, "shift": "alternate"},
    ],
    "conv": [
        {},
        {"k": 1, "groups": 4},
        {"k": 4},
        {"k": 3, "groups": 1},
        {"k": 2, "groups": 4, "interlace": True},
        {"k": 5, "groups": "depthwise", "interlace": True},
        {"k": 9, "groups": 8, "interlace": True},
        {"k": 3, "group_width": 3, "interlace": True, "bias": False},
    ],
    "fnet": [{}],
    "fno": [{}, {"modes": 1}, {"modes": 2}],
    "global_filter": [{}],
    "identity": [{}],
    "lambda": [
        {},
        {"heads": 1, "k": 4, "context": 1},
        {"heads": 2, "k": 3, "u": 4, "context": 5},
        {"heads": 3, "k": 5, "u": 2, "context": "global"},
        {"context": "global"},
    ],
    "mlp": [{}, {"ratio": 0.3}, {"ratio": 2.0}],
    "pool": [{}, {"k": 5}],
    "separable_conv": [
        {},
        {"k": 4, "expansion": 1.5, "act": "relu"},
        {"k": 1, "expansion": 0.5, "act": "gelu"},
        {"k": 3, "expansion": 4.0},
    ],
    "shift": [
        {},
        {"fraction": 5},
        {"kind": "s2"},
        {"kind": "s2", "fraction": 6, "shift_size": 2},
        {"kind": "axial"},
        {"kind": "axial", "shift_size": 7, "fraction": 5},
    ],
    "wave": [{}, {"mode": "depthwise"}],
}
CHANNEL_VARIANTS: dict[str, list[dict[str, object]]] = {
    "mlp": [
        {},
        {"expansion": 1.0, "groups": (4, 6)},
        {"expansion": 0.5, "groups": (3, 4)},
        {"expansion": 2.0, "groups": (24, 1)},
        {"expansion": 1.0, "groups": (8, 12)},  # reaches every channel only after dense mixers
        {"expansion": 4.0, "groups": (8, 12)},
        {"expansion": 1.0, "groups": (2, 3), "bias": False},
    ],
    "pointwise": [{}, {"groups": 4}, {"groups": 3, "bias": False}],
}
SHAPES: tuple[Shape, ...] = ((24, (8, 8)), (24, (5, 7)), (48, (9, 4)))
ACTIVATIONS = ("gelu", "relu", "silu")


class Case:
    """One mixer at one width and map size."""

    def __init__(self, mixer: TokenMixerSpec | ChannelMixerSpec, shape: Shape, act: str = "gelu") -> None:
        self.mixer, self.width, self.size, self.act = mixer, *shape, act

    def __repr__(self) -> str:
        options = ",".join(f"{k}={v}" for k, v in self.mixer.model_dump(exclude_defaults=True).items())
        return f"{self.mixer.name}({options})-{self.width}-{self.size[0]}x{self.size[1]}"

    def build(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        if isinstance(self.mixer, TokenMixerSpec):
            self.mixer.check(self.width, self.size)
            return build_token_mixer(self.mixer, self.width, self.size)
        self.mixer.check(self.width)
        return build_channel_mixer(self.mixer, self.width, self.act)

    @property
    def cost(self) -> Cost:
        if isinstance(self.mixer, TokenMixerSpec):
            return self.mixer.cost(self.width, self.size)
        return self.mixer.cost(self.width, self.size, self.act)

    def input(self, batch: int = 2, seed: int = 1) -> torch.Tensor:
        return torch.randn(batch, self.width, *self.size, generator=torch.Generator().manual_seed(seed))


def cases() -> list[Case]:
    return [
        Case(registry[name](**options), shape, ACTIVATIONS[index % 3])
        for table, registry in ((VARIANTS, MIXERS), (CHANNEL_VARIANTS, CHANNEL_MIXERS))
        for name in registry
        for index, options in enumerate(table.get(name, []))
        for shape in SHAPES
    ]


CASES = cases()
VARIANT_CASES = [case for case in CASES if case.size == (5, 7)]
