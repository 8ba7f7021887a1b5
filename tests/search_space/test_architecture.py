"""An architecture is a value: its texts, its id, its canonical form, and what it refuses."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
import yaml

from search_space import Architecture, Stage, StemSpec
from search_space.errors import ArchitectureError, SpaceError, UnknownSpaceNameError
from search_space.mixers import MIXERS

RICH: dict[str, Any] = {
    "stages": [
        {
            "mixer": {"name": "lambda", "heads": 2, "k": 8, "u": 2, "context": "global"},
            "channel_mixer": {"name": "mlp", "expansion": 0.5, "groups": [2, 4]},
            "depth": 3,
            "width": 24,
            "norm": "layer",
            "act": "silu",
            "layer_scale": 1e-6,
        },
        {"mixer": {"name": "afno", "num_blocks": 4}, "width": 48, "downsample": 2, "residual": "single"},
        {"mixer": "pool", "width": 16},
    ],
    "stem": {"patch": 2, "pos_embed": True},
    "image_size": [8, 12],
    "in_chans": 1,
    "num_classes": 7,
}


def arch(**stage: Any) -> Architecture:
    return Architecture.from_dict({"stages": [{"mixer": "conv", **stage}]})


def test_json_and_yaml_go_both_ways() -> None:
    architecture = Architecture.from_dict(RICH)
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert Architecture.from_yaml(architecture.to_yaml()) == architecture
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    assert json.loads(architecture.to_json()) == yaml.safe_load(architecture.to_yaml()) == architecture.to_dict()
    assert Architecture.from_json(architecture.to_json()).id == architecture.id


def test_the_canonical_form_contains_every_option() -> None:
    assert arch().to_dict() == {
        "stages": [
            {
                "mixer": {"name": "conv", "k": 7, "groups": "depthwise", "interlace": False}
                | {"group_width": None, "bias": True},
                "channel_mixer": {"name": "mlp", "expansion": 4.0, "groups": [1, 1], "bias": True},
                "depth": 2,
                "width": 64,
                "downsample": 1,
                "begin": "transition",
                "downsampling": {"kernel": 3, "norm": "before", "bias": True},
                "norm": "batch",
                "act": "gelu",
                "residual": "pre_norm",
                "layer_scale": None,
                "squeeze_excite": None,
            }
        ],
        "stem": {"patch": 4, "kernel": None, "act": None, "norm": None, "pos_embed": False}
        | {"ratio": 1.0, "order": "act_norm", "tiered": False, "pool": False, "bias": True},
        "head": {"norm": "before", "kind": None},
        "image_size": [32, 32],
        "in_chans": 3,
        "num_classes": 10,
    }


def test_the_id_does_not_change_from_release_to_release() -> None:
    # Studies on disk know their architectures by this id: a change of it would lose all duplicates, and each training's
    # seed. It is the beginning of the SHA-256 of what differs from the defaults, so a new option leaves it as it was.
    essence = '{"stages":[{"mixer":{"name":"conv"}}]}'
    assert arch().id == hashlib.sha256(essence.encode()).hexdigest()[:12] == "1094a1a0709a"
    rich = arch(mixer={"name": "lambda", "heads": 2, "context": "global"}, width=32, downsample=2, act="relu")
    essence = (
        '{"stages":[{"act":"relu","downsample":2,"mixer":{"context":"global","heads":2,"name":"lambda"},"width":32}]}'
    )
    assert rich.id == hashlib.sha256(essence.encode()).hexdigest()[:12] == "8b8f094ac5c1"


def test_the_id_is_that_of_another_process() -> None:
    code = f"from search_space import Architecture; print(Architecture.from_dict({RICH!r}).id)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert output == Architecture.from_dict(RICH).id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"mixer": {"name": "conv", "groups": 64}}, {"mixer": {"name": "conv", "groups": "depthwise"}}),
        ({"mixer": {"name": "conv", "groups": 1, "interlace": True}}, {"mixer": {"name": "conv", "groups": 1}}),
        ({"mixer": {"name": "conv", "groups": 64, "interlace": True}}, {"mixer": "conv"}),
        ({"mixer": {"name": "shift", "kind": "s2", "fraction": 4}}, {"mixer": {"name": "shift", "kind": "s2"}}),
        ({"channel_mixer": {"name": "mlp", "expansion": 2}}, {"channel_mixer": {"name": "mlp", "expansion": 2.0}}),
        ({"channel_mixer": "mlp"}, {}),
    ],
)
def test_descriptions_of_one_architecture_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert arch(**one) == arch(**other)
    assert arch(**one).id == arch(**other).id
    assert hash(arch(**one)) == hash(arch(**other))


@pytest.mark.parametrize(
    "stage",
    [
        {"width": 32},
        {"depth": 3},
        {"mixer": {"name": "conv", "k": 5}},
        {"mixer": {"name": "conv", "groups": 2}},
        {"mixer": {"name": "conv", "groups": 2, "interlace": True}},
        {"act": "relu"},
        {"norm": "layer"},
        {"downsample": 2},
        {"layer_scale": 0.1},
        {"channel_mixer": {"name": "mlp", "groups": [2, 1]}},
    ],
)
def test_different_architectures_have_different_ids(stage: dict[str, Any]) -> None:
    assert arch(**stage) != arch()
    assert arch(**stage).id != arch().id


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"stage": []}, UnknownSpaceNameError, r"^stage: no such key \(known: .*did you mean stages"),
        ({"stages[0].widht": 3}, UnknownSpaceNameError, r"^stages\[0\]\.widht: no such key .*did you mean width"),
        ({"stages[1].mixer": "polo"}, UnknownSpaceNameError, r"^stages\[1\]\.mixer: no such mixer .*did you mean pool"),
        (
            {"stages[1].channel_mixer": "x"},
            UnknownSpaceNameError,
            r"^stages\[1\]\.channel_mixer: no such channel mixer",
        ),
        ({"stages[0].mixer.head": 2}, UnknownSpaceNameError, r"^stages\[0\]\.mixer\.head: .*did you mean heads"),
        ({"stages[0].mixer.heads": 5}, ArchitectureError, r"^stages\[0\]\.mixer\.heads: must divide the width 24, f"),
        ({"stages[0].mixer.heads": "2"}, ArchitectureError, r"^stages\[0\]\.mixer\.heads: .*integer, found '2'"),
        ({"stages[0].mixer.heads": True}, ArchitectureError, r"^stages\[0\]\.mixer\.heads: .*integer, found True"),
        ({"stages[0].mixer.heads": 0}, ArchitectureError, r"^stages\[0\]\.mixer\.heads: .*greater than or equal to 1"),
        ({"stages[0].mixer.context": 4}, ArchitectureError, r"^stages\[0\]\.mixer\.context: must be odd, or 'global'"),
        ({"stages[0].mixer": 3}, ArchitectureError, r"^stages\[0\]\.mixer: must be the name of a mixer, or a mapping"),
        ({"stages[0].mixer": {"heads": 3}}, ArchitectureError, r"^stages\[0\]\.mixer: must be the name of a mixer"),
        ({"stages[0].depth": "3"}, ArchitectureError, r"^stages\[0\]\.depth: .*valid integer, found '3'"),
        ({"stages[0].depth": True}, ArchitectureError, r"^stages\[0\]\.depth: .*valid integer, found True"),
        ({"stages[0].depth": 2.0}, ArchitectureError, r"^stages\[0\]\.depth: .*valid integer, found 2\.0"),
        (
            {"stages[0].norm": "bacth"},
            ArchitectureError,
            r"^stages\[0\]\.norm: .*'batch', 'layer' or 'group', found .*; did you mean batch\?",
        ),
        ({"stages[0].layer_scale": 0.0}, ArchitectureError, r"^stages\[0\]\.layer_scale: .*greater than 0"),
        ({"stages[0].channel_mixer.expansion": 0.3}, ArchitectureError, r"^stages\[0\]\.channel_mixer\.expansion: tim"),
        ({"stages[0].channel_mixer.expansion": float("nan")}, ArchitectureError, r"expansion: .*found nan"),
        ({"stages[0].channel_mixer.expansion": float("inf")}, ArchitectureError, r"expansion: .*finite.*found inf"),
        ({"stages[0].channel_mixer.groups": [5, 1]}, ArchitectureError, r"channel_mixer\.groups\[0\]: must divide"),
        ({"stages[0].channel_mixer.groups": [1]}, ArchitectureError, r"^stages\[0\]\.channel_mixer\.groups"),
        ({"stages[1].downsample": 3}, ArchitectureError, r"^stages\[1\]\.downsample: .*1 or 2, found 3"),
        ({"stem.patch": 5}, ArchitectureError, r"^stem\.patch: must divide the image 8x12, found 5"),
        ({"stem.patch": 16}, ArchitectureError, r"^stem\.patch: must divide the image 8x12, found 16"),
        ({"stem.pos_embed": 1}, ArchitectureError, r"^stem\.pos_embed: .*valid boolean, found 1"),
        ({"image_size": [8]}, ArchitectureError, r"^image_size"),
        ({"image_size": "8"}, ArchitectureError, r"^image_size: .*found '8'"),
        ({"num_classes": 0}, ArchitectureError, r"^num_classes: .*greater than or equal to 1, found 0"),
        ({"stages": []}, ArchitectureError, r"^stages: .*at least 1"),
        ({"stages": None}, ArchitectureError, r"^stages: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_refused_by_place_rule_and_value(
    change: dict[str, Any], kind: type[SpaceError], text: str
) -> None:
    data = copy.deepcopy(RICH)
    for path, value in change.items():
        *parents, last = path.replace("[", ".").replace("]", "").split(".")
        target: Any = data
        for part in parents:
            target = target[int(part)] if part.isdigit() else target.setdefault(part, {})
        target[last] = value
    with pytest.raises(kind, match=text) as caught:
        Architecture.from_dict(data)
    again = pickle.loads(pickle.dumps(caught.value))  # errors cross process boundaries
    assert str(again) == str(caught.value)


def test_texts_without_an_architecture_are_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"^1:2: not JSON"):
        Architecture.from_json("{")
    with pytest.raises(ArchitectureError, match=r"^not YAML: .* .line 1, column 2.$"):
        Architecture.from_yaml("{")
    with pytest.raises(ArchitectureError, match=r"^not YAML: duplicate key 'a' .line 2, column 1.$"):
        Architecture.from_yaml("a: 1\na: 2")
    with pytest.raises(ArchitectureError, match=r"^not YAML: unacceptable character [^\n]*$"):
        Architecture.from_yaml("a: \0")
    with pytest.raises(ArchitectureError, match=r"must be a mapping, found \[1\]"):
        Architecture.from_json("[1]")
    with pytest.raises(ArchitectureError, match="must be a mapping, found 'x'"):
        Architecture.from_yaml("x")
    with pytest.raises(ArchitectureError, match="stages: must be given"):
        Architecture.from_json("{}")


def test_a_block_must_reach_every_channel() -> None:
    beyond = {"name": "mlp", "expansion": 1.0, "groups": [16, 8], "bias": True}  # 16 * 8 > 64 hidden channels
    with pytest.raises(ArchitectureError, match=r"^stages\[0\]\.channel_mixer\.groups: g1\*g2 must not exceed the 64 "):
        arch(channel_mixer=beyond)
    for channelwise in ("pool", "shift", "global_filter", "identity"):
        with pytest.raises(ArchitectureError, match=r"groups: g1\*g2 .*found '16\*8 = 128'"):
            arch(mixer=channelwise, channel_mixer=beyond)
    for dense in ("attention", "lambda", {"name": "conv", "groups": 1}):
        assert arch(mixer=dense, channel_mixer=beyond).stages[0].channel_mixer.to_dict() == beyond
    assert arch(channel_mixer={**beyond, "groups": [8, 8]}).stages[0].width == 64


def test_a_block_diagonal_mixer_extends_the_reach() -> None:
    # 480 hidden channels in (32, 16) groups: an output sees 30 hidden channels in a row, of 30 of the 32 first groups,
    # so it misses two neighbouring groups of 3 channels. AFNO's blocks of 12 channels span four groups, which closes the gap.
    channel_mixer = {"name": "mlp", "expansion": 5.0, "groups": [32, 16]}
    assert arch(mixer={"name": "afno", "num_blocks": 8}, channel_mixer=channel_mixer, width=96).stages[0].width == 96
    for mixer in ("pool", {"name": "afno", "num_blocks": 96}):
        with pytest.raises(ArchitectureError, match=r"g1\*g2 must not exceed the 480 .*found '32\*16 = 512'"):
            arch(mixer=mixer, channel_mixer=channel_mixer, width=96)


def test_architectures_are_immutable_hashable_and_copied_with_changes() -> None:
    architecture = Architecture.from_dict(RICH)
    with pytest.raises(ValueError, match="frozen"):
        architecture.num_classes = 3
    with pytest.raises(ValueError, match="frozen"):
        architecture.stages[0].width = 3
    assert {architecture: 1}[Architecture.from_dict(RICH)] == 1
    assert architecture.replace(num_classes=3).num_classes == 3
    assert architecture.num_classes == 7
    with pytest.raises(ArchitectureError, match=r"stem\.patch"):
        architecture.replace(image_size=(9, 9))
    assert pickle.loads(pickle.dumps(architecture)) == copy.deepcopy(architecture) == architecture


def test_map_sizes_halve_and_round_up() -> None:
    stages = tuple(Stage(mixer=MIXERS["pool"](), downsample=d) for d in (1, 2, 2, 1, 2))
    architecture = Architecture(stages=stages, stem=StemSpec(patch=2), image_size=(14, 10))
    assert architecture.sizes == ((7, 5), (4, 3), (2, 2), (2, 2), (1, 1))


def test_descriptions_need_no_torch() -> None:
    code = """
import sys
import search_space.architecture, search_space.spaces.space, search_space.costs
space = search_space.SearchSpace.from_dict({"stages": [{"mixer": ["conv", "lambda", "afno", "attention"]}]})
architecture = next(iter(space))
assert search_space.cost(architecture).macs > 0
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "timm", "torchvision", "ray", "optuna"}))
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert output == "[]"
