"""Studies begun around presets."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.study import config
from nas.study.template import write_study
from search_space import Architecture, presets
from search_space.errors import ArchitectureError
from search_space.spaces.neighbourhood import neighbourhood


@pytest.mark.parametrize("name", presets.names())
def test_a_space_around_a_preset_holds_it_and_others(name: str) -> None:
    architecture = presets.get(name)
    space = neighbourhood(architecture)
    assert space.contains(architecture)
    assert space.size > 20
    mixers = {neighbour.stages[0].mixer.name for neighbour in space.neighbours(architecture)}
    assert {"conv", "pool", "shift"} <= mixers | {architecture.stages[0].mixer.name}


@pytest.mark.parametrize("name", ["convmixer_768_32", "poolformer_s12", "vit_tiny_patch16", "gfnet_h_ti"])
def test_the_written_study_is_that_space(tmp_path: Path, name: str) -> None:
    file = tmp_path / "studies" / "mine.yaml"
    write_study(file, name, tmp_path / "images", None)
    loaded, source = config.load(file)
    assert loaded.name == "mine"
    known = {"image_size": (224, 224), "in_chans": 3, "num_classes": 1000}
    assert config.space_of(loaded, source, known) == neighbourhood(presets.get(name))


def test_another_image_size_is_taken_or_refused(tmp_path: Path) -> None:
    write_study(tmp_path / "a.yaml", "convmixer_256_8_cifar", tmp_path, 64)
    assert config.load(tmp_path / "a.yaml")[0].data.image_size == 64
    with pytest.raises(UsageError, match=r"--image-size: vit_tiny_patch16 does not fit .* 40x40 pixels: stem\.patch"):
        write_study(tmp_path / "b.yaml", "vit_tiny_patch16", tmp_path, 40)
    assert not (tmp_path / "b.yaml").exists()
    with pytest.raises(UsageError, match="is there already"):
        write_study(tmp_path / "a.yaml", "convmixer_256_8_cifar", tmp_path, 64)


def test_a_network_without_a_layout_has_no_space_around_it() -> None:
    odd = Architecture.from_dict({"stages": [{"mixer": "pool", "width": 8}, {"mixer": "pool", "width": 16}]})
    with pytest.raises(
        ArchitectureError, match=r"stages: must be of one width where none halves the map, found \[8, 16\]"
    ):
        neighbourhood(odd)
