"""What holds for a study that has ended, whatever was killed meanwhile. From its storage and its files alone.

Each invariant is a function that yields a `Violation` for everything that breaks it. `violations` runs them all:

    evidence = Evidence.of(folder)
    for violation in violations(evidence):
        print(violation)

What needs more than the folder is given to `Evidence.of`: the undisturbed trainings, the weights that a probe has seen, and the
processes that should have ended.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from evidence import Evidence
from optuna.trial import TrialState
from reference import comparable_curve, digest
from safetensors import SafetensorError

from nas.analysis.results import Results
from nas.driver.rungs.rung import Rung
from nas.objectives import primary_index
from nas.objectives.costs import cost_values
from nas.study.layout import DATABASE, RAY, WORKERS
from nas.study.lock import is_locked
from nas.study.segments import segments_of
from nas.study.trials import AnyTrial, outcome_name, seed_of
from trainers.training.checkpoint import load_metadata, load_weights

STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "refused": TrialState.PRUNED,
    "duplicate": TrialState.FAIL,
    "failed": TrialState.FAIL,
}
"""Outcome -> the state of such a trial in Optuna."""


@dataclass(frozen=True)
class Violation:
    """Something that breaks an invariant.

    Args:
        invariant: the name of the invariant.
        text: what was found.
        trial: the number of the trial; None: it concerns none, or several.
    """

    invariant: str
    text: str
    trial: int | None = None

    def __str__(self) -> str:
        return f"{self.invariant}: {'' if self.trial is None else f'trial {self.trial}: '}{self.text}"


Finding = tuple[AnyTrial | None, str]
Invariant = Callable[[Evidence], Iterator[Finding]]
INVARIANTS: dict[str, Invariant] = {}


def _invariant(function: Invariant) -> Invariant:
    INVARIANTS[function.__name__] = function
    return function


def violations(evidence: Evidence) -> list[Violation]:
    """Everything that breaks an invariant, in the order of `INVARIANTS`."""
    return [
        Violation(name, text, None if trial is None else trial.number)
        for name, check in INVARIANTS.items()
        for trial, text in check(evidence)
    ]


@_invariant
def database_is_whole(evidence: Evidence) -> Iterator[Finding]:
    """The database passes SQLite's own check, and its trials are numbered from 0 without gaps."""
    database = evidence.folder / DATABASE
    if database.exists():
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
        if answer != "ok":
            yield None, answer
    numbers = [trial.number for trial in evidence.trials]
    if numbers != list(range(len(numbers))):
        yield None, f"trials must be numbered 0 to {len(numbers) - 1}, found {numbers}"


@_invariant
def no_trial_is_lost(evidence: Evidence) -> Iterator[Finding]:
    """As many trials are trained as the study asks for, and none of them has failed: no fault was an architecture's."""
    if len(evidence.trained) != evidence.config.trials:
        yield None, f"{evidence.config.trials} trials must be trained, found {len(evidence.trained)}"
    for trial in evidence.trained:
        if outcome_name(trial) == "failed":
            yield trial, f"failed: {trial.user_attrs.get('failure')}"


@_invariant
def no_trial_is_open(evidence: Evidence) -> Iterator[Finding]:
    """No trial is left RUNNING, and each one has an outcome that agrees with its state."""
    for trial in evidence.trials:
        if trial.state == TrialState.RUNNING:
            yield trial, "is left RUNNING"
        outcome = outcome_name(trial)
        if outcome is not None and STATES[outcome] != trial.state:
            yield trial, f"its outcome is {outcome}, its state {trial.state.name}"


