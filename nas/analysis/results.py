"""A study as it stands, read once: a table of trials, the front, the best, the numbers that sum it up.

Everything comes from the study's Optuna storage (`nas/study/storage.py` names the attributes); reading never writes. A
`Results` is a snapshot: `load` again to see what happened since.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from nas.analysis.front import Bounds, Floats, front_mask, hypervolume
from nas.errors import UsageError
from nas.objectives import OBJECTIVES, Objective
from nas.study.storage import open_study
from nas.study.trials import is_duplicate, is_trained

STATES = ("complete", "running", "waiting", "stopped", "refused", "duplicate", "failed")
NUMBERS = (
    *("macs", "fft_flops", "params", "activation_bytes", "images_per_s", "latency_ms", "peak_memory_bytes"),
    *("train_s", "overhead_s", "idle_s", "wall_s", "test_accuracy"),
)
TEXTS = ("id", "device", "failure", "refused")
"""User attributes that are columns as they are: numbers (NaN if missing) and texts (None if missing)."""

_PLAIN_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "stopped",
}
_COUNTED = frozenset({"trial", "macs", "fft_flops", "params", "activation_bytes"})
_RECORD_NUMBERS = ("accuracy", "macs", "params", "images_per_s", "fft_flops", "test_accuracy", "wall_s")


@dataclass(frozen=True)
class Results:
    """A study at one moment.

    Args:
        folder: where it lives.
        name: its name.
        objectives: in the order of the trials' values.
        trials: a row per trial in the order of numbers, indexed by number. Columns: `trial`, `state` (one of `STATES`),
            each objective under its name (for a trial that is not complete: what is known of it beforehand),
            `NUMBERS`, `TEXTS`, `seed`, `architecture` (plain dict or None), `curve` (list of dicts), `started`,
            `finished`, `feasible` and `on_front`.
        config: the resolved configuration.
        dataset: what it was searched on.
        space_size: how many architectures the space holds; None if the study does not say.
    """

    folder: Path
    name: str
    objectives: tuple[Objective, ...]
    trials: pd.DataFrame
    config: Mapping[str, Any]
    dataset: Mapping[str, Any]
    space_size: int | None

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
    def best(self) -> pd.Series[Any] | None:
        """The complete trial of the highest accuracy (ties: fewer MACs, then the earlier); None if there is none.

        A study that does not optimise accuracy has its first objective in that place.
        """
        names = [objective.name for objective in self.objectives]
        chief = self.objectives[names.index("accuracy") if "accuracy" in names else 0]
        ranked = self.complete.dropna(subset=[chief.name])
        if ranked.empty:
            return None
        ascending = [chief.direction == "minimize", True, True]
        by = [chief.name, "macs", "trial"] if chief.name != "macs" else [chief.name, "params", "trial"]
        return ranked.sort_values(by, ascending=ascending).iloc[0]

    def trial(self, which: int | str) -> pd.Series[Any]:
        """A trial by its number, or the "best" one, whatever its state.

        Raises:
            UsageError: there is no such trial; names those that exist.
        """
        if which == "best":
            if self.best is None:
                raise UsageError(f"trial best: no trial of {self.folder} is complete yet; {self._which_exist()}")
            return self.best
        text = str(which).strip()
        if not text.isdecimal() or int(text) not in self.trials.index:
            raise UsageError(f"trial {which}: {self.folder} has no such trial; {self._which_exist()}")
        return self.trials.iloc[int(text)]  # numbers run from 0 without gaps

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials are in each of `STATES`, those with none left out."""
        found = self.trials["state"].value_counts()
        return {state: int(found[state]) for state in STATES if state in found.index}

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
        return ["trial", *dict.fromkeys((*names, *_RECORD_NUMBERS)), "id", "architecture"]

    def _record(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        return {key: plain(key, row.get(key)) for key in self._record_keys()}

    def _which_exist(self) -> str:
        count = len(self.trials)
        return f"there are the numbers 0 to {count - 1}, and `best`" if count else "it has none yet"


def load(folder: Path) -> Results:
    """The study in `folder` as it stands.

    Raises:
        UsageError: `folder` holds no study, or one that `nas search` did not write.
    """
    return of_study(open_study(folder), folder)


def of_study(study: optuna.Study, folder: Path) -> Results:
    """The open `study` that lives in `folder`: for a process that holds it, since Optuna reads a trial that ended once."""
    attributes = study.user_attrs
    objectives = _objectives(attributes.get("objectives"), len(study.directions), folder)
    tested = attributes.get("test_accuracy") or {}
    rows = [_row(trial, objectives, tested) for trial in study.get_trials(deepcopy=False)]
    return Results(
        folder=folder,
        name=study.study_name,
        objectives=objectives,
        trials=_table(rows, objectives),
        config=attributes.get("config") or {},
        dataset=attributes.get("dataset") or {},
        space_size=int(size) if str(size := attributes.get("space_size", "")).isdecimal() else None,
    )


def outcome(row: Mapping[Any, Any] | pd.Series[Any]) -> str:
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
    return round(number) if name in _COUNTED else number


def _objectives(attribute: Any, count: int, folder: Path) -> tuple[Objective, ...]:
    if not isinstance(attribute, list) or len(attribute) != count:
        law = f"the attribute `objectives` of its study must list its {count} objectives"
        raise UsageError(f"{folder}: {law}, found {attribute!r}; did `nas search` write it?")
    return tuple(_objective(item) for item in attribute)


def _objective(item: Mapping[str, Any]) -> Objective:
    """As stored; what an attribute leaves out comes from the objective registered under that name."""
    name = item["name"]
    default: dict[str, Any] = {"label": name, "unit": "", "cheap": False, "log": False}
    if name in OBJECTIVES:
        default = OBJECTIVES[name].to_dict()
    keys = ("name", "label", "unit", "direction", "cheap", "log")
    return Objective(**{key: item.get(key, default.get(key)) for key in keys})


def _row(trial: FrozenTrial, objectives: Sequence[Objective], tested: Mapping[str, float]) -> dict[str, Any]:
    attributes = trial.user_attrs
    row: dict[str, Any] = {name: attributes.get(name) for name in (*NUMBERS, *TEXTS, "seed", "architecture")}
    values = trial.values or [attributes.get(objective.name) for objective in objectives]
    row |= {objective.name: value for objective, value in zip(objectives, values, strict=True)}
    return row | {
        "trial": trial.number,
        "state": _state(trial),
        "curve": attributes.get("curve") or [],
        "test_accuracy": tested.get(str(trial.number)),
        "started": trial.datetime_start,
        "finished": trial.datetime_complete,
        "feasible": all(value <= 0 for value in trial.constraints.values()),
    }


def _state(trial: FrozenTrial) -> str:
    """Optuna's state, with what was refused before training told apart from what failed or was stopped within it."""
    if is_trained(trial) or not trial.state.is_finished():
        return _PLAIN_STATES[trial.state]
    return "duplicate" if is_duplicate(trial) else "refused"


def _table(rows: list[dict[str, Any]], objectives: Sequence[Objective]) -> pd.DataFrame:
    names = [objective.name for objective in objectives]
    rest = ("seed", "architecture", "curve", "started", "finished", "feasible")
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(["trial", "state", *names, *NUMBERS, *TEXTS, *rest])))
    numbers = list(dict.fromkeys((*names, *NUMBERS)))
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    table["trial"] = table["trial"].astype(np.int64)
    table["feasible"] = table["feasible"].astype(bool)
    for name in ("started", "finished"):
        table[name] = pd.to_datetime(table[name])
    for name in (*TEXTS, "seed", "architecture", "curve", "state"):
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    table.index = pd.Index(table["trial"].to_numpy())
    table["on_front"] = front_mask(_values(table, names), [objective.direction for objective in objectives])
    return table


def _counted(table: pd.DataFrame) -> pd.Series[bool]:
    """Which trials are complete and within the study's limits."""
    return (table["state"] == "complete") & table["feasible"]


def _values(table: pd.DataFrame, names: Sequence[str]) -> Floats:
    """`(n, m)`: the objectives; NaN throughout for a trial that does not count."""
    values = table[list(names)].to_numpy(dtype=np.float64, copy=True)
    values[~_counted(table).to_numpy()] = np.nan
    return values
