"""Repeats failed trials: each as a new trial with the same parameters, and so with the same seed."""

from __future__ import annotations

from nas.driver.checkpoints import move_stored_checkpoint
from nas.study.layout import move_checkpoint
from nas.study.stored import StoredStudy
from nas.study.trials import RETRIED_FROM, failed_trials


def enqueue_failed(study: StoredStudy) -> list[int]:
    """Enqueue each failed trial of `study` again; returns the numbers of the failed trials.

    A trial of Optuna that has failed is final. So it stays as it is, with the reason of its failure, and a new trial repeats
    it (`nas.study.trials`). It goes on from the checkpoint of the failed one, if there is one. A trial that is repeated, or
    waits for it, is not enqueued a second time; one whose repetition failed is, as the repetition.
    """
    failed = failed_trials(study.trials)
    for trial in failed:
        study.optuna.enqueue_trial(trial.params, user_attrs={RETRIED_FROM: trial.number})
        number = study.trials[-1].number
        move_checkpoint(study.trial_folder(trial.number), study.trial_folder(number))
        if study.files_url is not None:
            move_stored_checkpoint(study.files_url, trial.number, number)
    return [trial.number for trial in failed]
