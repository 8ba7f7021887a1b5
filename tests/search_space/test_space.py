"""The laws of a search space, for random small spaces; a search through all raw choices is the oracle of what is in it."""

from __future__ import annotations

import copy
import json
import pickle
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from search_space import Architecture, SearchSpace
from search_space.errors import EmptySpaceError, SpaceError

STUDY = Path(__file__).parents[2] / "studies" / "digits.yaml"
law = settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique_by=repr)


OPTIONS: dict[str, dict[str, list[Any]]] = {
    "conv": {"k": [2, 3, 5], "groups": ["depthwise", 1, 4, 6, 8], "interlace": [True, False]},
    "attention": {"heads": [1, 2, 3, 4], "kv_reduction": [1, 2, 3]},
    "lambda": {"heads": [2, 3, 4], "k": [4, 8], "context": [3, "global"]},
    "afno": {"num_blocks": [2, 3, 4], "hard_thresholding_fraction": [0.4, 1.0]},
    "shift": {"kind": ["shiftvit", "s2"], "fraction": [4, 12]},
    "pool": {"k": [3, 5]},
    "global_filter": {},
}


@st.composite
def mixer_choices(draw: st.DrawFn) -> dict[str, Any]:
    chosen = {}
    for name in draw(some(sorted(OPTIONS))):
        options = (
            draw(st.lists(st.sampled_from(sorted(OPTIONS[name])), max_size=2, unique=True)) if OPTIONS[name] else []
        )
        chosen[name] = {option: draw(some(OPTIONS[name][option])) for option in options}
    return chosen


GROUPS: list[Any] = ["full", "cheapest", [1, 1], [2, 2], [4, 2], [3, 4], [8, 8], [12, 12]]


@st.composite
def stage_choices(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "mixer": draw(mixer_choices()),
        "channel_mixer": {"mlp": {"expansion": draw(some([0.5, 1, 2])), "groups": draw(some(GROUPS))}},
        "width": draw(some([6, 8, 12])),
        "depth": draw(some([1, 2])),
        "layer_scale": draw(st.sampled_from([[None], [None, 0.1]])),
    }


@st.composite
def space_dicts(draw: st.DrawFn) -> dict[str, Any]:
    stages = draw(st.lists(stage_choices(), min_size=1, max_size=2))
    return {
        "stages": stages,
        "num_stages": draw(some(list(range(1, len(stages) + 1)))),
        "layout": draw(some(["isotropic", "pyramid"])),
        "stem": {"patch": draw(some([1, 2, 3, 4])), "pos_embed": draw(some([True, False]))},
        "image_size": draw(st.sampled_from([8, [8, 12], [6, 10]])),
        "in_chans": 1,
    }


def spaces() -> st.SearchStrategy[SearchSpace]:
    def space_of(data: dict[str, Any]) -> SearchSpace | None:
        try:
            return SearchSpace.from_dict(data)
        except EmptySpaceError:
            return None

    return space_dicts().map(space_of).filter(lambda space: space is not None)  # type: ignore[return-value]


