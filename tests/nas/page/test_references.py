"""Marks beside the trials: presets at the study's image size, and the front of an earlier study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.objectives.costs import cost_values
from nas.page.references import REFERENCE_PRESETS, references
from nas.study.content import StudySnapshot
from search_space import Architecture, presets
from search_space.errors import SpaceError

DATASET = {"name": "x", "image_size": [32, 32], "in_chans": 3, "num_classes": 10}


def info_of(folder: Path) -> Any:
    return StudySnapshot.of(folder).info


def exact_costs(name: str) -> dict[str, float] | None:
    try:
        network: Architecture = presets.get(name).replace(image_size=(32, 32), in_chans=3, num_classes=10)
    except SpaceError:
        return None
    return cost_values(network)


def test_presets_have_their_exact_costs_at_the_image_size(tmp_path: Path, study_writer: Any) -> None:
    marks = references(info_of(study_writer(tmp_path, dataset=DATASET)))
    expected = {name: exact_costs(name) for name in REFERENCE_PRESETS}
    assert {mark["label"]: mark["values"] for mark in marks} == {n: costs for n, costs in expected.items() if costs}
    assert {mark["kind"] for mark in marks} == {"preset"}
    assert 3 < len(marks) <= 12


@pytest.mark.parametrize(
    "dataset", [{"name": "x"}, {**DATASET, "image_size": "large"}, {**DATASET, "image_size": [7, 5]}]
)
def test_a_study_without_a_usable_image_size_has_no_presets(
    tmp_path: Path, study_writer: Any, dataset: dict[str, Any]
) -> None:
    assert references(info_of(study_writer(tmp_path, dataset=dataset))) == []


def test_the_front_of_the_earlier_study(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    trials = [stored_trial([0.5, 10.0]), stored_trial([0.4, 20.0]), stored_trial([0.6, 30.0])]
    earlier = study_writer(tmp_path / "earlier", trials, objectives=("accuracy", "macs"), name="first")
    later = study_writer(tmp_path / "later", dataset={"name": "x"}, config={"start": {"study": str(earlier)}})
    assert references(info_of(later)) == [
        {"label": "first, trial 0", "kind": "study", "values": {"accuracy": 0.5, "macs": 10.0}},
        {"label": "first, trial 2", "kind": "study", "values": {"accuracy": 0.6, "macs": 30.0}},
    ]


def test_an_earlier_study_that_is_gone_is_left_out(tmp_path: Path, study_writer: Any) -> None:
    later = study_writer(tmp_path / "later", dataset={"name": "x"}, config={"start": {"study": str(tmp_path / "gone")}})
    assert references(info_of(later)) == []
