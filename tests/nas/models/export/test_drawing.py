"""The drawing of an architecture: well-formed, escaped, and a block's layers in the order of its residual form."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from nas.models.export.block_flow import block_flow
from nas.models.export.drawing import draw_architecture
from search_space import Architecture
from search_space.residual_forms import RESIDUAL_FORMS

SVG = "{http://www.w3.org/2000/svg}"
CHANGING = {"width": 16, "downsample": 2, "begin": "block", "downsampling": {"kernel": 1, "norm": "after"}}
BOTTLENECK = {"channel_mixer": {"name": "mlp", "expansion": 0.5}, "residual": "bottleneck", "act": "relu", **CHANGING}


def architecture(*stages: dict[str, Any]) -> Architecture:
    return Architecture.from_dict({"stages": list(stages), "stem": {"patch": 4}})


def words(drawing: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


@pytest.mark.parametrize("form", list(RESIDUAL_FORMS))
def test_each_residual_form_has_its_layers_and_shortcuts(form: str) -> None:
    stage = {"mixer": "conv", "width": 8, "residual": form, "channel_mixer": {"name": "mlp", "expansion": 2.0}}
    if form == "convmixer":
        stage["channel_mixer"] = "pointwise"
    built = architecture(stage)
    layers = block_flow(built.stages[0], built.stage_inputs[0])
    kinds = [layer.kind for layer in layers]
    assert kinds.count("token mixer") == 1
    assert "channel mixer" in kinds
    sums = [(index, layer) for index, layer in enumerate(layers) if layer.kind == "sum"]
    assert len(sums) == RESIDUAL_FORMS[form].branches
    assert all(layer.shortcut_from is not None and layer.shortcut_from < index for index, layer in sums)
    assert words(draw_architecture(built, form)).count("norm") == kinds.count("norm")


def test_the_layers_of_blocks_that_are_known_by_hand() -> None:
    built = architecture({"mixer": "pool", "width": 8, "residual": "pre_norm", "squeeze_excite": {}})
    layers = block_flow(built.stages[0], built.stage_inputs[0])
    assert [layer.name for layer in layers] == ["norm", "pool", "+", "norm", "mlp", "gate", "+"]
    assert [layer.shortcut_from for layer in layers if layer.kind == "sum"] == [0, 3]
    built = architecture({"mixer": "conv", **BOTTLENECK})
    layers = block_flow(built.stages[0], built.stage_inputs[0])
    expected = "pointwise norm relu conv norm relu pointwise norm + relu"
    assert " ".join(layer.name for layer in layers) == expected
    (total,) = (layer for layer in layers if layer.kind == "sum")
    assert (total.shortcut_from, total.shortcut) == (0, "downsampling")


def test_it_shows_what_the_network_is() -> None:
    stages = (
        {"mixer": "conv", "width": 16, "depth": 3},
        {"mixer": {"name": "attention", "heads": 2}, "width": 32, "downsample": 2},
    )
    texts = words(draw_architecture(architecture(*stages), "mine"))
    for expected in ("mine", "8 × 8 × 16", "4 × 4 × 32", "3 blocks", "2 blocks", "conv", "attention", "10 classes"):  # noqa: RUF001
        assert expected in texts, expected
    assert any(text.startswith("attention heads 2") for text in texts)


def test_the_names_of_layers_are_not_cut() -> None:
    stage = {"mixer": "separable_conv", "width": 16, "channel_mixer": {"name": "mlp", "expansion": 2.0}}
    drawing = draw_architecture(architecture(stage), "mine")
    assert "…" not in drawing
    texts = words(drawing)
    assert texts[texts.index("separable") :][:2] == ["separable", "conv"]


def test_it_runs_and_loads_nothing_whatever_its_title() -> None:
    title = "</title><script>alert(1)</script>\x00&\"'\u202e"
    drawing = draw_architecture(architecture({"mixer": "conv", "width": 8}), title)
    root = ElementTree.fromstring(drawing)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "title",
        "style",
        "g",
        "rect",
        "path",
        "text",
        "tspan",
    }
    assert "</title><script>alert(1)</script>\\x00&\"'\\u202e" in words(drawing)
    assert not re.search(r"(href|url\(|@import|on\w+=)", drawing)


def test_a_network_of_many_wide_stages_stays_small() -> None:
    stages = [{"mixer": "conv", "width": 4096, "depth": 40, "channel_mixer": {"name": "mlp", "expansion": 1.0}}] * 3
    drawing = draw_architecture(architecture(*stages), "wide")
    assert len(drawing) < 60_000
    assert words(drawing).count("40 ×") == 3  # noqa: RUF001
