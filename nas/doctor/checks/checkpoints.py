"""The checkpoints of trials."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from optuna.trial import TrialState

from nas.doctor.defect import Defect
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.repairs import move_away
from nas.study.layout import CHECKPOINT, TRIALS, trial_folder
from nas.study.trial_record import TrialRecord
from trainers.input_files import IrregularFileError, open_input


def _place(study: ExaminedStudy, trial: TrialRecord) -> Path:
    return trial_folder(study.folder, trial.number) / CHECKPOINT


def _defect(study: ExaminedStudy, trial: TrialRecord, text: str) -> Defect:
    return Defect(f"{TRIALS}/{trial.number:05d}/{CHECKPOINT}", text, move_away(_place(study, trial)))


@check("checkpoint-left", "warning")
def find_left_checkpoints(study: ExaminedStudy) -> Iterator[Defect]:
    """A checkpoint of a trial that has ended; that of a failed one serves a retry."""
    for trial in study.settled:
        if trial.state != TrialState.FAIL and _place(study, trial).is_file():
            yield _defect(study, trial, f"its trial has ended ({trial.state.name})")


@check("checkpoint-damaged", "warning")
def find_damaged_checkpoints(study: ExaminedStudy) -> Iterator[Defect]:
    """A checkpoint without the digest that it begins with: its training starts afresh."""
    for trial in study.trials:
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED) and _is_damaged(_place(study, trial)):
            yield _defect(study, trial, "is damaged; its training starts afresh")


def _is_damaged(file: Path) -> bool:
    """True if `file` exists and does not begin with the digest of the rest (`trainers.training.checkpoint.save`)."""
    try:
        with open_input(file) as content:
            expected = content.read(hashlib.sha256().digest_size)
            return hashlib.file_digest(content, "sha256").digest() != expected
    except FileNotFoundError:
        return False
    except IrregularFileError:
        return True
