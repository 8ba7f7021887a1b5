"""What a search space refuses: each error names the place, the rule and the value."""

from __future__ import annotations

from typing import Any

import pytest

from search_space import Architecture, SearchSpace
from search_space.errors import ArchitectureError, EmptySpaceError, SpaceError, UnknownSpaceNameError


def space(stage: dict[str, Any] | None = None, **rest: Any) -> SearchSpace:
    return SearchSpace.from_dict({"stages": [{"mixer": "conv", **(stage or {})}], **rest})


@pytest.mark.parametrize(
    ("stage", "rest", "text"),
    [
        ({}, {"stem": {"patch": [3, 5]}}, "stem.patch: must divide the image 32x32, found [3, 5]"),
        ({"mixer": {"attention": {"heads": 7}}}, {}, "stages[0].mixer.heads: nothing fits a map of 8x8: must"),
        (
            {"mixer": {"attention": {"kv_reduction": [9, 16]}}},
            {},
            "stages[0].mixer.kv_reduction: nothing fits a map of 8x8: must not exceed",
        ),
        ({"mixer": {"shift": {}}, "width": [4, 8]}, {}, "stages[0].mixer.fraction: nothing fits a map of 8x8: needs"),
        (
            {"channel_mixer": {"mlp": {"groups": [[32, 64]]}}},
            {},
            "stages[0].channel_mixer.groups: nothing fits a map of 8x8",
        ),
        (
            {"channel_mixer": {"mlp": {"expansion": 0.001, "groups": "cheapest"}}},
            {},
            "stages[0].channel_mixer.expansion",
        ),
        (
            {"channel_mixer": {"mlp": {"expansion": 0.3}}},
            {},
            "stages[0].channel_mixer.expansion: nothing fits a map of 8x8",
        ),
    ],
)
def test_the_error_of_an_empty_space_names_the_choice_to_blame(
    stage: dict[str, Any], rest: dict[str, Any], text: str
) -> None:
    with pytest.raises(EmptySpaceError) as caught:
        space(stage, **rest)
    assert str(caught.value).startswith(text)
    assert caught.value.value is not None


def test_the_error_of_an_empty_later_stage_has_its_own_map_size() -> None:
    late = {"mixer": {"attention": {"kv_reduction": 8}}}
    with pytest.raises(
        EmptySpaceError, match=r"stages\[1\]\.mixer\.kv_reduction: nothing fits a map of 4x4: .*found 8"
    ):
        SearchSpace.from_dict({"stages": [{"mixer": "conv"}, late]})


def test_an_isotropic_space_is_checked_at_the_width_of_its_first_stage() -> None:
    late = {"mixer": {"attention": {"heads": 7}}, "width": 14}
    with pytest.raises(EmptySpaceError, match=r"stages\[1\]\.mixer\.heads: .*must divide the width 64, found 7"):
        SearchSpace.from_dict({"stages": [{"mixer": "conv"}, late], "layout": "isotropic"})
    fits_here = {"mixer": {"attention": {"heads": 8}}, "width": 7}  # the 7 is not used
    assert SearchSpace.from_dict({"stages": [{"mixer": "conv"}, fits_here], "layout": "isotropic"}).size == 1


