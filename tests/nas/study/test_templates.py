"""Ready-made studies: installed ones, a starter, and studies around presets."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UnknownNameError, UsageError
from nas.study.config import StudyConfig
from nas.study.templates import find_study, installed_studies, write_preset_study, write_starter_study
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
    write_preset_study(file, name, tmp_path / "images", None)
    loaded = StudyConfig.from_file(file)
    assert loaded.name == "mine"
    assert loaded.space_on((224, 224), in_chans=3, num_classes=1000) == neighbourhood(presets.get(name))


def test_another_image_size_is_taken_or_refused(tmp_path: Path) -> None:
    write_preset_study(tmp_path / "a.yaml", "convmixer_256_8_cifar", tmp_path, 64)
    assert StudyConfig.from_file(tmp_path / "a.yaml").data.image_size == 64
    with pytest.raises(UsageError, match=r"--image-size: vit_tiny_patch16 does not fit .* 40x40 pixels: stem\.patch"):
        write_preset_study(tmp_path / "b.yaml", "vit_tiny_patch16", tmp_path, 40)
    assert not (tmp_path / "b.yaml").exists()
    with pytest.raises(UsageError, match="already exists"):
        write_preset_study(tmp_path / "a.yaml", "convmixer_256_8_cifar", tmp_path, 64)


def test_a_network_without_a_layout_has_no_space_around_it() -> None:
    odd = Architecture.from_dict({"stages": [{"mixer": "pool", "width": 8}, {"mixer": "pool", "width": 16}]})
    with pytest.raises(
        ArchitectureError, match=r"stages: must be of one width where none halves the map, found \[8, 16\]"
    ):
        neighbourhood(odd)


def test_installed_studies_are_those_of_the_repository() -> None:
    files = {file.stem: file.read_text() for file in (Path(__file__).parents[3] / "studies").glob("*.yaml")}
    assert {name: file.read_text() for name, file in installed_studies().items()} == files


def test_a_study_is_found_by_path_then_by_the_name_of_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_study(None).name == "digits.yaml"
    assert find_study("folder").read_text() == installed_studies()["folder"].read_text()
    (tmp_path / "folder").write_text("mine")
    assert find_study("folder").read_text() == "mine"
    (tmp_path / "digits").mkdir()
    assert find_study("digits").name == "digits.yaml"  # the folder may hold images
    (tmp_path / "digits" / "study.db").touch()
    assert find_study("digits") == Path("digits")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match=r"must be a YAML file, or the folder of a study, found the folder 'photos'"):
        find_study("photos")
    assert find_study("none.yaml") == Path("none.yaml")  # reading it then fails with its name
    with pytest.raises(
        UnknownNameError, match=r"study: no such file or installed study \(known: cifar10, digits, folder\)"
    ):
        find_study("digit")


def test_the_starter_study_is_valid_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "first.yaml"
    write_starter_study(file, Path("my photos"), 48)
    config = StudyConfig.from_file(file)
    assert (config.name, config.data.path, config.data.image_size) == ("first", Path("my photos"), 48)
    assert config.space_on((48, 48), in_chans=3, num_classes=7).size > 1e6
    with pytest.raises(UsageError, match=r"first\.yaml: already exists; remove it or name another"):
        write_starter_study(file, Path("photos"), 48)
