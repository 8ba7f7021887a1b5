"""Attributes of trials that cannot be read, or are not of the type that mixfront writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nas.doctor.checks.database import ROWS_FILE
from nas.doctor.database_changes import add_attribute, attribute_row, changing, take_row, trial_id
from nas.doctor.defect import Defect, Repair
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.removed import RemovedFiles
from nas.errors import StudyError
from nas.objectives.costs import cost_values
from nas.study.layout import WEIGHTS, trial_folder
from nas.study.trial_record import TrialRecord, attribute_problem
from nas.study.weights_header import WeightsHeader


@check("attribute-damaged", "error")
def find_damaged_attributes(study: ExaminedStudy) -> Iterator[Defect]:
    """An attribute that is no JSON, or of another type, which counts as missing."""
    for trial in study.trials:
        for name, text in trial.user_attrs.texts.items():
            problem = attribute_problem(name, text)
            if problem:
                yield Defect(f"trial {trial.number}", f"the attribute {name} {problem}", _repair(study, trial, name))


def _repair(study: ExaminedStudy, trial: TrialRecord, name: str) -> Repair | None:
    """Take the attribute away; the header of the weights may have its value. None for a study on a server."""
    database, content = study.database, study.content
    if database is None or content is None:
        return None
    known = _known_attributes(study, trial)

    def replace(removed: RemovedFiles) -> None:
        with changing(database) as connection:
            key = trial_id(connection, content.name, trial.number)
            row = attribute_row(connection, key, name)
            if row is None:
                return
            removed.keep_rows(ROWS_FILE, filter(None, [take_row(connection, "trial_user_attributes", row)]))
            if name in known:
                add_attribute(connection, key, name, known[name])

    restored = " and restores it from the weights" if name in known else ""
    return Repair(f"moves it to {ROWS_FILE} in removed-DATE{restored}", replace)


def _known_attributes(study: ExaminedStudy, trial: TrialRecord) -> dict[str, Any]:
    """The attributes of `trial` that the header of its weights has; none if it is not certain that they are its own."""
    try:
        header = WeightsHeader.read(trial_folder(study.folder, trial.number) / WEIGHTS)
    except (StudyError, OSError):
        return {}
    expected = {"id": header.architecture.id, "seed": header.outcome.seed}
    readable = {name: trial.user_attrs[name] for name in expected if not _is_damaged(trial, name)}
    if not readable or readable != {name: expected[name] for name in readable}:
        return {}
    costs = cost_values(header.architecture)
    return {**costs, **header.outcome.to_attributes(), **expected, "architecture": header.architecture.to_dict()}


def _is_damaged(trial: TrialRecord, name: str) -> bool:
    text = trial.user_attrs.texts.get(name)
    return text is None or bool(attribute_problem(name, text))
