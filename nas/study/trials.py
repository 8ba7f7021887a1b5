"""Functions of trials: seeds, outcomes, and failed trials that are repeated.

A failed trial is repeated as a new trial with the same parameters, and with the number of the failed one in the user attribute
`retried_from`. The failed trial stays as it is, and no longer counts as trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from optuna.trial import FrozenTrial, TrialState

from nas.study.outcomes.records import OUTCOME
from nas.study.trial_record import TrialRecord, decode_column

AnyTrial: TypeAlias = FrozenTrial | TrialRecord
"""A trial as Optuna or as `nas.study.database.reader` reads it."""
SomeTrial = TypeVar("SomeTrial", bound=AnyTrial)

RETRIED_FROM = "retried_from"
"""The user attribute of a trial that repeats a failed one: the number of the failed one."""


def seed_of(study_seed: int, architecture_id: str) -> int:
    """The seed of the training of an architecture; it depends only on the seed of the study and the id."""
    return int.from_bytes(hashlib.sha256(f"{study_seed} {architecture_id}".encode()).digest()[:4], "big")


def attribute_column(trials: Sequence[AnyTrial], name: str) -> list[Any]:
    """The user attribute `name` of each of `trials`; None where it is missing."""
    records = [trial for trial in trials if isinstance(trial, TrialRecord)]
    if len(records) == len(trials):
        return decode_column(name, [record.user_attrs.texts.get(name) for record in records])
    return [trial.user_attrs.get(name) for trial in trials]


def damage_of(trials: Iterable[AnyTrial]) -> dict[int, str]:
    """The number of each of `trials` with damaged attributes, which count as missing -> what is wrong, in words."""
    damages = {trial.number: trial.damage for trial in trials if isinstance(trial, TrialRecord)}
    return {number: damage for number, damage in damages.items() if damage}


def outcome_name(trial: AnyTrial) -> str | None:
    """The name of the outcome of `trial` (`nas.study.outcomes.records.name_of`); None while it waits, runs or pauses.

    Trials of version 0.1 do not store it: there, a refused trial has the attribute `refused`, and a duplicate is FAIL, too.
    """
    if not trial.state.is_finished():
        return None
    name = trial.user_attrs.get(OUTCOME)
    if name is not None:
        return str(name)
    if trial.user_attrs.get("refused"):
        return "duplicate" if trial.state == TrialState.FAIL else "refused"
    return {TrialState.COMPLETE: "completed", TrialState.FAIL: "failed"}.get(trial.state, "stopped")


def is_trained(trial: AnyTrial) -> bool:
    """True if `trial` counts towards the number of trials of a study: completed, failed, or stopped at a rung."""
    return outcome_name(trial) in ("completed", "failed", "stopped")


def retried_numbers(trials: Iterable[AnyTrial]) -> set[int]:
    """The numbers of the failed trials that others of `trials` repeat."""
    numbers = (trial.user_attrs.get(RETRIED_FROM) for trial in trials)
    return {number for number in numbers if number is not None}


def count_trained(trials: Iterable[AnyTrial]) -> int:
    """The number of `trials` that count towards the number of trials of a study: trained, and not repeated by another."""
    trials = list(trials)
    retried = retried_numbers(trials)
    return sum(is_trained(trial) and trial.number not in retried for trial in trials)


def waiting_retries(trials: Iterable[SomeTrial]) -> list[SomeTrial]:
    """Those of `trials` that repeat a failed one and have not started."""
    return [trial for trial in trials if trial.state == TrialState.WAITING and RETRIED_FROM in trial.user_attrs]


def failed_trials(trials: Iterable[SomeTrial]) -> list[SomeTrial]:
    """Those of `trials` that failed and that no other repeats."""
    trials = list(trials)
    retried = retried_numbers(trials)
    return [trial for trial in trials if outcome_name(trial) == "failed" and trial.number not in retried]
