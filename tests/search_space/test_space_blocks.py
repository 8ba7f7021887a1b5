"""Spaces that choose how stages begin and what they do to the map; a search through all raw choices is the oracle."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from search_space import Architecture, DownsamplingSpec, SearchSpace, build, cost, presets
from search_space.errors import EmptySpaceError, SpaceError
from search_space.spaces.neighbourhood import neighbourhood

law = settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique_by=repr)


MIXERS: list[dict[str, Any]] = [
    {"conv": {"k": [3], "group_width": [2, None], "interlace": [False, True]}},
    {"conv": {"k": [3], "groups": ["depthwise", 1, 4]}},
    {"pool": {}, "lambda": {"heads": [2, 4], "k": [4], "context": ["global"]}},
    {"attention": {"heads": [2], "window": [2, 3], "shift": ["none", "always"]}},
]
CHANNELS: list[dict[str, Any]] = [
    {"mlp": {"expansion": [0.5, 1.0], "groups": [[1, 1], [2, 4]]}},
    {"mlp": {"expansion": [0.25], "groups": [[1, 1]], "bias": [True, False]}, "pointwise": {"groups": [1, 2]}},
    {"mlp": {"expansion": [0.5, 1.0], "groups": ["full"]}},
]
SOME_DOWNSAMPLINGS = [{"kernel": 1, "norm": "after", "bias": False}, {"kernel": 2, "norm": "patches", "bias": True}]


@st.composite
def stage_choices(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "mixer": draw(st.sampled_from(MIXERS)),
        "channel_mixer": draw(st.sampled_from(CHANNELS)),
        "width": draw(some([4, 8, 12])),
        "depth": draw(some([1, 2])),
        "downsample": draw(st.sampled_from([None, [1], [2], [1, 2]])),
        "begin": draw(some(["transition", "block"])),
        "residual": draw(some(["pre_norm", "plain", "bottleneck"])),
        "layer_scale": draw(st.sampled_from([[None], [None, 0.1], [0.1]])),
        "downsampling": draw(some(SOME_DOWNSAMPLINGS)),
    }


@st.composite
def space_dicts(draw: st.DrawFn) -> dict[str, Any]:
    stages = draw(st.lists(stage_choices(), min_size=1, max_size=2))
    return {
        "stages": stages,
        "num_stages": draw(some(list(range(1, len(stages) + 1)))),
        "layout": draw(some(["isotropic", "pyramid"])),
        "stem": {"patch": draw(some([1, 2])), "ratio": draw(some([0.5, 1.0, 0.25])), "pool": draw(some([False, True]))},
        "image_size": draw(st.sampled_from([8, [8, 12], [6, 10]])),
        "in_chans": 1,
    }


def raw_blocks(stage: dict[str, Any], width: int, before: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every combination of a token mixer and a channel mixer as written, whether or not it can be."""
    mixers = [
        {"name": name, **dict(zip(options, values, strict=True))}
        for name, options in stage["mixer"].items()
        for values in product(*options.values())
    ]
    channels: list[dict[str, Any]] = []
    for name, options in stage["channel_mixer"].items():
        for values in product(*options.values()):
            one = {"name": name, **dict(zip(options, values, strict=True))}
            hidden = int(one.get("expansion", 1) * width)
            full = [[a, b] for a, b in product(range(1, 13), repeat=2) if a * b <= hidden]
            channels += [{**one, "groups": pair} for pair in full] if one["groups"] == "full" else [one]
    return list(product(mixers, channels))


def raw_stages(stage: dict[str, Any], before: int, width: int, stride: int) -> list[dict[str, Any]]:
    changes = stride == 2 or width != before
    found = []
    forms = product(stage["depth"], stage["residual"], stage["begin"] if changes else ["transition"])
    for depth, residual, begin in forms:
        has_downsampling = changes and not (begin == "block" and residual == "plain")
        downsamplings = stage["downsampling"] if has_downsampling else [DownsamplingSpec().model_dump()]
        for (mixer, channel), scale, how in product(
            raw_blocks(stage, width, before), stage["layer_scale"], downsamplings
        ):
            parts = {
                "mixer": mixer,
                "channel_mixer": channel,
                "layer_scale": scale,
                "downsampling": how,
                "begin": begin,
            }
            found.append({"depth": depth, "residual": residual, "width": width, "downsample": stride} | parts)
    return found