@pytest.mark.parametrize(
    ("stage", "rest", "kind", "text"),
    [
        (
            {"mixer": "covn"},
            {},
            UnknownSpaceNameError,
            "stages[0].mixer.covn: no such mixer (known: afno, attention, conv,",
        ),
        ({"mixer": ["conv", "lambada"]}, {}, UnknownSpaceNameError, "found 'lambada'; did you mean lambda?"),
        (
            {"mixer": {"conv": {"kernel": 3}}},
            {},
            UnknownSpaceNameError,
            "stages[0].mixer.conv.kernel: no such option of conv (kn",
        ),
        ({"mixer": {"conv": {"k": [3, 0]}}}, {}, ArchitectureError, "stages[0].mixer.conv.k[1]: input should be gre"),
        ({"mixer": {"conv": {"k": "3"}}}, {}, ArchitectureError, "stages[0].mixer.conv.k: "),
        ({"mixer": {"conv": 3}}, {}, ArchitectureError, "stages[0].mixer.conv: must be a mapping of options to values"),
        (
            {"mixer": {}},
            {},
            ArchitectureError,
            "stages[0].mixer: must be the name of a mixer, a list of names, or a mapping",
        ),
        (
            {"mixer": 3},
            {},
            ArchitectureError,
            "stages[0].mixer: must be the name of a mixer, a list of names, or a mapping",
        ),
        ({"channel_mixer": {"mlp": {"groups": "half"}}}, {}, ArchitectureError, "stages[0].channel_mixer.mlp.groups: "),
        ({"channel_mixer": {"mpl": {}}}, {}, UnknownSpaceNameError, "did you mean mlp?"),
        (
            {"widht": 3},
            {},
            UnknownSpaceNameError,
            "stages[0].widht: no such key (known: act, begin, channel_mixer, depth,",
        ),
        ({"width": [8, 0]}, {}, ArchitectureError, "stages[0].width[1]: input should be greater than or equal to 1"),
        ({"width": ["8"]}, {}, ArchitectureError, "stages[0].width[0]: input should be a valid integer, found '8'"),
        ({"width": []}, {}, ArchitectureError, "stages[0].width: "),
        ({"norm": "batchnorm"}, {}, ArchitectureError, "stages[0].norm[0]: "),
        ({"layer_scale": float("inf")}, {}, ArchitectureError, "stages[0].layer_scale[0]"),
        ({}, {"layout": "pyramyd"}, ArchitectureError, "layout[0]: input should be 'isotropic' or 'pyramid'"),
        ({}, {"num_stages": [1, 2]}, ArchitectureError, "num_stages: must not exceed the 1 stages, found 2"),
        ({}, {"image_size": 0}, ArchitectureError, "image_size[0]: input should be greater than or equal to 1"),
        (
            {},
            {"stem": {"path": 4}},
            UnknownSpaceNameError,
            "pool, pos_embed, ratio, tiered), found 'path'; did you mean patch or act?",
        ),
        ({}, {"stages": "pool"}, ArchitectureError, "stages: must be a list, such as [a, b], found 'pool'"),
        (
            {},
            {"stages": ["pool"]},
            ArchitectureError,
            "stages[0]: must be a mapping, such as {key: value}, found 'pool'",
        ),
        (
            {},
            {"Stem": {}},
            UnknownSpaceNameError,
            "Stem: no such key (known: head, image_size, in_chans, layout, num_classes, num_stages, stages, stem), "
            "found 'Stem'; did you mean stem",
        ),
    ],
)
def test_invalid_choices_are_refused(
    stage: dict[str, Any], rest: dict[str, Any], kind: type[SpaceError], text: str
) -> None:
    with pytest.raises(kind) as caught:
        space(stage, **rest)
    assert text in str(caught.value)


def test_a_space_needs_stages() -> None:
    with pytest.raises(ArchitectureError, match="stages: must be given"):
        SearchSpace.from_dict({})
    with pytest.raises(ArchitectureError, match="stages: "):
        SearchSpace.from_dict({"stages": []})
    with pytest.raises(ArchitectureError, match="a search space must be a mapping, found 3"):
        SearchSpace.from_dict(3)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"stages": [{"mixr": "pool"}]}, r"^stages\[0\]\.mixr: no such key .*; did you mean mixer\?"),
        ({"stage": [{"mixer": "pool"}]}, r"^stage: no such key .*; did you mean stages"),
        ({"stages": [{}]}, r"^stages\[0\]\.mixer: must be given"),
    ],
)
def test_a_misspelt_key_is_named_rather_than_the_missing_one(fields: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpaceError, match=rule):
        Architecture.from_dict(fields)
