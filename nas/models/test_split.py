"""The test split, touched once: when a study is reported, each trial of its front is tested, and never again."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError

from nas.analysis import results
from nas.errors import StudyError
from nas.evaluation.evaluator import trained_network
from nas.study.layout import trial_folder
from nas.study.storage import open_study
from trainers.data.dataset import Dataset, load
from trainers.errors import DataError
from trainers.training.evaluation import evaluate


def dataset_of(folder: Path, device: str = "cpu") -> Dataset:
    """The images of the study in `folder` on `device`, from the decoded file that it keeps.

    Raises:
        StudyError: the file is gone or another.
    """
    fingerprint = open_study(folder).user_attrs["dataset"]["fingerprint"]
    for file in sorted((folder / "data").glob("*.safetensors")):
        try:
            dataset = load(file, device)
        except DataError:
            continue  # damaged
        if dataset.fingerprint == fingerprint:
            return dataset
    raise StudyError(
        f"{folder / 'data'}: the study's decoded images are gone or damaged; `nas search` on it decodes them again"
    )


def test_front(folder: Path) -> dict[str, float]:
    """Measure test accuracy of those trials of the front that have none yet; trial number -> accuracy, all of them.

    A trial whose weights are gone or damaged stays untested.
    """
    study = open_study(folder)
    tested = dict(study.user_attrs.get("test_accuracy", {}))
    front = results.load(folder).front
    todo = [row for _, row in front.iterrows() if str(row["trial"]) not in tested]
    if not todo:
        return tested
    dataset = dataset_of(folder, "cuda" if torch.cuda.is_available() else "cpu")
    for row in todo:
        number = int(row["trial"])
        try:
            network = trained_network(row["architecture"], trial_folder(folder, number))
        except (FileNotFoundError, SafetensorError):
            continue
        _, tested[str(number)] = evaluate(network, dataset.test, dataset)
    study.set_user_attr("test_accuracy", tested)
    return tested
