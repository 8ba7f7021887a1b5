"""The document of a study: columns, history and curves against the study's results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.columns import StudyColumns
from nas.analysis.front import hypervolume_over
from nas.analysis.results import Results
from nas.page.arrays import decode, encode, encode_codes
from nas.page.document import PageState, document
from nas.study.info import StudyInfo
from nas.study.stored import StoredStudy


def document_of(folder: Path) -> dict[str, Any]:
    """The document of the study in `folder`, after a passage through JSON."""
    study = StoredStudy.read(folder)
    info = StudyInfo(folder, study.name, study.attributes, len(study.optuna.directions))
    columns = StudyColumns(info.objectives)
    columns.update(study.trials)
    columns.set_test_accuracy(info.test_accuracy)
    plain: dict[str, Any] = json.loads(json.dumps(document(info, columns, PageState("key")), allow_nan=False))
    return plain


@pytest.fixture(scope="module")
def page_document(digits_study: Path) -> dict[str, Any]:
    return document_of(digits_study)


@pytest.fixture(scope="module")
def results(digits_study: Path) -> Results:
    return Results.load(digits_study)


@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "u2", "u1"])
def test_arrays_survive(kind: Any) -> None:
    values = np.array([0, 1, 2, 200], dtype=kind)
    encoded = json.loads(json.dumps(encode(values, kind)))
    assert decode(encoded).tolist() == values.tolist()
    assert decode(encoded).dtype == np.dtype(kind)


@pytest.mark.parametrize(("number", "kind"), [(0, "u1"), (254, "u1"), (255, "u2"), (65534, "u2"), (65535, "i4")])
def test_missing_codes_are_the_highest_value(number: int, kind: str) -> None:
    encoded = encode_codes(np.array([-1, number - 1], "i4"), number)
    missing, last = decode(encoded)
    assert encoded["dtype"] == kind
    assert missing == {"u1": 255, "u2": 65535, "i4": -1}[kind]
    assert last == number - 1 or number == 0


def test_numbers_are_those_of_the_results(page_document: dict[str, Any], results: Results) -> None:
    fields = {field["key"]: field for field in page_document["fields"]}
    for key in ("accuracy", "macs", "images_per_s", "params", "train_s", "wall_s", "test_accuracy"):
        expected = results.trials[key].to_numpy(dtype=float)
        np.testing.assert_allclose(decode(page_document["columns"][key]), expected, rtol=1e-6)
        assert fields[key]["kind"] == "number"
    assert page_document["count"] == len(results.trials)


def test_texts_are_codes(page_document: dict[str, Any], results: Results) -> None:
    fields = {field["key"]: field for field in page_document["fields"]}
    for key in ("state", "failure", "refused"):
        codes = decode(page_document["columns"][key])
        texts = [fields[key]["codes"][code] if code != 255 else None for code in codes]
        assert texts == list(results.trials[key])


def test_the_history_is_that_of_the_front(page_document: dict[str, Any], results: Results) -> None:
    history = {name: decode(page_document["history"][name]) for name in ("trial", "hypervolume", "removed_by")}
    on_front = {int(n) for n, by in zip(history["trial"], history["removed_by"], strict=True) if by < 0}
    assert on_front == set(results.front["trial"])
    complete = results.complete.sort_values(["finished", "trial"])["trial"].to_numpy()
    after = hypervolume_over(results.values[complete], results.objectives)
    expected = [after[list(complete).index(number)] for number in history["trial"]]
    np.testing.assert_allclose(history["hypervolume"], expected, rtol=1e-12)
    assert history["hypervolume"][-1] == pytest.approx(results.hypervolume)


def test_curves_are_one_after_another(page_document: dict[str, Any], results: Results) -> None:
    offsets, values = (decode(page_document["curves"][name]) for name in ("offsets", "values"))
    for number, curve in results.trials["curve"].items():
        expected = [entry["val_accuracy"] for entry in curve]
        np.testing.assert_allclose(values[offsets[number] : offsets[number + 1]], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "objectives", [("accuracy",), ("accuracy", "macs", "params", "activation_bytes", "images_per_s")]
)
def test_any_number_of_objectives_and_no_trial(
    objectives: tuple[str, ...], study_writer: Callable[..., Path], tmp_path: Path
) -> None:
    plain = document_of(study_writer(tmp_path, objectives=objectives))
    assert [objective["name"] for objective in plain["objectives"]] == list(objectives)
    assert plain["count"] == 0
    assert {field["key"] for field in plain["fields"]} >= set(objectives)