def raw_sequences(data: dict[str, Any], n: int, layout: str, ratio: float) -> list[list[tuple[int, int, int]]]:
    """For each stage the width before it, its width and its stride."""
    found = []
    tied = layout == "isotropic" and n > 1
    widths = [data["stages"][0]["width"]] * n if tied else [stage["width"] for stage in data["stages"][:n]]
    usual = [[1]] + [[2]] * (n - 1)
    strides = [[1] if tied else stage["downsample"] or usual[index] for index, stage in enumerate(data["stages"][:n])]
    for ws, ss in product(product(*widths), product(*strides)):
        if tied and len(set(ws)) > 1:
            continue
        if not tied and n > 1 and 2 not in ss:
            continue
        found.append(list(zip([ratio * ws[0], *ws], ws, ss, strict=False)))
    return found


def searched(data: dict[str, Any], most: int) -> set[str] | None:
    """Ids of all architectures that `data` describes, found by trying every raw combination; None if those exceed `most`."""
    found, tried = set(), 0
    for n, patch, ratio, pool in product(data["num_stages"], *data["stem"].values()):
        for layout in data["layout"] if n > 1 else ["pyramid"]:
            for sequence in raw_sequences(data, n, layout, ratio):
                lists = [raw_stages(stage, *shape) for stage, shape in zip(data["stages"], sequence, strict=False)]
                tried += int(np.prod([len(one) for one in lists]))
                if tried > most:
                    return None
                for stages in product(*lists):
                    stem = {"patch": patch, "ratio": ratio, "pool": pool}
                    whole = {"stages": stages, "stem": stem, "image_size": data["image_size"], "in_chans": 1}
                    try:
                        found.add(Architecture.from_dict(whole).id)
                    except SpaceError:
                        continue
    return found


@given(space_dicts())
@settings(law, max_examples=100)
def test_the_space_holds_what_a_search_through_all_raw_choices_finds(data: dict[str, Any]) -> None:
    expected = searched(data, most=500)
    if expected is None:
        return
    try:
        space = SearchSpace.from_dict(data)
    except SpaceError:  # nothing fits, or no stem can be
        assert expected == set()
        return
    ids = [architecture.id for architecture in space]
    assert set(ids) == expected
    assert len(ids) == len(expected) == space.size


def spaces() -> st.SearchStrategy[SearchSpace]:
    def space_of(data: dict[str, Any]) -> SearchSpace | None:
        try:
            return SearchSpace.from_dict(data)
        except SpaceError:
            return None

    return space_dicts().map(space_of).filter(lambda space: space is not None)  # type: ignore[return-value]


@given(spaces(), st.integers(0, 2**32))
@law
def test_samples_come_back_from_their_encoding_and_have_neighbours(space: SearchSpace, seed: int) -> None:
    architecture = space.sample(np.random.default_rng(seed))
    assert space.contains(architecture)
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert space.decode(space.encode(architecture)) == architecture
    neighbours = space.neighbours(architecture)
    assert all(space.contains(neighbour) for neighbour in neighbours)
    assert len({neighbour.id for neighbour in neighbours} | {architecture.id}) == len(neighbours) + 1
    assert (space.size == 1) == (neighbours == [])


@given(spaces(), st.integers(0, 2**32))
@settings(law, max_examples=25)
def test_samples_are_built(space: SearchSpace, seed: int) -> None:
    architecture = space.sample(np.random.default_rng(seed))
    net = build(architecture).eval()
    x = torch.zeros(2, 1, *architecture.image_size)
    assert net.forward_features(x).shape == (2, architecture.stages[-1].width, *architecture.sizes[-1])
    assert sum(parameter.numel() for parameter in net.parameters()) == cost(architecture).params


