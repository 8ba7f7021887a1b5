"""What a killed driver has left in a folder is removed, and nothing that anybody needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from optuna.trial import TrialState

from nas.driver.start.left_files import remove_files_of_ended, remove_left_files
from nas.study.layout import CHECKPOINT, WEIGHTS, trial_folder
from nas.study.stored import StoredStudy

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"


def left(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "study.db" not in path.name
    }


def frozen(tmp_path: Path) -> StoredStudy:
    """The study that version 0.1 left: trials 0, 2 and 7 are complete, the others go on from their checkpoints."""
    return StoredStudy.open(Path(shutil.copytree(FROZEN, tmp_path / "study")))


def test_checkpoints_of_ended_trials_and_folders_of_the_search_are_removed(tmp_path: Path) -> None:
    study = frozen(tmp_path)
    folder, before = study.folder, left(FROZEN)
    for name in ("ray/file", "workers/worker.json", f"trials/00000/{CHECKPOINT}", "trials/00000/.x.999999999.tmp"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("left")
    remove_left_files(study, None)
    assert left(folder) == before


def test_weights_are_removed_only_if_they_are_not_those_of_the_trial(tmp_path: Path) -> None:
    study = frozen(tmp_path)
    folder, trials = study.folder, study.trials
    first, second, third = [trial.number for trial in trials if trial.state == TrialState.COMPLETE]
    shutil.copy(trial_folder(folder, first) / WEIGHTS, trial_folder(folder, second) / WEIGHTS)
    (trial_folder(folder, third) / WEIGHTS).write_text("damaged")
    before = left(folder)
    remove_files_of_ended(folder, trials, (), ("accuracy",))
    assert left(folder) == before
    remove_files_of_ended(folder, trials, {first, second, third}, ("accuracy",))
    assert left(folder) == before - {f"trials/{second:05d}/{WEIGHTS}"}