@_invariant
def no_architecture_is_trained_twice(evidence: Evidence) -> Iterator[Finding]:
    """An architecture is trained by one trial, trained to the end at most once, and its weights are written once."""
    first: dict[str, int] = {}
    for trial in evidence.trained:
        if "id" not in trial.user_attrs:
            continue  # removed from the database
        other = first.setdefault(trial.user_attrs["id"], trial.number)
        if other != trial.number:
            yield trial, f"trains the architecture of trial {other} again"
        ends = [segment for segment in segments_of(trial.user_attrs) if segment.outcome == "completed"]
        if sum(segment.train_s > 0 for segment in ends) > 1:
            yield trial, f"{len(ends)} segments have trained it to the end"
    for trial in evidence.trials:
        if evidence.weights_written.get(trial.number, 0) > 1:
            yield trial, f"its weights were written {evidence.weights_written[trial.number]} times"


@_invariant
def values_are_those_of_an_undisturbed_training(evidence: Evidence) -> Iterator[Finding]:
    """The curve of each trained trial, and its accuracy, equal those of an undisturbed training bit by bit."""
    for trial in evidence.trained:
        curve = trial.user_attrs.get("curve") or []
        epochs = evidence.epochs_of(trial)
        if epochs is None:
            continue
        if [epoch.get("epoch") for epoch in curve] != list(range(1, epochs + 1)):
            yield trial, f"its curve must have epochs 1 to {epochs}, found {[epoch.get('epoch') for epoch in curve]}"
            continue
        accuracies = {epoch["epoch"]: epoch.get("val_accuracy") for epoch in curve}
        stored = dict(trial.intermediate_values)
        if trial.state == TrialState.COMPLETE and trial.values:
            stored[epochs] = trial.values[primary_index(evidence.objectives)]
        for epoch, value in stored.items():
            if value != accuracies.get(epoch):
                yield trial, f"its accuracy after epoch {epoch} is {value}, in its curve {accuracies.get(epoch)}"
        if evidence.reference is None:
            continue
        expected = evidence.reference(evidence.architecture_of(trial)).curve[:epochs]
        if comparable_curve(curve) != [list(epoch) for epoch in expected]:
            yield trial, f"its curve differs from that of an undisturbed training: {_first_difference(curve, expected)}"


@_invariant
def costs_and_seeds_belong_to_the_architecture(evidence: Evidence) -> Iterator[Finding]:
    """The id, the seed and the exact costs of a trained trial are those of its architecture."""
    for trial in evidence.trained:
        if outcome_name(trial) == "failed":
            continue
        architecture = evidence.architecture_of(trial)
        seed = seed_of(evidence.config.seed, architecture.id)
        for name, value in {"id": architecture.id, "seed": seed, **cost_values(architecture)}.items():
            if trial.user_attrs.get(name) != value:
                yield trial, f"{name} must be {value}, found {trial.user_attrs.get(name)}"


@_invariant
def weights_belong_to_their_trial(evidence: Evidence) -> Iterator[Finding]:
    """Each complete trial has weights that can be read, with its architecture in the header, and with the right bits."""
    for trial in evidence.complete:
        file = evidence.folder_of(trial) / "model.safetensors"
        if load_metadata(file).get("architecture") != evidence.architecture_of(trial).to_json():
            yield trial, "its weights are missing, damaged, or those of another architecture"
            continue
        if evidence.reference is None:
            continue
        try:
            found = digest(load_weights(file))
        except SafetensorError as error:
            found = str(error)
        if found != evidence.reference(evidence.architecture_of(trial)).weights:
            yield trial, "its weights differ from those of an undisturbed training"


@_invariant
def front_is_that_of_the_values(evidence: Evidence) -> Iterator[Finding]:
    """The front that `nas front` shows is the one that a comparison of all pairs of stored values gives."""
    signs = [1.0 if objective.direction == "maximize" else -1.0 for objective in evidence.objectives]
    points = {
        trial.number: [sign * value for sign, value in zip(signs, trial.values or (), strict=True)]
        for trial in evidence.complete
        if trial.values and all(map(math.isfinite, trial.values))
    }
    expected = {
        number for number, point in points.items() if not any(_dominates(other, point) for other in points.values())
    }
    shown = {int(record["trial"]) for record in Results.load(evidence.folder).front_records()}
    if shown != expected:
        yield None, f"must be the trials {sorted(expected)}, found {sorted(shown)}"


