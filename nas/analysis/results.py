"""The results of a study, read once: a table of trials, the front, the best trial, hypervolume.

Everything comes from the study's Optuna storage (`nas/study/storage.py` lists the attributes); reading never writes. A
`Results` is a snapshot: load it again to see what happened since.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from nas import objectives
from nas.analysis.front import Bounds, Floats, front_mask, hypervolume
from nas.analysis.notebook import results_html
from nas.errors import UsageError
from nas.objectives import Objective
from nas.objectives.costs import COST_FIELDS
from nas.sampler.prediction import PREDICTED
from nas.study.lock import is_locked
from nas.study.segments import SEGMENTS
from nas.study.stored import StoredStudy
from nas.study.trials import RETRIED_FROM, outcome_name
from trainers.training.confusion import Confusion

if TYPE_CHECKING:
    Row: TypeAlias = pd.Series[Any]
else:
    Row = pd.Series  # `pd.Series[Any]` is known to the stubs only

STATES = ("complete", "running", "waiting", "stopped", "refused", "duplicate", "failed")
TIMES = ("train_s", "overhead_s", "idle_s", "wall_s")
TEXTS = ("id", "device", "failure", "refused")
"""User attributes that are columns of text; None if missing."""

CONFUSION_SCORES = ("balanced_accuracy", "macro_f1")
"""Objectives that follow from a confusion matrix."""

_UNFINISHED = {TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}


def number_columns() -> tuple[str, ...]:
    """The user attributes that are columns of numbers (NaN if missing): costs, measured and trained values, times."""
    values = (*objectives.names("cost"), *objectives.names("measured"), *objectives.names("trained"))
    return tuple(dict.fromkeys((*COST_FIELDS, *values, *TIMES, "test_accuracy")))


def record_columns() -> tuple[str, ...]:
    """The numbers that a record of the front has whatever the study optimises."""
    shown = [name for name in objectives.names() if objectives.get(name).always_shown]
    return (*shown, "fft_flops", "test_accuracy", "wall_s")


@dataclass(frozen=True)
class Results:
    """The results of a study at one moment.

    Args:
        folder: where it lives.
        name: its name.
        objectives: in the order of the trials' values.
        trials: a row per trial in the order of numbers, indexed by number. Columns: `trial`, `state` (one of `STATES`),
            each objective under its name (of a trial that is not complete: the values that are known), `number_columns()`,
            `TEXTS`, `seed`, `architecture` (plain dict or None), `curve` (list of dicts), `started`, `finished`,
            `retried_from` (number of the failed trial that it repeats, or NaN), `predicted` and `segments` (plain, as
            `nas.study.storage` describes them; None and [] without), `rungs` (epoch -> value of the primary objective),
            `feasible` and `on_front`.
        config: the resolved configuration.
        dataset: the images it was searched on.
        space_size: how many architectures the space holds; None if the study does not say.
        environments: the versions and machines of its searches (`nas.study.environment`).
        test_confusion: trial number as text -> its confusion matrix on the test split, of the trials that were tested.
        end_reason: why the last search ended before it had its number of trials; empty if it had them, or did not end.
    """

    folder: Path
    name: str
    objectives: tuple[Objective, ...]
    trials: pd.DataFrame
    config: Mapping[str, Any]
    dataset: Mapping[str, Any]
    space_size: int | None
    environments: Sequence[Mapping[str, Any]] = ()
    test_confusion: Mapping[str, Confusion] = field(default_factory=dict)
    end_reason: str = ""

    @classmethod
    def of(cls, study: StoredStudy) -> Results:
        """The `study` as it is now."""
        tested = study.test_accuracy
        rows = [_row(trial, study.objectives, tested) for trial in study.trials]
        return cls(
            folder=study.folder,
            name=study.name,
            objectives=study.objectives,
            trials=_table(rows, study.objectives),
            config=study.config,
            dataset=study.dataset,
            space_size=study.space_size,
            environments=study.environments,
            test_confusion=study.test_confusion,
            end_reason=study.end_reason,
        )

    @classmethod
    def load(cls, folder: Path) -> Results:
        """The study in `folder` as it is now.

        Raises:
            UsageError: `folder` holds no study, or one that `nas search` did not write.
        """
        return cls.of(StoredStudy.read(folder))

    def _repr_html_(self) -> str:
        return results_html(self)

    @property
    def further_objectives(self) -> tuple[Objective, ...]:
        """The objectives that tables show although the study does not optimise them, such as the number of parameters."""
        names = {objective.name for objective in self.objectives}
        shown = (objective for objective in map(objectives.get, objectives.names()) if objective.always_shown)
        return tuple(objective for objective in shown if objective.name not in names)

    def test_value(self, trial: int, objective: str) -> float:
        """The value of a trained objective on the test split; NaN if the trial was not tested, or the value is not known."""
        if objective == "accuracy":
            return float(self.trials["test_accuracy"].loc[trial])
        confusion = self.test_confusion.get(str(trial))
        if confusion is None or objective not in CONFUSION_SCORES:
            return math.nan
        return float(getattr(confusion, objective))

    @property
    def primary(self) -> Objective:
        """The objective that networks are trained for."""
        return self.objectives[objectives.primary_index(self.objectives)]

    @cached_property
    def complete(self) -> pd.DataFrame:
        """The trials that count: complete, and within the study's limits."""
        return self.trials[_counted(self.trials)]

    @cached_property
    def front(self) -> pd.DataFrame:
        """The trials on the front, by the first cheap objective, or the first objective if none is cheap."""
        cheap = [objective.name for objective in self.objectives if objective.cheap]
        order = (cheap or [self.objectives[0].name])[0]
        return self.trials[self.trials["on_front"]].sort_values([order, "trial"])

    @cached_property
    def best(self) -> Row | None:
        """The complete trial that is best in the primary objective, such as the highest accuracy; None if there is none.

        Ties: fewer MACs, then the earlier (`nas.objectives.primary_index`).
        """
        primary = self.primary
        ranked = self.complete.dropna(subset=[primary.name])
        if ranked.empty:
            return None
        ascending = [primary.direction == "minimize", True, True]
        by = [primary.name, "macs", "trial"] if primary.name != "macs" else [primary.name, "params", "trial"]
        return ranked.sort_values(by, ascending=ascending).iloc[0]

    def trial(self, which: int | str) -> Row:
        """A trial by its number, or the "best" one, whatever its state.

        Raises:
            UsageError: there is no such trial; names those that exist.
        """
        if which == "best":
            if self.best is None:
                raise UsageError(f"trial best: no trial of {self.folder} is complete yet; {self._known_trials()}")
            return self.best
        text = str(which).strip()
        if not text.isdecimal() or int(text) not in self.trials.index:
            raise UsageError(f"trial {which}: {self.folder} has no such trial; {self._known_trials()}")
        return self.trials.iloc[int(text)]  # numbers run from 0 without gaps

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials are in each of `STATES`, those with none left out."""
        found = self.trials["state"].value_counts()
        return {state: int(found[state]) for state in STATES if state in found.index}

    @cached_property
    def is_searched(self) -> bool:
        """True if a search runs in the folder now; otherwise the trials that it left running are interrupted."""
        return is_locked(self.folder)

    @property
    def state_counts(self) -> dict[str, int]:
        """`counts` for people: trials that run while no search does are interrupted. The next search continues them."""
        return {self._state_word(state): number for state, number in self.counts.items()}

    def state_text(self, row: Mapping[Any, Any] | Row) -> str:
        """`outcome` for people: a trial that runs while no search does is interrupted."""
        return self._state_word(outcome(row))

    def _state_word(self, state: str) -> str:
        return "interrupted" if state == "running" and not self.is_searched else state

    @cached_property
    def values(self) -> Floats:
        """`(n, m)`: the objectives of every trial in order; NaN throughout for a trial that does not count."""
        return _values(self.trials, [objective.name for objective in self.objectives])

    @cached_property
    def bounds(self) -> Bounds:
        """The worst and best of each objective seen so far."""
        return Bounds.of(self.values, self.objectives)

    @cached_property
    def hypervolume(self) -> float:
        """The share of the normalised box that the front dominates (`nas.analysis.front`)."""
        return hypervolume(self.values, self.objectives, self.bounds)

    def front_records(self) -> list[dict[str, Any]]:
        """The front as plain JSON, in the order of `front`: what `nas front --json` prints."""
        return [self._record(row) for row in self.front.to_dict("records")]

    def to_csv(self) -> str:
        """The front as CSV: the keys of `front_records`, the architecture as compact JSON."""
        keys = self._record_keys()
        table = pd.DataFrame(self.front_records(), columns=keys)
        table["architecture"] = [json.dumps(item, separators=(",", ":")) for item in table["architecture"]]
        return table.to_csv(index=False, lineterminator="\n")

    def _record_keys(self) -> list[str]:
        names = [objective.name for objective in self.objectives]
        return ["trial", *dict.fromkeys((*names, *record_columns())), "id", "architecture"]

    def _record(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return {key: plain(key, row.get(key)) for key in self._record_keys()}

    def _known_trials(self) -> str:
        count = len(self.trials)
        return f"there are the numbers 0 to {count - 1}, and `best`" if count else "it has none yet"


def outcome(row: Mapping[Any, Any] | Row) -> str:
    """The state of a trial in words, with the reason if it was refused or failed: "failed: out of memory"."""
    state, reason = str(row["state"]), row["refused"] or row["failure"]
    if not reason:
        return state
    return str(reason) if str(reason).startswith(state) else f"{state}: {reason}"


def plain(name: str, value: Any) -> Any:
    """A cell of column `name` as plain JSON: what is missing is None, what is counted an int."""
    if value is None or isinstance(value, (str, bool, dict, list)):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return round(number) if name in ("trial", *COST_FIELDS) else number


def _row(trial: FrozenTrial, chosen: Sequence[Objective], tested: Mapping[str, float]) -> dict[str, Any]:
    attributes = trial.user_attrs
    row: dict[str, Any] = {name: attributes.get(name) for name in (*number_columns(), *TEXTS, "seed", "architecture")}
    values = trial.values or [attributes.get(objective.name) for objective in chosen]
    row |= {objective.name: value for objective, value in zip(chosen, values, strict=True)}
    if trial.state == TrialState.COMPLETE and row["accuracy"] is None:  # it is no objective of the study
        row["accuracy"] = next((entry.get("val_accuracy") for entry in (attributes.get("curve") or [])[-1:]), None)
    return row | {
        "trial": trial.number,
        "state": state_of(trial),
        "curve": attributes.get("curve") or [],
        "test_accuracy": tested.get(str(trial.number)),
        "started": trial.datetime_start,
        "finished": trial.datetime_complete,
        "retried_from": attributes.get(RETRIED_FROM),
        "predicted": attributes.get(PREDICTED),
        "segments": attributes.get(SEGMENTS) or [],
        "rungs": dict(trial.intermediate_values),
        "feasible": all(value <= 0 for value in trial.constraints.values()),
    }


def state_of(trial: FrozenTrial) -> str:
    """The state of `trial`, one of `STATES`."""
    outcome = outcome_name(trial)
    if outcome is None:
        return _UNFINISHED[trial.state]
    return "complete" if outcome == "completed" else outcome


def _table(rows: list[dict[str, Any]], chosen: Sequence[Objective]) -> pd.DataFrame:
    names = [objective.name for objective in chosen]
    rest = ("seed", "architecture", "curve", "started", "finished", "retried_from", "feasible")
    rest = (*rest, "predicted", "segments", "rungs")
    numbers = list(dict.fromkeys((*names, *number_columns())))
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(["trial", "state", *numbers, *TEXTS, *rest])))
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    table["trial"] = table["trial"].astype(np.int64)
    table["retried_from"] = pd.to_numeric(table["retried_from"]).astype(np.float64)
    table["feasible"] = table["feasible"].astype(bool)
    for name in ("started", "finished"):
        table[name] = pd.to_datetime(table[name])
    for name in (*TEXTS, "seed", "architecture", "curve", "state", "predicted"):
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    table.index = pd.Index(table["trial"].to_numpy())
    table["on_front"] = front_mask(_values(table, names), [objective.direction for objective in chosen])
    return table


def _counted(table: pd.DataFrame) -> pd.Series[bool]:
    """Which trials are complete and within the study's limits."""
    return (table["state"] == "complete") & table["feasible"]


def _values(table: pd.DataFrame, names: Sequence[str]) -> Floats:
    """`(n, m)`: the objectives; NaN throughout for a trial that does not count."""
    values = table[list(names)].to_numpy(dtype=np.float64, copy=True)
    values[~_counted(table).to_numpy()] = np.nan
    return values
