"""The order of classes from the folder to timm: a new study has timm's, an old one keeps its own, the export tells it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm.data
import torch
import yaml
from PIL import Image
from timm.data.readers.class_map import load_class_map

from nas import Study, StudyConfig, export
from nas.driver.run import run_search
from nas.driver.start import opening
from nas.driver.start.reading import ImageReader
from nas.execution.simulator import Simulator
from nas.models.export import CLASS_MAP_FILE, write_class_map
from trainers.data.class_order import natural_key, sort_classes
from trainers.data.dataset import load

CLASSES = ("1", "2", "3", "10")
CHARACTER_ORDER = ("1", "10", "2", "3")

STUDY = """
trials: 1
space: {stem: {patch: 4}, stages: [{mixer: pool, depth: 1, width: [8, 16]}]}
train: {epochs: 1, batch_size: 8}
objectives: [accuracy, macs]
throughput: {operators_s: 0}
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images of each class."""
    for number in range(24):
        folder = tmp_path / "photos" / CLASSES[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def config(photos: Path, tmp_path: Path) -> StudyConfig:
    """A study of those images with one trial."""
    (tmp_path / "study.yaml").write_text(STUDY)
    return StudyConfig.from_file(
        tmp_path / "study.yaml", "data.source=folder", f"data.path={photos}", "data.image_size=8"
    )


def searched(config: StudyConfig, folder: Path) -> Study:
    """The study in `folder` after its search, which trains in this process."""
    run_search(config, folder, open_with=lambda: nullcontext(Simulator()))
    return Study.open(folder)


def labels_of(study: Study) -> dict[bytes, int]:
    """The label of each image of `study`, by its pixels."""
    data = load(study.images())
    return {
        image.numpy().tobytes(): int(label)
        for split in (data.train, data.val, data.test)
        for image, label in zip(split.images, split.labels, strict=True)
    }


def labels_of_timm(photos: Path, class_map: Path | None) -> dict[bytes, int]:
    """The label that timm gives each image."""
    dataset = timm.data.create_dataset("", root=str(photos), class_map=None if class_map is None else str(class_map))
    labels: dict[bytes, int] = {}
    for path, label in dataset.reader.samples:  # timm leaves the files open that it reads
        with Image.open(path) as image:
            labels[np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).tobytes()] = label
    return labels


def test_a_new_study_has_the_order_of_timm(config: StudyConfig, photos: Path, tmp_path: Path) -> None:
    study = searched(config, tmp_path / "study")
    export(study, "best", tmp_path / "best")
    assert (tmp_path / "best" / CLASS_MAP_FILE).read_text() == "1\n2\n3\n10\n"
    assert (
        labels_of(study) == labels_of_timm(photos, None) == labels_of_timm(photos, tmp_path / "best" / CLASS_MAP_FILE)
    )


def test_an_old_study_keeps_its_order(
    config: StudyConfig, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # as version 0.2 created it
        patch.setattr(opening, "ImageReader", partial(ImageReader, reading_version=1))
        study = Study.open_or_create(tmp_path / "study", config)
    dataset = dict(study.dataset)
    assert dataset.pop("reading_version") == 1
    study.optuna.set_user_attr("dataset", dataset)
    (file,) = (tmp_path / "study" / "data").iterdir()
    content = file.read_bytes()
    (photos / "10" / "new.jfif").write_bytes(b"an image of a type that version 0.2 did not list")
    for trials in (1, 2):
        file.unlink()  # the images are decoded again
        study = searched(config.model_copy(update={"trials": trials}), tmp_path / "study")
        assert file.read_bytes() == content
    assert tuple(study.dataset["class_names"]) == load(file).class_names == CHARACTER_ORDER
    export(study, "best", tmp_path / "best")
    (photos / "10" / "new.jfif").unlink()
    labels = labels_of(study)
    assert labels == labels_of_timm(photos, tmp_path / "best" / CLASS_MAP_FILE)
    assert labels != labels_of_timm(photos, None)
    model = timm.create_model(f"local-dir:{tmp_path / 'best'}", pretrained=True)
    assert model.pretrained_cfg["label_names"] == list(CHARACTER_ORDER)
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


@pytest.mark.parametrize(
    "names",
    [
        *(["1", "2", "3", "10"], ["class10", "class9", "Class1"], ["b", "A", "c"], ["x1y2", "x1y10", "x01y3"]),
        *(["é", "z", "Ä"], ["a b", "a_b", "a-b"], ["cat", "Dog", "_x", "__background__", ".x"]),
    ],
)
def test_the_order_is_that_of_timm(names: list[str]) -> None:
    timms_key: Callable[[str], list[int | str]] = timm.utils.misc.natural_key
    assert [natural_key(name) for name in names] == [timms_key(name) for name in names]
    assert list(sort_classes(names)) == sorted(names, key=timms_key)


def test_names_that_timm_takes_for_equal_have_an_order() -> None:
    assert sort_classes({"cat", "Cat", "CAT", "01", "1"}) == ("01", "1", "CAT", "Cat", "cat")
    assert sort_classes({"x²", "x1"}) == ("x1", "x²")  # a digit by its class that is no number


@pytest.mark.parametrize("names", [CLASSES, CHARACTER_ORDER, ("été", "猫", "a b", "#", "n01440764 tench")])
def test_timm_reads_the_class_map(names: tuple[str, ...], tmp_path: Path) -> None:
    write_class_map(names, tmp_path / CLASS_MAP_FILE)
    assert load_class_map(str(tmp_path / CLASS_MAP_FILE)) == {name: index for index, name in enumerate(names)}


@pytest.mark.parametrize("name", [" cat", "cat ", "c\nat", "c\rat"])
def test_names_that_no_class_map_can_hold(name: str, tmp_path: Path) -> None:
    assert not write_class_map(("dog", name), tmp_path / CLASS_MAP_FILE)
    assert not (tmp_path / CLASS_MAP_FILE).exists()


def test_the_class_map_of_an_earlier_export_does_not_stay(
    config: StudyConfig, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "best"
    export(searched(config, tmp_path / "study"), "best", out)
    (photos / "10").rename(photos / "10 ")
    export(searched(config, tmp_path / "spaced"), "best", out)
    assert (out / "config.json").is_file()
    assert not (out / CLASS_MAP_FILE).exists()
    assert "class_map" not in yaml.safe_load((out / "train.yaml").read_text())
    assert f"{out} has no class_map.txt" in caplog.text
