"""The costs of the parts of an architecture by hand; `test_operators.py` adds them up for presets and random architectures."""

from __future__ import annotations

from search_space import Architecture, Cost, cost_by_part

TINY = {
    "image_size": [4, 6],
    "in_chans": 1,
    "num_classes": 3,
    "stem": {"patch": 2, "pos_embed": True},
    "stages": [
        {"mixer": "pool", "width": 4, "depth": 1, "residual": "plain", "channel_mixer": {"name": "pointwise"}},
        {"mixer": "pool", "width": 8, "depth": 2, "downsample": 2, "residual": "plain"}
        | {"channel_mixer": {"name": "pointwise"}},
    ],
}


def test_the_costs_of_parts_by_hand() -> None:
    stem, first, second, head = cost_by_part(Architecture.from_dict(TINY))
    # Maps: 4x6 pixels -> 2x3 tokens, then 1x2. The stem has 4*4 weights on 6 positions, 4 biases and 24 numbers of the
    # embedding; it saves the image.
    assert stem == Cost(macs=96, params=16 + 4 + 24, activation_bytes=4 * 24)
    # A pointwise layer of 4*4 + 4 on 6 positions; a norm of 2*4 after each of the two mixers.
    assert (first.macs, first.params) == (6 * 16, 20 + 16)
    # A norm of 2*4 and a 3x3 convolution 4 -> 8 on 2 positions belong to the stage, then two blocks as above.
    assert (second.macs, second.params) == (2 * 288 + 2 * 2 * 64, 8 + 288 + 8 + 2 * (72 + 32))
    # A norm of 2*8, whose input of 16 numbers is saved, 8 means and a linear layer of 8*3 + 3.
    assert head == Cost(macs=24, params=16 + 27, activation_bytes=4 * (16 + 8))
