"""The trials in the database, compared with one another and with the configuration."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from optuna.trial import TrialState
from pydantic import ValidationError

from nas.doctor.checks.database import ROWS_FILE
from nas.doctor.database_changes import changing, replace_values, trial_id
from nas.doctor.defect import Defect, Repair
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.removed import RemovedFiles
from nas.driver.plan import create_halving
from nas.driver.rungs.promotion import Halving
from nas.errors import reason
from nas.objectives.costs import cost_values
from nas.study.config import StudyConfig
from nas.study.outcomes.predicted_values import known_values
from nas.study.trial_record import TrialRecord
from nas.study.trials import outcome_name, retried_numbers
from search_space import Architecture
from search_space.errors import SpaceError


@check("values-unusable", "error")
def find_unusable_values(study: ExaminedStudy) -> Iterator[Defect]:
    """A complete trial without a finite value of each objective; the header of its weights may have them."""
    for trial in study.complete:
        values = trial.values or []
        if len(values) == len(study.objectives) and all(map(math.isfinite, values)):
            continue
        found = "none" if trial.values is None else ", ".join(f"{value:g}" for value in values)
        names = ", ".join(objective.name for objective in study.objectives)
        yield Defect(
            f"trial {trial.number}", f"must have finite values of {names}, found {found}", _repair(study, trial)
        )


def _repair(study: ExaminedStudy, trial: TrialRecord) -> Repair | None:
    """Take the values from the header of the weights; None if they are not all there, or the study is on a server."""
    database, content = study.database, study.content
    if database is None or content is None:
        return None
    header = study.weights(trial).header
    if study.weights(trial).state != "present" or header is None:
        return None
    recorded = {
        **cost_values(header.architecture),
        **{name: trial.user_attrs.get(name) for name in header.outcome.measured.values},
        **header.outcome.measured.values,
        **header.outcome.trained.values,
    }
    attributes = known_values(trial.user_attrs)
    values = [recorded.get(objective.name, attributes.get(objective.name)) for objective in study.objectives]
    finite = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    if len(finite) != len(study.objectives):
        return None

    def write(removed: RemovedFiles) -> None:
        with changing(database) as connection:
            key = trial_id(connection, content.name, trial.number)
            removed.keep_rows(ROWS_FILE, replace_values(connection, key, finite))

    return Repair("restores them from the weights", write)


@check("architecture-damaged", "error")
def find_damaged_architectures(study: ExaminedStudy) -> Iterator[Defect]:
    """A complete trial whose architecture cannot be read, or has another id."""
    for trial in study.complete:
        described = trial.user_attrs.get("architecture")
        if any(name in trial.user_attrs and trial.user_attrs.get(name) is None for name in ("architecture", "id")):
            continue  # `attribute-damaged` reports it
        try:
            found = Architecture.from_dict(described or {}).id
        except (SpaceError, TypeError, ValueError, KeyError, AttributeError, MemoryError, RecursionError) as error:
            yield Defect(f"trial {trial.number}", f"its architecture cannot be read: {reason(error)}")
            continue
        if found != trial.user_attrs.get("id"):
            yield Defect(
                f"trial {trial.number}",
                f"its id must be that of its architecture, {found}, found {trial.user_attrs.get('id')}",
            )


@check("trained-twice", "warning")
def find_trained_twice(study: ExaminedStudy) -> Iterator[Defect]:
    """An architecture that two complete trials have, of which none repeats the other."""
    retried = retried_numbers(study.trials)
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for trial in study.complete:
        if trial.number not in retried and trial.user_attrs.get("id") is not None:
            numbers[str(trial.user_attrs["id"])].append(trial.number)
    for identity, same in numbers.items():
        if len(same) > 1:
            text = f"has the architecture {identity} of trial {same[0]}, which was trained before; both stay"
            for number in same[1:]:
                yield Defect(f"trial {number}", text)


@check("rungs-inconsistent", "warning")
def find_inconsistent_rungs(study: ExaminedStudy) -> Iterator[Defect]:
    """A trial with values at other epochs than the rungs below the last, or one that ended without those it passed."""
    halving = _halving(study)
    if halving is None:
        return
    lower = halving.rungs[:-1]
    retried = retried_numbers(study.trials)
    for trial in study.trials:
        reached = sorted(trial.intermediate_values)
        others = [epoch for epoch in reached if epoch not in lower]
        gaps = [epoch for epoch in lower if reached and epoch < max(reached) and epoch not in reached]
        if trial.state == TrialState.COMPLETE:
            gaps = [epoch for epoch in lower if epoch not in reached]
        place = f"trial {trial.number}"
        if others:
            yield Defect(place, f"has values at the epochs {_listed(others)}, the rungs are {_listed(halving.rungs)}")
        elif gaps:
            yield Defect(place, f"has no value at the rungs {_listed(gaps)}, which it passed")
        elif outcome_name(trial) == "stopped" and not reached and trial.number not in retried:
            yield Defect(place, f"was stopped at a rung ({_listed(lower)}), and has a value at none")


def _halving(study: ExaminedStudy) -> Halving | None:
    """The rungs of the study; None if it has none, or if another version configured it."""
    try:
        return None if study.content is None else create_halving(StudyConfig.model_validate(study.content.config))
    except ValidationError:
        return None


def _listed(epochs: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, epochs))


@check("trial-removed", "note")
def find_removed_trials(study: ExaminedStudy) -> Iterator[Defect]:
    """A number without a trial, since somebody removed it from the database."""
    for trial in study.trials:
        if trial.user_attrs.get("failure") == "the trial was removed from the database":
            yield Defect(f"trial {trial.number}", "was removed from the database; it counts as failed")