CHANGING: dict[str, Any] = {
    "stages": [
        {"mixer": {"conv": {"k": 3, "groups": 1}}, "width": [8, 16], "depth": [1, 2]},
        {
            "mixer": {"conv": {"k": 3}, "pool": None},
            "width": 16,
            "downsample": [1, 2],
            "residual": ["plain", "pre_norm"],
        }
        | {"begin": ["block", "transition"], "depth": 1},
    ]
}


def test_the_size_of_a_changing_space_by_hand() -> None:
    # First stage: two depths of either width. Second, where it changes anything: plain within a block or not, pre_norm
    # not within, 3; where it changes nothing, 2; times two mixers. Halving from either width: 2 * 2 * 3 * 2 = 24; keeping
    # the map would leave no stage that halves it.
    assert SearchSpace.from_dict(CHANGING).size == 24
    first = CHANGING["stages"][0] | {"downsample": [1, 2]}
    # The first halves: then the second may keep the map, 3 * 2 from width 8 and 2 * 2 from 16, for two depths.
    assert SearchSpace.from_dict({"stages": [first, CHANGING["stages"][1]]}).size == 24 + 24 + 2 * (6 + 4)


def test_the_decisions_of_a_changing_space_have_names() -> None:
    space = SearchSpace.from_dict(CHANGING)
    within = next(a for a in space if a.stages[1].begin == "block")
    encoded = space.encode(within)
    assert encoded["stages.1.residual"] == "plain"
    assert encoded["stages.1.begin"] == "block"
    assert "stages.1.downsample" not in encoded  # nothing to decide: one stage must halve the map
    assert {n.stages[1].begin for n in space.neighbours(within)} == {"block", "transition"}


@pytest.mark.parametrize(
    ("stages", "rest", "text"),
    [
        ([{}, {"downsample": 1}], {}, "stages: at least one must halve the map in the pyramid layout (see downsample)"),
        (
            [{"width": [6, 10]}],
            {"stem": {"ratio": 0.25}},
            "stem.ratio: times a width of the first stage must be whole, f",
        ),
        (
            [{}, {"begin": "block"}],
            {},
            "stages[1].begin: nothing fits a map of 4x4: must be 'transition' for residual 'pre_norm'",
        ),
        (
            [{"residual": "bottleneck", "channel_mixer": "pointwise"}],
            {},
            "stages[0].channel_mixer: nothing fits a map of 8x8: must be mlp for residual 'bottleneck'",
        ),
        (
            [{"width": 8}, {"width": 12, "residual": "plain", "begin": "block", "mixer": {"conv": {"groups": 3}}}],
            {},
            "stages[1].mixer.groups: nothing fits a map of 4x4: must divide the width 8, found 3",
        ),
    ],
)
def test_the_error_of_an_empty_space_names_the_choice_that_never_fits(
    stages: list[dict[str, Any]], rest: Any, text: str
) -> None:
    with pytest.raises(EmptySpaceError) as caught:
        SearchSpace.from_dict({"stages": [{"mixer": "pool", **stage} for stage in stages], **rest})
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"begin": "blok"}, "stages[0].begin[0]: input should be 'transition' or 'block'"),
        ({"downsample": [1, 4]}, "stages[0].downsample[1]: input should be 1 or 2"),
        (
            {"residual": "bottleneck "},
            "stages[0].residual[0]: no such residual form (known: bottleneck, convmixer, plain, pre_norm, shiftvit, single), "
            "found 'bottleneck '; did you mean bottleneck?",
        ),
        ({"downsampling": {"kernel": 4}}, "stages[0].downsampling[0].kernel: input should be 1, 2 or 3"),
    ],
)
def test_invalid_choices_are_refused(parts: dict[str, Any], text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_dict({"stages": [{"mixer": "conv", **parts}]})
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("name", ["clcnet_a", "lambda_resnet26t"])
def test_the_space_around_a_preset_of_changing_blocks_holds_other_networks_that_build(name: str) -> None:
    preset = presets.get(name).replace(image_size=64)
    space = neighbourhood(preset)
    assert space.contains(preset)
    for architecture in [space.sample(np.random.default_rng(seed)) for seed in range(6)]:
        with torch.device("meta"):
            net = build(architecture)
            assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)
        assert sum(parameter.numel() for parameter in net.parameters()) == cost(architecture).params
