"""Recall and confusions of the front: numbers by hand, many classes, old studies, warnings of leaks, the drawn page."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from nas.analysis.class_recalls import SHOWN_CLASSES, SHOWN_CONFUSIONS, class_record
from nas.analysis.remarks import warning_lines
from nas.analysis.results import Results
from nas.figures import confusion_figure, confusion_info
from nas.page.classes import MAX_DRAWN_CLASSES, plain_classes
from nas.terminal.tables import trial_panel
from trainers.data.duplicates import Copies, Duplicates
from trainers.training.confusion import Confusion


def study_with(
    folder: Path,
    write_study: Any,
    trial: Any,
    architecture: Any,
    names: list[str],
    confusion: Confusion,
    **dataset: Any,
) -> Results:
    """A study of two trials on the front, of which the first (the cheaper) was tested."""
    trials = [trial([0.5, 10.0], None, {"architecture": architecture(0)}), trial([0.7, 20.0])]
    data = {"name": "parts", "class_names": names, "num_classes": len(names), **dataset}
    tested = {"test_accuracy": {"0": confusion.accuracy}, "test_confusion": {"0": confusion.to_dict()}}
    return Results.load(write_study(folder, trials, objectives=("accuracy", "macs"), dataset=data, **tested))


HAND = Confusion.of(np.array([0, 0, 1, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 1, 2, 2]), 3)


def test_numbers_by_hand(tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any) -> None:
    results = study_with(tmp_path, study_writer, stored_trial, architecture, ["cat", "<b>dog", "fox"], HAND)
    record = class_record(results, 0)
    assert record is not None
    assert [(row["class"], row["images"], row["correct"], row["recall"]) for row in record["classes"]] == [
        ("cat", 2, 1, 0.5), ("<b>dog", 4, 3, 0.75), ("fox", 1, 1, 1.0),
    ]  # fmt: skip
    assert record["balanced_accuracy"] == 0.75
    assert [tuple(row.values()) for row in record["confusions"]] == [("cat", "<b>dog", 1), ("<b>dog", "fox", 1)]
    assert json.loads(json.dumps(record)) == record
    assert class_record(results, 1) is None
    entry = plain_classes(HAND, results.dataset)
    assert entry["summary"] == "On the test split: accuracy 0.7143, balanced accuracy 0.7500, macro F1 0.6944."
    assert entry["recalls"][0] == ["cat", 2, 0.5]
    assert entry["matrix"] == [[1, 1, 0], [0, 3, 1], [0, 0, 1]]
    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(trial_panel(results, results.trial(0)))
    assert "cat 0.5000 of 2, <b>dog 0.7500 of 4, fox 1.0000 of 1" in capture.get()


def test_the_figure_escapes_names_and_counts_images() -> None:
    figure = confusion_figure(confusion_info(HAND, ["cat", "<b>dog", "x" * 50])).to_plotly_json()
    assert list(figure["layout"]["xaxis"]["ticktext"]) == ["cat", "&lt;b&gt;dog", "x" * 23 + "…"]
    assert figure["data"][0]["text"] == [["1", "1", ""], ["", "3", "1"], ["", "", "1"]]


def test_many_classes_are_tables_of_the_worst(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any
) -> None:
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(1000), rng.integers(0, 1000, 4000)])
    predicted = np.where(rng.random(5000) < 0.5, labels, rng.integers(0, 1000, 5000))
    confusion = Confusion.of(labels, predicted, 1000)
    names = [f"class {i}" for i in range(1000)]
    results = study_with(tmp_path, study_writer, stored_trial, architecture, names, confusion)
    entry = plain_classes(confusion, results.dataset)
    assert entry["matrix"] is None
    assert len(entry["recalls"]) == SHOWN_CLASSES
    assert len(entry["confusions"]) == SHOWN_CONFUSIONS
    recalls = [row[2] for row in entry["recalls"]]
    assert recalls == sorted(recalls)
    assert entry["summary"].endswith("The 20 classes of the lowest recall are listed, 980 are not.")
    assert len(json.dumps(confusion.to_dict())) < 60_000
    assert len(names) > MAX_DRAWN_CLASSES


def test_leaks_are_warned_about(tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any) -> None:
    leak = Duplicates(across={("train", "val"): Copies(4, (("train/<a>.png", "val/a.png"),))})
    dataset = {"train": 10, "val": 4, "test": 4, "duplicates": leak.to_dict()}
    results = study_with(tmp_path, study_writer, stored_trial, architecture, ["a", "b", "c"], HAND, **dataset)
    (line,) = warning_lines(results)
    assert line.startswith("Warning: 4 of 4 images (100 %) of the val split are also in the train split")


def test_the_drawer_shows_the_classes_of_a_tested_trial(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any, opened_study: Callable[..., Any]
) -> None:
    results = study_with(tmp_path / "study", study_writer, stored_trial, architecture, ["cat", "dog", "fox"], HAND)
    opened = opened_study(results.folder, "front?trial=0")
    opened.page.wait_for_selector("#drawer .confusion-matrix")
    text = opened.page.locator("#drawer").inner_text()
    assert "On the test split: accuracy 0.7143" in text
    opened.check_quiet()
