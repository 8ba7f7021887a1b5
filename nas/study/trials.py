"""Functions of trials: seeds and outcomes."""

from __future__ import annotations

import hashlib

from optuna.trial import FrozenTrial, TrialState

from nas.study.records import OUTCOME


def seed_of(study_seed: int, architecture_id: str) -> int:
    """The seed of the training of an architecture; it depends only on the seed of the study and the id."""
    return int.from_bytes(hashlib.sha256(f"{study_seed} {architecture_id}".encode()).digest()[:4], "big")


def outcome_name(trial: FrozenTrial) -> str | None:
    """The name of the outcome of `trial` (`nas.study.records.name_of`); None while it waits, runs or pauses.

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


def is_trained(trial: FrozenTrial) -> bool:
    """True if `trial` counts towards the number of trials of a study: completed, failed, or stopped at a rung."""
    return outcome_name(trial) in ("completed", "failed", "stopped")
