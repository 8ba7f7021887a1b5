"""Accuracy and confusion matrix on the test split: measured once for each trial of the front, for a report, and then stored."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import torch

from nas.analysis.results import Results
from nas.errors import StudyError
from nas.models.weights import load_trained
from nas.study.content import StudyContent
from trainers.data.dataset import Dataset, load
from trainers.errors import DataError
from trainers.training.evaluation import confusion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrontTestAccuracies:
    """The test accuracies of a study.

    Args:
        values: trial number as text -> test accuracy, of every trial that was ever tested.
        missing: a line for each reason why trials of the front could not be tested.
    """

    values: dict[str, float]
    missing: tuple[str, ...] = field(default=())


def load_images(study: StudyContent, device: str = "cpu") -> Dataset:
    """Load the images of `study` to `device`.

    Raises:
        StudyError: the decoded file is missing or damaged.
    """
    try:
        return load(study.images(), device)
    except DataError as error:
        raise StudyError(str(error)) from None


def measure_test_accuracy(study: StudyContent) -> FrontTestAccuracies:
    """Measure and store the test accuracy of the trials of the front that have none yet.

    The confusion matrix is stored too; a trial that an earlier version tested gets it now, and keeps its accuracy. A copied
    `study.db` without images or weights is no error: `missing` of the result names the reasons.
    """
    values, confusions = study.test_accuracy, study.test_confusion
    untested = [row for row in Results.of(study).front.to_dict("records") if str(row["trial"]) not in confusions]
    if not untested:
        return FrontTestAccuracies(values)
    if not study.is_writable:
        reason = "the study is read-only, and the accuracies could not be stored"
        return FrontTestAccuracies(values, (f"{study.folder}: {reason}",))
    try:
        dataset = load_images(study, "cuda" if torch.cuda.is_available() else "cpu")
    except StudyError as error:
        has_accuracies = all(str(row["trial"]) in values for row in untested)
        return FrontTestAccuracies(values, () if has_accuracies else (str(error),))
    missing: list[str] = []
    trials = {trial.number: trial for trial in study.trials}
    try:
        for row in untested:
            number = int(row["trial"])
            try:
                network = load_trained(study, trials[number])
            except StudyError as error:
                missing += [] if str(number) in values else [str(error)]
                continue
            confusions[str(number)] = confusion(network, dataset.test, dataset)
            values.setdefault(str(number), confusions[str(number)].accuracy)
            logger.info("trial %d: test accuracy %.4f", number, values[str(number)])
    finally:  # what was tested is kept, whatever ends it
        study.set_test_results(values, confusions)
    return FrontTestAccuracies(values, tuple(missing))
