"""Removes what earlier drivers have left in the folder of a study and nothing needs any more.

A driver that is killed does not remove its files. A driver whose trial is adopted by another one does not learn how the trial
ends; the other trains it in a folder of its own. So every driver cleans its folder when it starts and when it ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from optuna.trial import TrialState

from nas.driver.start.driver_folders import remove_empty_folders, remove_left_folders
from nas.errors import StudyError
from nas.study.database.driver_rows import read_drivers
from nas.study.database.storage_url import StoragePlace
from nas.study.database.transactions import ServerTransactions
from nas.study.layout import CHECKPOINT, RAY, STACKS, WEIGHTS, WORKERS, remove_checkpoint, remove_error, trial_folder
from nas.study.stored import StoredStudy
from nas.study.trials import AnyTrial
from nas.study.weights_header import WeightsHeader


def remove_left_files(study: StoredStudy, place: StoragePlace | None) -> None:
    """Remove what earlier drivers have left in the folder of `study`.

    Args:
        study: the study; its folder is locked, and this driver has no files there yet, or has removed them.
        place: where drivers share it on a server; None: in the folder, so that the lock proves that earlier drivers have ended.

    Raises:
        StorageError: the storage cannot be read.
    """
    lost: Collection[int] = ()
    if place is None:
        for name in (RAY, WORKERS):
            if not (study.folder / name).is_symlink():  # what it leads to is not ours
                shutil.rmtree(study.folder / name, ignore_errors=True)
    else:
        steps = ServerTransactions(place)
        drivers, now_s = steps.unlocked(lambda query: (read_drivers(query, steps.study), steps.now_s(query)))
        lost = remove_left_folders(study.folder, drivers, now_s)
        remove_empty_folders(study.folder)
    names = tuple(objective.name for objective in study.objectives)
    remove_files_of_ended(study.folder, study.trials, lost, names)


def remove_files_of_ended(
    folder: Path, trials: Iterable[AnyTrial], lost: Collection[int], objective_names: tuple[str, ...]
) -> None:
    """Remove the files that `trials` which have ended do not need any more.

    Args:
        folder: the folder of the study.
        trials: all trials of the study.
        lost: the trials that drivers in this folder ran when they were killed. Another driver may have trained them since, so
            their weights are removed if they are not those of the trial.
        objective_names: the names of the values of trials, in their order.
    """
    for trial in trials:
        if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):  # the checkpoint of a failed one serves a retry
            continue
        place = trial_folder(folder, trial.number)
        if trial.number in lost or (place / CHECKPOINT).exists():
            remove_checkpoint(place)
            remove_error(place)
            (place / STACKS).unlink(missing_ok=True)
        if trial.state == TrialState.PRUNED:
            (place / WEIGHTS).unlink(missing_ok=True)
        elif trial.number in lost:
            with suppress(FileNotFoundError, StudyError):  # `nas doctor` reports damaged ones
                if WeightsHeader.read(place / WEIGHTS).difference(trial, objective_names) is not None:
                    (place / WEIGHTS).unlink()
