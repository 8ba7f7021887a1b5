"""The test split is passed once for each trial of the front: its accuracy and its confusion matrix are stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nas.models import front_test_accuracy
from nas.models.front_test_accuracy import measure_test_accuracy
from nas.study.stored import StoredStudy

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the study that version 0.1 left, with trials 0 and 7 on its front."""
    shutil.copytree(FROZEN, tmp_path / "study")
    return tmp_path / "study"


def test_accuracy_and_confusions_are_measured_and_stored_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measure_test_accuracy(StoredStudy.open(folder))
    assert measured.missing == ()
    stored = StoredStudy.open(folder)
    assert stored.test_accuracy == measured.values
    assert stored.test_confusion.keys() == measured.values.keys() == {"0", "7"}
    for number, confusion in stored.test_confusion.items():
        assert confusion.accuracy == measured.values[number]
        assert int(confusion.totals.sum()) == stored.dataset["test"]
    monkeypatch.setattr(front_test_accuracy, "load_images", lambda *arguments: pytest.fail("the images are read again"))
    assert measure_test_accuracy(StoredStudy.open(folder)) == measured


def test_an_accuracy_of_an_earlier_version_is_kept(folder: Path) -> None:
    StoredStudy.open(folder).set_test_results({"0": 0.25, "7": 0.5}, {})
    measured = measure_test_accuracy(StoredStudy.open(folder))
    assert measured.values == {"0": 0.25, "7": 0.5}
    assert StoredStudy.open(folder).test_confusion.keys() == {"0", "7"}


@pytest.mark.parametrize("gone", ["data", "trials"])
def test_without_images_or_weights_only_missing_accuracies_are_reported(folder: Path, gone: str) -> None:
    shutil.rmtree(folder / gone)
    assert measure_test_accuracy(StoredStudy.open(folder)).missing
    StoredStudy.open(folder).set_test_results({"0": 0.25, "7": 0.5}, {})
    measured = measure_test_accuracy(StoredStudy.open(folder))
    assert (measured.missing, measured.values) == ((), {"0": 0.25, "7": 0.5})