def raw_blocks(stage: dict[str, Any], width: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every combination of a token mixer and a channel mixer as written, whether or not it can be."""
    mixers = [
        {"name": name, **dict(zip(options, values, strict=True))}
        for name, options in stage["mixer"].items()
        for values in product(*options.values())
    ]
    channels = []
    for expansion, groups in product(*stage["channel_mixer"]["mlp"].values()):
        hidden = int(expansion * width)
        every = [[a, b] for a, b in product(range(1, width + 1), repeat=2) if width % a == width % b == 0]
        full = [[a, b] for a, b in every if hidden % a == hidden % b == 0 and a * b <= hidden]
        cheapest = sorted(full, key=lambda g: (width * hidden // g[0] + width * hidden // g[1], g))[:1]
        pairs = full if groups == "full" else cheapest if groups == "cheapest" else [groups]
        channels += [{"name": "mlp", "expansion": expansion, "groups": pair} for pair in pairs]
    return list(product(mixers, channels))


def raw_stages(stage: dict[str, Any], widths: list[int], downsample: int) -> list[dict[str, Any]]:
    return [
        {"mixer": mixer, "channel_mixer": channel, "width": width, "depth": depth, "layer_scale": scale}
        | {"downsample": downsample}
        for width in widths
        for mixer, channel in raw_blocks(stage, width)
        for depth, scale in product(stage["depth"], stage["layer_scale"])
    ]


def searched(data: dict[str, Any], most: int) -> set[str] | None:
    """Ids of all architectures that `data` describes, found by trying every raw combination; None if those exceed `most`."""
    found, tried = set(), 0
    for n, layout, patch in product(data["num_stages"], data["layout"], data["stem"]["patch"]):
        tied = layout == "isotropic"
        lists = [
            raw_stages(stage, data["stages"][0]["width"] if tied else stage["width"], 1 if tied or i == 0 else 2)
            for i, stage in enumerate(data["stages"][:n])
        ]
        for pos_embed, stages in product(data["stem"]["pos_embed"], product(*lists)):
            if tied and len({stage["width"] for stage in stages}) > 1:
                continue
            tried += 1
            if tried > most:
                return None
            stem = {"patch": patch, "pos_embed": pos_embed}
            whole = {"stages": stages, "stem": stem, "image_size": data["image_size"], "in_chans": 1}
            try:
                found.add(Architecture.from_dict(whole).id)
            except SpaceError:
                continue
    return found


@given(space_dicts())
@settings(law, max_examples=80)
def test_the_space_holds_what_a_search_through_all_raw_choices_finds(data: dict[str, Any]) -> None:
    expected = searched(data, most=600)
    if expected is None:
        return
    try:
        space = SearchSpace.from_dict(data)
    except EmptySpaceError:
        assert expected == set()
        return
    ids = [architecture.id for architecture in space]
    assert set(ids) == expected
    assert len(ids) == len(expected) == space.size


@given(spaces(), st.integers(0, 2**32))
@law
def test_samples_are_in_the_space_and_come_back_from_their_encoding(space: SearchSpace, seed: int) -> None:
    for rng in (np.random.default_rng(seed), random.Random(seed)):
        architecture = space.sample(rng)
        assert space.contains(architecture)
        assert Architecture.from_json(architecture.to_json()) == architecture
        encoded = space.encode(architecture)
        assert space.decode(encoded) == architecture
        assert space.decode(json.loads(json.dumps(encoded))) == architecture
    assert space.sample(np.random.default_rng(seed)) == space.sample(np.random.default_rng(seed))


@given(spaces(), st.integers(0, 2**32))
@law
def test_neighbours_are_other_points_of_the_space_each_once(space: SearchSpace, seed: int) -> None:
    architecture = space.sample(np.random.default_rng(seed))
    neighbours = space.neighbours(architecture)
    assert all(space.contains(neighbour) for neighbour in neighbours)
    assert len({neighbour.id for neighbour in neighbours} | {architecture.id}) == len(neighbours) + 1
    assert (space.size == 1) == (neighbours == [])
    assert space.neighbours(architecture) == neighbours


@given(spaces())
@settings(law, max_examples=25)
def test_steps_to_neighbours_reach_the_whole_space(space: SearchSpace) -> None:
    if space.size > 120:
        return
    start = space.sample(np.random.default_rng(0))
    seen, border = {start.id}, [start]
    while border:
        for neighbour in space.neighbours(border.pop()):
            if neighbour.id not in seen:
                seen.add(neighbour.id)
                border.append(neighbour)
    assert len(seen) == space.size


@given(spaces())
@law
def test_a_space_survives_a_round_trip(space: SearchSpace) -> None:
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert again.size == space.size


@given(spaces())
@law
def test_a_space_can_be_pickled_and_copied(space: SearchSpace) -> None:
    drawn = space.sample(random.Random(0))
    for again in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert again == space
        assert again.sample(random.Random(0)) == drawn
        assert again.counter is not space.counter


TINY = {
    "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": {}}, "width": [8, 12], "depth": 1}],
    "stem": {"patch": [1, 2]},
    "image_size": 4,
}


def test_sampling_reaches_every_architecture_of_a_tiny_space() -> None:
    space, rng = SearchSpace.from_dict(TINY), np.random.default_rng(0)
    assert space.size == 12  # 2 patches * 2 widths * (2 convolutions + pooling)
    # The rarest has probability 1/2 * 1/2 * 1/2 * 1/2: it is missed in 300 draws once in 250 million times.
    assert {space.sample(rng).id for _ in range(300)} == {architecture.id for architecture in space}


def test_odd_maps_are_halved_as_the_architecture_halves_them() -> None:
    late = {"mixer": {"attention": {"kv_reduction": [1, 2, 3]}}}
    space = SearchSpace.from_dict({"stages": [{"mixer": "pool"}, late], "image_size": [6, 10], "stem": {"patch": 2}})
    assert {architecture.sizes for architecture in space} == {((3, 5), (2, 3))}
    assert space.size == 2  # squares of 3 positions do not fit a map of 2x3


def test_symmetric_choices_have_symmetric_neighbours() -> None:
    space = SearchSpace.from_dict({**TINY, "stages": [{"mixer": "pool", "width": [8, 12], "depth": [1, 2, 3]}]})
    for architecture in space:
        assert all(architecture in space.neighbours(neighbour) for neighbour in space.neighbours(architecture))
        assert len(space.neighbours(architecture)) == 1 + 1 + 2  # another patch, another width, two other depths


def test_decisions_after_a_changed_one_choose_the_nearest_value() -> None:
    stage = {"mixer": {"conv": {"k": [3, 5]}}, "width": [8, 32], "channel_mixer": {"mlp": {"groups": "full"}}}
    space = SearchSpace.from_dict({"stages": [stage]})
    wide = next(a for a in space if a.stages[0].width == 32 and a.stages[0].channel_mixer.groups == (32, 4))  # type: ignore[attr-defined]
    narrow = [n for n in space.neighbours(wide) if n.stages[0].width == 8]
    assert [n.stages[0].mixer for n in narrow] == [wide.stages[0].mixer]
    assert [n.stages[0].channel_mixer.groups for n in narrow] == [(8, 4)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "change",
    [
        {"num_classes": 11},
        {"in_chans": 1},
        {"image_size": 8},
        {"stem": {"patch": 4}},
        {"stem": {"patch": 1, "pos_embed": True}},
        {"stages": [{"mixer": "conv", "width": 8, "depth": 1}]},  # k = 7
        {"stages": [{"mixer": "identity", "width": 8, "depth": 1}]},
        {"stages": [{"mixer": "pool", "width": 16, "depth": 1}]},
        {"stages": [{"mixer": "pool", "width": 8, "depth": 2}]},
        {"stages": [{"mixer": "pool", "width": 8, "depth": 1, "act": "relu"}]},
        {"stages": [{"mixer": "pool", "width": 8, "depth": 1, "downsample": 2}]},
        {"stages": [{"mixer": "pool", "width": 8, "depth": 1}] * 2},
    ],
    ids=str,
)
def test_a_foreign_architecture_is_not_in_the_space(change: dict[str, Any]) -> None:
    space = SearchSpace.from_dict(TINY)
    member = {"stages": [{"mixer": "pool", "width": 8, "depth": 1}], "stem": {"patch": 1}, "image_size": 4}
    assert space.contains(Architecture.from_dict(member))
    foreign = Architecture.from_dict({**member, **change})
    assert not space.contains(foreign)
    with pytest.raises(SpaceError):
        space.encode(foreign)
    with pytest.raises(SpaceError):
        space.neighbours(foreign)


def test_invalid_encodings_are_refused() -> None:
    space = SearchSpace.from_dict(TINY)
    encoded = space.encode(next(iter(space)))
    with pytest.raises(SpaceError, match=r"stages\.0\.width: must be one of \[8, 12\], found 7"):
        space.decode({**encoded, "stages.0.width": 7})
    with pytest.raises(SpaceError, match=r"stages\.0\.width: this decision is missing"):
        space.decode({name: label for name, label in encoded.items() if name != "stages.0.width"})


def test_the_space_of_the_first_study_is_read() -> None:
    space = SearchSpace.from_file(STUDY)
    assert space.image_size == (8, 8)
    assert [tuple(stage.mixer) for stage in space.stages] == [
        ("conv", "lambda", "global_filter", "afno", "attention", "shift", "pool")
    ] * 2
    rng = np.random.default_rng(0)
    assert all(space.contains(space.sample(rng)) for _ in range(20))


def test_a_file_with_only_a_space_is_read(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(json.dumps(TINY))
    assert SearchSpace.from_file(path) == SearchSpace.from_dict(TINY)
    path.write_text("stages: [")
    with pytest.raises(SpaceError, match=r"space\.yaml: not YAML"):
        SearchSpace.from_file(path)
    path.write_text("- 1")
    with pytest.raises(SpaceError, match=r"space\.yaml: .*a search space must be a mapping"):
        SearchSpace.from_file(path)