@_invariant
def rungs_are_consistent(evidence: Evidence) -> Iterator[Finding]:
    """No trial skips a rung; of each rung the best share is promoted, and not more than the rules of halving allow."""
    halving = evidence.halving
    if halving is None:
        for trial in evidence.current:
            if trial.intermediate_values or outcome_name(trial) == "stopped":
                yield trial, "has paused, though the study has no rungs"
        return
    values: dict[int, dict[int, list[float]]] = defaultdict(dict)
    for trial in evidence.trained:
        reached = {*trial.intermediate_values, *(halving.rungs[-1:] if trial in evidence.complete else ())}
        if outcome_name(trial) == "failed":
            continue
        if not reached or tuple(sorted(reached)) != halving.rungs[: len(reached)]:
            yield trial, f"must reach the rungs {halving.rungs} one after the other, found {sorted(reached)}"
        for rung in reached:
            values[rung][trial.number] = evidence.values_at(trial, rung)
    for rung, following in zip(halving.rungs, halving.rungs[1:], strict=False):
        share = len(values[rung]) / halving.reduction
        promoted = values[following].keys()
        ranked = Rung(evidence.objectives)
        for number, values_there in values[rung].items():
            ranked.set(number, values_there)
        missed = ranked.best(math.ceil(share), values[rung].keys() - promoted)
        if missed is not None:
            yield None, f"rung {rung}: trial {missed} is among the best {math.ceil(share)} and was not promoted"
        most = math.floor(share) + math.ceil(share)  # a share of those that came first, and the best of all at the end
        if len(promoted) > most:
            yield (
                None,
                f"rung {rung}: at most {most} of {len(values[rung])} trials may be promoted, found {len(promoted)}",
            )


@_invariant
def segments_are_closed(evidence: Evidence) -> Iterator[Finding]:
    """No segment of a trial that has ended is shown as running, and a complete trial ends with a completed segment."""
    for trial in evidence.trained:
        segments = segments_of(trial.user_attrs)
        if any(segment.outcome is None for segment in segments):
            yield trial, "has a segment without an outcome"
        ends = Counter(segment.outcome for segment in segments)
        if trial in evidence.complete and (not segments or segments[-1].outcome != "completed"):
            yield trial, f"is complete, its segments are {dict(ends)}"


@_invariant
def no_file_is_left_behind(evidence: Evidence) -> Iterator[Finding]:
    """The folder has no temporary file, checkpoint, traceback or folder of a running search, and nobody holds its lock."""
    folder = evidence.folder
    left = [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".new", "checkpoint.pt"))]
    failed = {evidence.folder_of(trial) for trial in evidence.trials if outcome_name(trial) == "failed"}
    left += [path for path in folder.rglob("error.txt") if path.parent not in failed]
    left += [folder / name for name in (RAY, WORKERS) if (folder / name).exists()]
    for path in left:
        if path.parent not in failed:  # the checkpoint of a failed trial serves a retry
            yield None, f"{path.relative_to(folder)} is left behind"
    if is_locked(folder):
        yield None, "the folder is still locked"


@_invariant
def nothing_is_left_running(evidence: Evidence) -> Iterator[Finding]:
    """No process, socket or temporary folder of the search is left on the machine."""
    for text in evidence.leftovers:
        yield None, text


def _dominates(other: Sequence[float], point: Sequence[float]) -> bool:
    pairs = list(zip(other, point, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _first_difference(curve: Sequence[Mapping[str, Any]], expected: Sequence[Sequence[float]]) -> str:
    for found, wanted in zip(comparable_curve(curve), expected, strict=False):
        if found != list(wanted):
            return f"{found} instead of {list(wanted)}"
    return f"{len(curve)} epochs instead of {len(expected)}"
