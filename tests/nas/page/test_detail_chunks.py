"""Compressed details: the same as those of single trials, pictures of the front, and little room for many trials."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.page import detail_chunks as chunks
from nas.page.channels import channel_pictures
from nas.page.detail import StudyContext, trial_detail
from nas.page.parts import known_architecture
from nas.study.database.storage import read_study
from nas.study.layout import trial_folder, write_error


def decoded(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def details_in(text: str) -> list[dict[str, Any]]:
    columns = decoded(text)
    return [{key: column[i] for key, column in columns.items()} for i in range(len(columns["number"]))]


def without_none(detail: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in detail.items() if value is not None}


def test_chunks_hold_the_details_of_all_trials(digits_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_TRIALS", 10)
    study = read_study(digits_study)
    trials = study.get_trials(deepcopy=False)
    context = StudyContext.of(digits_study, study.user_attrs)
    plain = chunks.detail_chunks(trials, context, []).to_dict()
    assert plain["size"] == 10
    assert [len(details_in(text)) for text in plain["chunks"]] == [10, 10, 10, 7]
    found = [without_none(detail) for text in plain["chunks"] for detail in details_in(text)]
    for trial, detail in zip(trials, found, strict=True):
        whole = trial_detail(trial, context)
        parts = [{key: value for key, value in part.items() if key != "shape"} for part in whole["parts"][:-1]]
        kept = {
            key: value for key, value in whole.items() if key not in ("id", "device", "predicted", "intervals", "times")
        }
        assert detail == without_none(kept | {"parts": [*parts, whole["parts"][-1]]})


def test_blocks_of_the_front_refer_to_pictures(graph_study: Path) -> None:
    study = read_study(graph_study)
    context = StudyContext.of(graph_study, study.user_attrs)
    plain = chunks.detail_chunks(study.get_trials(deepcopy=False), context, [1, 0]).to_dict()
    details = details_in(plain["chunks"][0])
    assert [[block.get("picture") for block in detail["channels"]] for detail in details] == [[1, 2], [0, 1], [None]]
    known = known_architecture(details[1]["architecture"])
    assert known is not None
    pictures = decoded(plain["pictures"])
    assert len(pictures) == 3
    assert pictures[:2] == json.loads(json.dumps(channel_pictures(known)))
    assert plain["omitted_pictures"] == 0


def test_whole_curves_of_a_large_study_are_those_of_the_front(
    digits_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_WHOLE_CURVES", 10)
    study = read_study(digits_study)
    context = StudyContext.of(digits_study, study.user_attrs)
    plain = chunks.detail_chunks(study.get_trials(deepcopy=False), context, [3]).to_dict()
    with_curve = [detail["number"] for detail in details_in(plain["chunks"][0]) if detail["curve"] is not None]
    assert with_curve == [3]


def test_tracebacks_are_shortened(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    study_writer(tmp_path, [stored_trial(None, TrialState.FAIL, {"failure": "no"})])
    write_error(trial_folder(tmp_path, 0), "\n".join(f"line {number}" for number in range(2000)))
    study = read_study(tmp_path)
    plain = chunks.detail_chunks(study.get_trials(), StudyContext.of(tmp_path, study.user_attrs), []).to_dict()
    (detail,) = details_in(plain["chunks"][0])
    assert detail["traceback"].endswith("\nline 1999")
    assert "error.txt in the folder of the trial has all" in detail["traceback"]
    assert len(detail["traceback"]) < chunks.MAX_TRACEBACK_CHARACTERS + 100


def test_a_study_without_trials_has_no_chunks(empty_study: Path) -> None:
    plain = chunks.detail_chunks([], StudyContext.of(empty_study, {}), []).to_dict()
    assert plain["chunks"] == []
    assert decoded(plain["pictures"]) == []
