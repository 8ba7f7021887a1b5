"""Checks that a search which has ended has a complete trial."""

from __future__ import annotations

from optuna.trial import TrialState

from nas.errors import NothingFeasibleError
from nas.formatting import number_text
from nas.study.config import StudyConfig
from nas.study.stored import StoredStudy
from nas.study.trials import outcome_name


def check_feasible(study: StoredStudy, config: StudyConfig) -> None:
    """Raise `NothingFeasibleError` if no trial of the study is complete."""
    trials = study.trials
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return
    failures = [trial.user_attrs["failure"] for trial in trials if trial.user_attrs.get("failure")]
    if failures:
        raise NothingFeasibleError(f"all {len(failures)} trainings failed; the last: {failures[-1]}")
    refusals = [trial.user_attrs["refused"] for trial in trials if outcome_name(trial) == "refused"]
    last = f"; the last: {refusals[-1]}" if refusals else ""
    limits = ", ".join(f"{name}: {number_text(limit)}" for name, limit in config.limits.items())
    raise NothingFeasibleError(
        f"no architecture was found that satisfies the limits ({limits}): {len(refusals)} refused{last}"
    )
