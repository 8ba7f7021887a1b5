"""The results of a study, read once: a table of trials, the front, the best trial, hypervolume.

Everything comes from the study's Optuna storage (`nas/study/database/storage.py` lists the attributes); reading never writes. A
`Results` is a snapshot: load it again to see what happened since.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
from optuna.trial import TrialState

from nas import objectives
from nas.analysis.front import Bounds, Floats, hypervolume
from nas.analysis.notebook import results_html
from nas.analysis.trial_fields import STATES
from nas.analysis.trial_table import add_details, counted_trials, objective_values, summary_table
from nas.errors import UsageError
from nas.objectives import Objective
from nas.objectives.costs import COST_FIELDS
from nas.study.attribute_types import is_number_text
from nas.study.content import StudyContent, StudySnapshot
from nas.study.database.drivers import DriverRecord, drivers_of
from nas.study.database.storage_url import StorageUrl
from nas.study.lock import is_locked
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from nas.study.trials import AnyTrial, attribute_column, damage_of
from trainers.training.confusion import Confusion

if TYPE_CHECKING:
    Row: TypeAlias = pd.Series[Any]
else:
    Row = pd.Series  # `pd.Series[Any]` is known to the stubs only

_WHOLE_NUMBERS = frozenset({"trial", "seed", "retried_from", *COST_FIELDS})
"""Columns of counts and numbers; pandas makes floats of those that some trials lack."""

CONFUSION_SCORES = ("balanced_accuracy", "macro_f1")
"""Objectives that follow from a confusion matrix."""


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
        summary: `trials` without the columns that `nas.analysis.trial_table.add_details` adds, such as `curve`.
        config: the resolved configuration.
        dataset: the images it was searched on.
        space_size: how many architectures the space holds; None if the study does not say.
        environments: the versions and machines of its searches (`nas.study.environment`).
        test_confusion: trial number as text -> its confusion matrix on the test split, of the trials that were tested.
        end_reason: why the last search ended before it had its number of trials; empty if it had them, or did not end.
        records: the trials, by number.
        drivers: the drivers that announce themselves in the study, by their ids.
        read_s: when the study was read, in seconds since 1970 by the clock of its storage.
    """

    folder: Path
    name: str
    objectives: tuple[Objective, ...]
    summary: pd.DataFrame
    config: Mapping[str, Any]
    dataset: Mapping[str, Any]
    space_size: int | None
    environments: Sequence[Mapping[str, Any]] = ()
    test_confusion: Mapping[str, Confusion] = field(default_factory=dict)
    end_reason: str = ""
    records: Sequence[AnyTrial] = ()
    drivers: Mapping[str, DriverRecord] = field(default_factory=dict)
    read_s: float = 0.0

    @classmethod
    def of(cls, study: StudyContent) -> Results:
        """The `study` as it is now."""
        trials = study.trials
        return cls(
            folder=study.folder,
            name=study.name,
            objectives=study.objectives,
            summary=summary_table(trials, study.objectives, study.test_accuracy),
            config=study.config,
            dataset=study.dataset,
            space_size=study.space_size,
            environments=study.environments,
            test_confusion=study.test_confusion,
            end_reason=study.end_reason,
            records=trials,
            drivers=drivers_of(study.user_attrs),
            read_s=study.now_s,
        )

    @classmethod
    def load(cls, folder: Path, storage: StorageUrl | None = None) -> Results:
        """The study in `folder` as it is now.

        Args:
            folder: the folder of the study.
            storage: the URL of the database that the folder names, with a password; None: as the folder names it.

        Raises:
            UsageError: `folder` holds no study, or one that `nas search` did not write.
        """
        return cls.of(StudySnapshot.of(folder, storage))

    def _repr_html_(self) -> str:
        return results_html(self)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per trial in the order of numbers, indexed by number.

        Columns: `trial`, `state` (one of `STATES`), each objective under its name (of a trial that is not complete: the values
        that are known), `number_columns()`, `TEXTS`, `seed`, `architecture` (plain dict or None), `curve` (list of dicts),
        `started`, `finished`, `retried_from` (number of the failed trial that it repeats, or NaN), `feasible`, `inherited`,
        `predicted`, `predicted_values` and `segments` (plain, as `nas.study.database.storage` describes them; None and []
        without), `rungs` (epoch -> value of the primary objective) and `on_front`.
        """
        return add_details(self.summary, self.records)

    @cached_property
    def damaged(self) -> dict[int, str]:
        """The number of each trial with damaged attributes, which count as missing -> what is wrong, in words."""
        return damage_of(self.records)

    @cached_property
    def predicted_counts(self) -> dict[str, int]:
        """Measured objective -> number of complete trials of which it was predicted and not measured; without those with none."""
        complete = [trial for trial in self.records if trial.state == TrialState.COMPLETE]
        names = (name for plain in attribute_column(complete, PREDICTED_VALUES) for name in plain or ())
        return dict(Counter(names))

    @property
    def further_objectives(self) -> tuple[Objective, ...]:
        """The objectives that tables show although the study does not optimise them, such as the number of parameters."""
        names = {objective.name for objective in self.objectives}
        shown = (objective for objective in map(objectives.get, objectives.names()) if objective.always_shown)
        return tuple(objective for objective in shown if objective.name not in names)

    def test_value(self, trial: int, objective: str) -> float:
        """The value of a trained objective on the test split; NaN if the trial was not tested, or the value is not known."""
        if objective == "accuracy":
            return float(self.summary["test_accuracy"].loc[trial])
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
        return self.trials[counted_trials(self.summary)]

    @cached_property
    def front(self) -> pd.DataFrame:
        """The trials on the front, by the first cheap objective, or the first objective if none is cheap."""
        cheap = [objective.name for objective in self.objectives if objective.cheap]
        order = (cheap or [self.objectives[0].name])[0]
        return self._detailed(self.summary[self.summary["on_front"]].sort_values([order, "trial"]))

    @cached_property
    def best(self) -> Row | None:
        """The complete trial that is best in the primary objective, such as the highest accuracy; None if there is none.

        Ties: fewer MACs, then the earlier (`nas.objectives.primary_index`).
        """
        primary = self.primary
        ranked = self.summary[counted_trials(self.summary)].dropna(subset=[primary.name])
        if ranked.empty:
            return None
        ascending = [primary.direction == "minimize", True, True]
        by = [primary.name, "macs", "trial"] if primary.name != "macs" else [primary.name, "params", "trial"]
        return self._detailed(ranked.sort_values(by, ascending=ascending).head(1)).iloc[0]

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
        if not is_number_text(text) or int(text) not in self.summary.index:
            raise UsageError(f"trial {which}: {self.folder} has no such trial; {self._known_trials()}")
        return self._detailed(self.summary.loc[[int(text)]]).iloc[0]

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials are in each of `STATES`, those with none left out."""
        found = self.summary["state"].value_counts()
        return {state: int(found[state]) for state in STATES if state in found.index}

    @cached_property
    def is_searched(self) -> bool:
        """True if a search runs now; otherwise the trials that it left running are interrupted."""
        return is_locked(self.folder) or any(record.is_heard(self.read_s) for record in self.drivers.values())

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
        return objective_values(self.summary, [objective.name for objective in self.objectives])

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

    def _detailed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of `summary` with the columns of `trials`."""
        return add_details(table, self.records)

    def _record_keys(self) -> list[str]:
        names = [objective.name for objective in self.objectives]
        return ["trial", *dict.fromkeys((*names, *record_columns())), "id", "architecture"]

    def _record(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        record = {key: plain(key, row.get(key)) for key in self._record_keys()}
        predicted = row.get(PREDICTED_VALUES)  # only in a study that lost the trial which dominated this one
        return record | ({PREDICTED_VALUES: plain("", predicted)} if predicted else {})

    def _known_trials(self) -> str:
        count = len(self.summary)
        return f"there are the numbers 0 to {count - 1}, and `best`" if count else "it has none yet"


def outcome(row: Mapping[Any, Any] | Row) -> str:
    """The state of a trial in words, with the reason if it was refused or failed: "failed: out of memory"."""
    state, reason = str(row["state"]), row["refused"] or row["failure"]
    if not reason:
        return state
    return str(reason) if str(reason).startswith(state) else f"{state}: {reason}"


def plain(name: str, value: Any) -> Any:
    """A cell of column `name` as plain JSON: what is missing or not finite is None, what is counted an int."""
    if isinstance(value, dict):
        return {key: item if isinstance(item, str | int) else plain("", item) for key, item in value.items()}
    if isinstance(value, list):
        return [item if isinstance(item, str | int) else plain("", item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return round(number) if name in _WHOLE_NUMBERS else number
