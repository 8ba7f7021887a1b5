"""The weights of trials."""

from __future__ import annotations

from collections.abc import Iterator

from optuna.trial import TrialState

from nas.doctor.defect import Defect
from nas.doctor.examined import ExaminedStudy, WeightsState
from nas.doctor.registry import check
from nas.doctor.repairs import move_away
from nas.study.layout import TRIALS, WEIGHTS, trial_folder

CONSEQUENCE = "its values stand, but it can neither be exported nor tested; a backup may have its weights"


def _defects(study: ExaminedStudy, state: WeightsState) -> Iterator[Defect]:
    for trial in study.complete:
        weights = study.weights(trial)
        if weights.state == state:
            yield Defect(f"{TRIALS}/{trial.number:05d}/{WEIGHTS}", f"{weights.text}; {CONSEQUENCE}")


@check("weights-missing", "error")
def find_missing_weights(study: ExaminedStudy) -> Iterator[Defect]:
    """A complete trial without weights."""
    return _defects(study, "missing")


@check("weights-damaged", "error")
def find_damaged_weights(study: ExaminedStudy) -> Iterator[Defect]:
    """Weights that cannot be read, or whose tensors do not have the digest in their header."""
    return _defects(study, "damaged")


@check("weights-foreign", "error")
def find_foreign_weights(study: ExaminedStudy) -> Iterator[Defect]:
    """Weights of another architecture or training than that of the trial, or other values in their record."""
    return _defects(study, "foreign")


@check("weights-left", "warning")
def find_left_weights(study: ExaminedStudy) -> Iterator[Defect]:
    """Weights of a trial that was stopped or refused: only complete trials have some."""
    for trial in study.settled:
        file = trial_folder(study.folder, trial.number) / WEIGHTS
        if trial.state == TrialState.PRUNED and file.is_file():
            yield Defect(
                f"{TRIALS}/{trial.number:05d}/{WEIGHTS}", "its trial was not trained to the end", move_away(file)
            )


@check("files-unreachable", "warning")
def find_unreachable_files(study: ExaminedStudy) -> Iterator[Defect]:
    """A study whose weights are at a URL that cannot be reached; they are not checked."""
    if study.store_failure:
        yield Defect("files", f"{study.store_failure.removeprefix('files: ')}; the weights there were not checked")
