"""`nas init`, and `nas search` with a study that is named or not, from a folder that holds nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import example, given, strategies as st
from PIL import Image

from nas.cli.search import study_and_overrides
from nas.driver.plan import create_halving
from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.database.storage import open_study
from nas.study.images import prepare_images
from nas.study.limits import check_limits
from nas.study.study_sampler import create_sampler
from nas.study.templates import find_study, installed_studies, write_starter_study
from search_space import presets

Run = Callable[..., subprocess.CompletedProcess[str]]


def write_photos(folder: Path) -> None:
    """Ten photos of each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            Image.fromarray(rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(folder / name / f"{index}.png")


def test_init_without_a_preset_writes_a_commented_study_that_can_start(nas: Run, tmp_path: Path) -> None:
    done = nas("init", "mine.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "study: mine.yaml\n", "")
    text = (tmp_path / "mine.yaml").read_text()
    assert text.count("#") > 15
    assert "nas search mine.yaml --out runs/mine" in text
    config = StudyConfig.from_file("mine.yaml")
    assert (config.name, config.data.source, config.data.path) == ("mine", "folder", Path("PHOTOS"))
    write_photos(tmp_path / "PHOTOS")
    _, dataset = prepare_images(config, tmp_path / "data")
    space = config.space_on(dataset.image_size, dataset.in_chans, dataset.num_classes)
    check_limits(config, space)
    assert create_halving(config) is None
    study = optuna.create_study(directions=["maximize", "minimize", "maximize"], sampler=create_sampler(config, space))
    architecture = space.suggest(study.ask())
    assert (architecture.image_size, architecture.num_classes) == ((32, 32), 2)


def test_init_takes_the_folder_and_the_image_size(nas: Run) -> None:
    assert nas("init", "new/photos.yaml", "--data", "/my/photos", "--image-size", 64).returncode == 0
    config = StudyConfig.from_file("new/photos.yaml")
    assert (config.name, config.data.path, config.data.image_size) == ("photos", Path("/my/photos"), 64)


@pytest.mark.parametrize("words", [[], ["--preset", "convmixer_256_8_cifar"]])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 25, 30, 225, 299])
def test_init_writes_no_study_that_search_refuses(nas: Run, tmp_path: Path, words: list[str], size: int) -> None:
    done = nas("init", "new/mine.yaml", "--image-size", size, *words)
    if done.returncode == 0:
        config = StudyConfig.from_file("new/mine.yaml")
        assert config.space_on((size, size), 3, 2).size > 1
    else:
        assert done.returncode == 2
        assert "--image-size" in done.stderr
        assert list(tmp_path.iterdir()) == []
    assert (done.returncode == 0) == (size >= 4 and size % 2 == 0)


@pytest.mark.parametrize("file", ["2024.yaml", "true.yaml", "a #1.yaml", "it's.yaml", "null.yaml"])
@pytest.mark.parametrize("data", ["my: photos", "#photos", "C:\\photos", "$data", "[photos]", "'photos'", "null"])
def test_init_with_names_that_yaml_would_read_otherwise(nas: Run, file: str, data: str) -> None:
    assert nas("init", file, "--data", data).returncode == 0
    config = StudyConfig.from_file(file)
    assert (config.name, config.data.path) == (Path(file).stem, Path(data))


file_names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1)


@example(stem="1e3", data="0E0")
@given(
    stem=file_names.filter(lambda text: not text.startswith(".")),
    data=file_names.filter(lambda text: not text.startswith("~")),
)
def test_starter_study_of_any_names(tmp_path_factory: pytest.TempPathFactory, stem: str, data: str) -> None:
    file = tmp_path_factory.mktemp("any") / f"{stem[:30]}.yaml"
    write_starter_study(file, Path(data), 32)
    config = StudyConfig.from_file(file)
    assert (config.name, config.data.path) == (file.stem, Path(data))


def test_init_around_a_preset(nas: Run) -> None:
    assert nas("init", "mine.yaml", "--preset", "convmixer_256_8_cifar").returncode == 0
    config = StudyConfig.from_file("mine.yaml")
    preset = presets.get("convmixer_256_8_cifar")
    assert config.space_on(preset.image_size, preset.in_chans, preset.num_classes).contains(preset)


@pytest.mark.parametrize("words", [[], ["--preset", "convmixer_256_8_cifar"]])
def test_init_does_not_overwrite(nas: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "mine.yaml").write_text("trials: 3\n")
    done = nas("init", "mine.yaml", *words)
    error = "nas: error: mine.yaml: already exists; remove it or name another\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", error)
    assert (tmp_path / "mine.yaml").read_text() == "trials: 3\n"


def test_init_with_an_unknown_preset(nas: Run, tmp_path: Path) -> None:
    done = nas("init", "mine.yaml", "--preset", "poolformer_s13")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nas: error: ")
    assert done.stderr.count("\n") == 1
    assert "poolformer_s12" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "name", "overrides"),
    [
        ([], "digits", []),
        (["trials=2", "train.epochs=1"], "digits", ["trials=2", "train.epochs=1"]),
        (["folder", "data.path=photos"], "folder", ["data.path=photos"]),
    ],
)
def test_search_finds_an_installed_study_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], name: str, overrides: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study, given_overrides = study_and_overrides(words)
    assert given_overrides == overrides
    assert find_study(study) == installed_studies()[name]
    assert StudyConfig.from_file(find_study(study), *overrides).name == name


def test_search_takes_one_study_at_a_time() -> None:
    with pytest.raises(ConfigError, match=r"b\.yaml: one study at a time"):
        study_and_overrides(["a.yaml", "trials=2", "b.yaml"])


def test_search_for_a_study_that_is_not_there(nas: Run, tmp_path: Path) -> None:
    done = nas("search", "digit")
    known = "(known: cifar10, digits, folder), found 'digit'"
    error = f"nas: error: study: no such file or installed study {known}; did you mean digits?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", error)
    assert list(tmp_path.iterdir()) == []


def test_search_without_a_file_trains_on_digits(nas: Run, tmp_path: Path) -> None:
    few = ("trials=2", "train.epochs=1", "data.limit=300", "throughput.operators_s=0", "throughput.min_time_s=0.02")
    done = nas("search", *few, "resources.workers=1", "resources.executor=local")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 complete" in done.stdout
    study = open_study(tmp_path / "runs" / "digits")
    assert study.study_name == "digits"
    assert sum(trial.state.name == "COMPLETE" for trial in study.get_trials()) == 2
