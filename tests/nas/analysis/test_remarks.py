"""Sentences on a study: its data and its search, and what is missing from a copied study."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.analysis.remarks import missing_lines
from nas.analysis.results import Results
from nas.analysis.study_text import dataset_line, search_line
from nas.report import render
from nas.study.content import StudySnapshot
from nas.study.database.storage import DATABASE


def test_the_lines_of_a_study(digits_study: Path) -> None:
    results = Results.load(digits_study)
    assert dataset_line(results) == (
        "Data: digits, images of 8 × 8 × 1, 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); "
        "1,077 training, 360 validation, 360 test images."
    )
    line = search_line(results)
    assert line == (
        "Objectives: validation accuracy (max), MACs (min), throughput (max); sampler tpe; 4 epochs a trial; seed 7."
    )
    limited = replace(results, space_size=10**15, config={"limits": {"macs": 2e6, "images_per_s": 500, "joules": 3}})
    assert search_line(limited) == (
        "Objectives: validation accuracy (max), MACs (min), throughput (max); MACs at most 2.00 M; "
        "throughput at least 500; limit joules 3; 1,000,000,000,000,000 architectures in the space."
    )
    short = replace(results, config={"train": {"epochs": 1}})
    assert search_line(short).endswith("; 1 epoch a trial.")


def test_a_copied_database_is_enough_and_the_page_says_what_is_missing(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any, report_document: Any
) -> None:
    config = {"sampler": {"name": "pareto"}, "throughput": {"operators_s": 30}}
    attributes = {"architecture": architecture(0), "images_per_s": 9.0}
    source = study_writer(tmp_path / "source", [stored_trial([0.5, 10.0, 9.0], None, attributes)], config=config)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / DATABASE).write_bytes((source / DATABASE).read_bytes())
    lines = missing_lines(Results.load(copy))
    assert lines == [
        "Test accuracy is missing for 1 of 1 trial on the front: `nas report` measures it where it finds the study's "
        "decoded images (data/) and weights (trials/).",
        f"The prediction quality is unknown: {copy / 'operators.json'} is missing or damaged.",
    ]
    assert report_document(render(StudySnapshot.of(copy)))["analysis"]["missing"] == lines


def test_nothing_is_missing_where_the_front_is_tested(
    tmp_path: Path, study_writer: Any, stored_trial: Any, empty_study: Path
) -> None:
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 9.0])], test_accuracy={"0": 0.5})
    assert missing_lines(Results.load(tmp_path)) == missing_lines(Results.load(empty_study)) == []
