"""Combinations of options: which are refused and with which error, canonical forms, and blocks that alternate."""

from __future__ import annotations

import re

import pytest
import torch

from search_space.errors import ArchitectureError, SpaceError
from search_space.mixers import MIXERS, create
from search_space.mixers.afno import AFNOSpec
from search_space.mixers.attention import AttentionSpec
from search_space.mixers.mlp import TokenMLPSpec
from search_space.mixers.shift import ShiftSpec
from search_space.modules.builders import build_token_mixer
from search_space.tape import Cost

REFUSED: list[tuple[str, int, tuple[int, int], dict[str, object], str]] = [
    ("attention", 12, (4, 7), {"window": 5}, "window: must not exceed the map 4x7, found 5"),
    ("attention", 12, (4, 7), {"kv_pool": 5}, "kv_pool: must not exceed the map 4x7, found 5"),
    ("attention", 12, (4, 4), {"shift": "always"}, "shift: needs a window to shift, found 'always'"),
    ("attention", 12, (4, 4), {"shift": "alternate"}, "shift: needs a window to shift, found 'alternate'"),
    (
        *("attention", 12, (4, 4), {"window": 2, "kv_reduction": 2}),
        "kv_reduction: must be 1 in windows (window is 2), found 2",
    ),
    ("attention", 12, (4, 4), {"window": 2, "kv_pool": 3}, "kv_pool: must be null in windows (window is 2), found 3"),
    (
        *("attention", 12, (4, 4), {"kv_reduction": 2, "kv_pool": 3}),
        "kv_pool: must be null where kv_reduction is 2, found 3",
    ),
    ("attention", 12, (4, 4), {"window": 0}, "window: input should be greater than or equal to 1, found 0"),
    ("fno", 12, (8, 5), {"modes": 3}, "modes: must not exceed half the map 8x5, found 3"),
    ("mlp", 3, (4, 4), {"ratio": 0.3}, "ratio: times the width 3 must be at least 1, found 0.3"),
    ("separable_conv", 10, (4, 4), {"expansion": 1.25}, "expansion: times the width 10 must be whole, found 1.25"),
    ("shift", 12, (4, 4), {"kind": "axial", "shift_size": 4}, "shift_size: must be odd, found 4"),
    (
        *("shift", 4, (4, 4), {"kind": "axial"}),
        "shift_size: needs at least 5 channels, the width is 4, found 5",
    ),
    ("shift", 8, (4, 4), {}, "fraction: needs at least 12 channels, the width is 8, found 12"),
    ("shift", 3, (4, 4), {"kind": "s2"}, "kind: needs at least 4 channels, the width is 3, found 's2'"),
    ("wave", 3, (4, 4), {}, "wave needs a width of at least 4, found 3"),
]


@pytest.mark.parametrize(("name", "width", "size", "options", "message"), REFUSED)
def test_options_that_do_not_fit_are_refused(
    name: str, width: int, size: tuple[int, int], options: dict[str, object], message: str
) -> None:
    with pytest.raises(SpaceError, match=f"^{re.escape(message)}$"):
        create(name, width=width, size=size, **options)


@pytest.mark.parametrize(("option", "value"), [("modes", "some"), ("modes", 0), ("modes", 1.5)])
def test_modes_are_a_number_or_all(option: str, value: object) -> None:
    with pytest.raises(ArchitectureError, match=option):
        MIXERS["fno"](**{option: value})


def test_every_second_block_shifts_its_windows() -> None:
    alternate = AttentionSpec(window=2, shift="alternate")
    assert [alternate.for_block(index).shift for index in range(4)] == ["none", "always", "none", "always"]
    for shift in ("none", "always"):
        same = AttentionSpec(window=2, shift=shift)
        assert [same.for_block(index) for index in range(3)] == [same] * 3
    still, shifted = (alternate.for_block(index).cost(12, (5, 7)) for index in range(2))
    assert still == alternate.cost(12, (5, 7))
    # 3 x 4 windows of 4 positions; where they are masked, the logits of each pair and of 4 heads are kept as well.
    assert shifted == still + Cost(activation_bytes=4 * 12 * 4 * 4 * 4)


@pytest.mark.parametrize("shift", ["always", "alternate"])
@pytest.mark.parametrize(
    ("window", "size", "moves"), [(4, (4, 4), False), (4, (4, 5), True), (1, (4, 4), False), (3, (4, 3), True)]
)
def test_windows_that_cannot_move_have_no_shift(shift: str, window: int, size: tuple[int, int], moves: bool) -> None:
    mixer = AttentionSpec(window=window, shift=shift)
    assert mixer.canonical(12, size).shift == (shift if moves else "none")
    torch.manual_seed(0)
    still, shifted = (
        build_token_mixer(AttentionSpec(window=window), 12, size),
        build_token_mixer(mixer.for_block(1), 12, size),
    )
    still.load_state_dict(shifted.state_dict())
    x = torch.randn(2, 12, *size)
    assert torch.equal(still(x), shifted(x)) != moves


def test_options_of_another_kind_of_shift_are_reset() -> None:
    assert ShiftSpec(kind="s2", fraction=5, shift_size=3).canonical(12, (4, 4)) == ShiftSpec(kind="s2")
    assert ShiftSpec(fraction=5, shift_size=3).canonical(12, (4, 4)) == ShiftSpec(fraction=5)
    assert ShiftSpec(kind="axial", fraction=5, shift_size=3).canonical(12, (4, 4)) == ShiftSpec(
        kind="axial", shift_size=3
    )


@pytest.mark.parametrize("width", range(1, 70))
def test_ratios_of_the_same_hidden_units_have_one_canonical_form(width: int) -> None:
    for hidden in range(1, 2 * width):
        canonical_forms = {
            TokenMLPSpec(ratio=(hidden + part) / width).canonical(width, (2, 2)) for part in (0.01, 0.5, 0.99)
        }
        assert len(canonical_forms) == 1
        assert canonical_forms.pop().hidden(width) == hidden


@pytest.mark.parametrize("thresholding", ["afno", "fourcastnet"])
def test_an_afno_that_keeps_all_modes_is_the_plain_one(thresholding: str) -> None:
    mixer = AFNOSpec(hard_thresholding=thresholding)
    assert mixer.canonical(16, (6, 6)) == AFNOSpec()
    assert mixer.replace(hard_thresholding_fraction=0.6).canonical(16, (6, 6)) != AFNOSpec()


def test_fourcastnets_columns_follow_from_the_height() -> None:
    mixer = AFNOSpec(hard_thresholding="fourcastnet")
    assert mixer.canonical(16, (4, 12)) == mixer
    assert mixer.modes((4, 12)) == 4 * 3
    with pytest.raises(SpaceError, match=r"hard_thresholding_fraction: keeps no mode of a 4x12 map, found 0\.3"):
        mixer.replace(hard_thresholding_fraction=0.3).check(16, (4, 12))


def test_a_later_option_is_in_the_description_only_where_it_is_not_the_default() -> None:
    assert "hard_thresholding" not in AFNOSpec().to_dict()
    mixer = AFNOSpec(hard_thresholding="afno", hard_thresholding_fraction=0.5)
    assert mixer.to_dict()["hard_thresholding"] == "afno"
    assert MIXERS.parse(mixer.to_dict()) == mixer
