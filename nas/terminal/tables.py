"""A study and its trials in the terminal: the front as a table, the status, one trial.

These functions return renderables of rich for any width, readable without colour, and print nothing. Times of a trial:
`wall_s` from its start to its end, `train_s` in training steps, `overhead_s` in neither training nor validation, `idle_s`
while its worker waited for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nas.analysis.architecture_text import mixer_names
from nas.analysis.class_recalls import class_record
from nas.analysis.drivers import driver_rows, driver_statuses, lease_statuses
from nas.analysis.failures import failure_summary, group_failures
from nas.analysis.prediction_quality import compare_predictions, missing_note
from nas.analysis.prediction_text import prediction_note
from nas.analysis.results import Results, plain
from nas.analysis.time_breakdown import TimeBreakdown, break_down_time
from nas.formatting import MISSING, count, duration, printable, ratio, shell_path, si, value_text
from nas.objectives import OBJECTIVES
from nas.study.outcomes.inheritance import INHERITED, Inheritance
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from nas.terminal.drawing import architecture_drawing
from nas.terminal.fitting_table import FittingTable

_BARS = "▁▂▃▄▅▆▇█"
_MAX_RECALLS = 8  # classes of a trial that are listed


def front_table(results: Results, title: str = "Front") -> Table:
    """The front, a row per trial, in the order of `Results.front`; the best trial is bold.

    The column `test` has the primary objective on the test split. A predicted value, which only a damaged study has on its
    front, has a mark.
    """
    table = FittingTable(
        box=box.SIMPLE_HEAD,
        title=Text(f"{title} of {printable(results.name)}", "table.title"),
        title_justify="left",
        caption=None if (measured := _measured_text(results)) is None else f"measured: {measured}",
        caption_justify="left",
        pad_edge=False,
    )
    for head in ("trial", *(objective.name for objective in results.objectives)):
        table.add_column(head, justify="right", no_wrap=True)
    costs = [objective.name for objective in results.further_objectives if objective.cheap]
    primary = results.primary.name
    test_values = [results.test_value(trial, primary) for trial in results.front["trial"]]
    tested = not all(map(math.isnan, test_values))
    for head in (*costs, *(["test"] if tested else [])):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("mixers", overflow="fold")
    best = results.best
    for row, test_value in zip(results.front.to_dict("records"), test_values, strict=True):
        marks = dict.fromkeys(row[PREDICTED_VALUES] or (), " (predicted)")
        values = (value_text(o, row[o.name], unit=False) + marks.get(o.name, "") for o in results.objectives)
        cells = [str(row["trial"]), *values]
        cells += [si(row[name]) for name in costs] + ([ratio(test_value)] if tested else [])
        is_best = best is not None and row["trial"] == best["trial"]
        table.add_row(*cells, Text(" → ".join(mixer_names(row["architecture"]))), style="bold" if is_best else None)
    return table


def _measured_text(results: Results) -> str | None:
    """Of how many trials values were measured, if some were predicted; None if all were measured."""
    complete = results.counts.get("complete", 0)
    texts = []
    for name, number in results.predicted_counts.items():
        label = OBJECTIVES[name].label if name in OBJECTIVES else printable(name)
        texts.append(f"{label} of {complete - number} of {count(complete, 'trial')}")
    return f"{', '.join(texts)}; predicted of those far from the front" if texts else None


def status_record(results: Results) -> dict[str, Any]:
    """The state of a study as plain JSON, as `nas status --json` prints it.

    Keys: `name`, `folder`, `trials` ({state: count}), `objectives`, `best_trial`, `best_accuracy`, `front_size`,
    `hypervolume`, `elapsed_s` (first start to last end), `train_s` and `wall_s` (sums over trials), `wall_s_per_trial`,
    `training_share` and `validation_share` (of the workers' time, which is wall_s and idle_s), `overhead_s_per_trial`
    (neither training nor validation), `prediction_quality` ({objective: {trials, kendall_tau, median_error}}). A value that
    is not known yet is None. `end_reason` says why the search ended before it had its number of trials; `failures` lists
    the failed trials that no other repeats ([{reason, count, trials}]), `interrupted` is the number of running trials while no
    search runs in the folder, `environments` the versions and machines of its searches (`nas.study.environment`). `drivers` are
    those that announce themselves, `leases` the trials that run, with their drivers (`nas.analysis.drivers`). `foretold` is an
    alias of `prediction_quality`, its name in version 0.1, for one release. Where attributes of trials are damaged, so
    that they count as missing, `damaged` lists them ([{trial, problem}]); where values were predicted and not measured,
    `predicted_trials` counts them ({objective: trials}).
    """
    trials = results.summary
    times = break_down_time(results)
    best = results.best
    quality = {entry.objective: entry.to_dict() for entry in compare_predictions(results)}
    return {
        "name": results.name,
        "folder": str(results.folder),
        "trials": dict(results.counts),
        "objectives": _names(results),
        "best_trial": None if best is None else int(best["trial"]),
        "best_accuracy": None if best is None else plain("accuracy", best.get("accuracy")),
        "front_size": len(results.front),
        "hypervolume": results.hypervolume,
        "elapsed_s": _elapsed_s(trials),
        "train_s": times.train_s,
        "wall_s": float(trials["wall_s"].sum()),
        "wall_s_per_trial": (times.worker_s - times.idle_s) / times.trials if times.trials else None,
        "training_share": times.training_share,
        "validation_share": times.validation_share,
        "overhead_s_per_trial": times.overhead_s_per_trial,
        "foretold": quality,
        "prediction_quality": quality,
        "failures": [group.to_dict() for group in group_failures(results)],
        "interrupted": results.state_counts.get("interrupted", 0),
        "end_reason": results.end_reason or None,
        "environments": [dict(environment) for environment in results.environments],
        "drivers": [status.to_dict() for status in driver_statuses(results)],
        "leases": [status.to_dict() for status in lease_statuses(results)],
        **({"predicted_trials": results.predicted_counts} if results.predicted_counts else {}),
        **({"damaged": _damage_records(results)} if results.damaged else {}),
    }


def _damage_records(results: Results) -> list[dict[str, Any]]:
    return [{"trial": number, "problem": problem} for number, problem in results.damaged.items()]


def trial_record(results: Results, trial: pd.Series[Any]) -> dict[str, Any]:
    """A trial as plain JSON, as `nas show --json` prints it: every column of `Results.trials`; what is missing is None.

    `reason` says why it was refused or failed; `started` and `finished` are local times in ISO 8601.
    """
    row: dict[str, Any] = dict(trial)
    record = {name: plain(name, row[name]) for name in row if name not in ("started", "finished", "refused", "failure")}
    record |= {name: bool(row[name]) for name in ("feasible", "on_front")}
    record |= {name: None if pd.isna(row[name]) else row[name].isoformat() for name in ("started", "finished")}
    return record | {
        "state": results.state_text({**row, "refused": None, "failure": None}),
        "reason": row["refused"] or row["failure"],
        **({"damage": damage} if (damage := results.damaged.get(int(row["trial"]))) else {}),
    }


def status_panel(results: Results) -> Panel:
    """The state of a study in a box: trials by state, best trial, front, hypervolume, times, prediction quality."""
    record, times = status_record(results), break_down_time(results)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    states = ", ".join(f"{number} {state}" for state, number in results.state_counts.items())
    grid.add_row("trials", states or "none yet")
    if (failures := failure_summary(results)) is not None:
        grid.add_row("failed", Text(failures))
    if results.end_reason:
        grid.add_row("ended", Text(results.end_reason))
    for label, text in driver_rows(results):
        grid.add_row(label, Text(text))
    if results.damaged:
        grid.add_row("damaged", Text(_damage_text(results)))
    best = "no complete trial yet"
    if record["best_trial"] is not None:
        best = ", ".join(_values(results, results.trial(record["best_trial"]))) + f"  (trial {record['best_trial']})"
    grid.add_row("best", best)
    grid.add_row("front", f"{count(record['front_size'], 'trial')}, hypervolume {ratio(record['hypervolume'])}")
    grid.add_row("time", f"{duration(record['elapsed_s'])} from first start to last end")
    if record["wall_s_per_trial"] is not None:
        grid.add_row("a trial", duration(record["wall_s_per_trial"]))
    if times.worker_s > 0:
        grid.add_row("workers", _shares_text(times))
    if (measured := _measured_text(results)) is not None:
        grid.add_row("measured", measured)
    for label, text in _prediction_rows(results, record["prediction_quality"]):
        grid.add_row(label, Text(text))
    return Panel(
        grid, title=Text(printable(results.name)), title_align="left", box=box.ROUNDED, expand=False, padding=(0, 1)
    )


def _damage_text(results: Results) -> str:
    """How many trials have damaged attributes, and what is wrong with the first."""
    number, problem = next(iter(results.damaged.items()))
    command = f"`nas doctor {shell_path(results.folder)}` says more"
    return printable(f"{count(len(results.damaged), 'trial')} in part; trial {number}: {problem}; {command}")


def _shares_text(times: TimeBreakdown) -> str:
    """What the workers' time was spent on, in shares that add up to all of it."""
    seconds = {
        "training": times.train_s,
        "validation": times.validation_s,
        "overhead": times.overhead_s,
        "idle": times.idle_s,
    }
    return ", ".join(f"{100 * spent / times.worker_s:.1f} % {noun}" for noun, spent in seconds.items())


def _prediction_rows(results: Results, quality: dict[str, Any]) -> list[tuple[str, str]]:
    """A row for each predicted objective, or why there is none."""
    rows = []
    for name, values in quality.items():
        tau = MISSING if values["kendall_tau"] is None else f"{values['kendall_tau']:.2f}"
        error = f"median error {100 * values['median_error']:.0f} %"
        trials = count(values["trials"], "trial")
        rows.append(("prediction", f"{OBJECTIVES[name].label} of {trials}: Kendall tau {tau}, {error}"))
    note = missing_note(results)
    return rows + ([("prediction", note)] if note else [])


def trial_panel(results: Results, trial: pd.Series[Any]) -> RenderableType:
    """A trial of any state: its values and costs, the reason if it was refused or failed, its curve, its architecture."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("state", Text(results.state_text(trial) + (", on the front" if trial["on_front"] else "")))
    for objective in results.objectives:
        with_unit = objective.unit != objective.label  # "MACs  6.59 M", not "MACs  6.59 M MACs"
        text = value_text(objective, trial[objective.name], unit=with_unit)
        grid.add_row(objective.label, text + prediction_note(objective, dict(trial)))
    for objective in results.further_objectives:
        if not math.isnan(trial[objective.name]):
            grid.add_row(objective.unit_label, value_text(objective, trial[objective.name], unit=False))
    if "activation_bytes" not in _names(results) and not math.isnan(trial["activation_bytes"]):
        grid.add_row("activations", f"{si(trial['activation_bytes'], 'bytes')} an image in training")
    if trial["device"]:
        grid.add_row("measured on", Text(printable(str(trial["device"]))))
    for name in dict.fromkeys(("accuracy", results.primary.name)):
        if not math.isnan(value := results.test_value(int(trial["trial"]), name)):
            grid.add_row(f"test {name.replace('_', ' ')}", ratio(value))
    if (record := class_record(results, int(trial["trial"]))) is not None:
        grid.add_row("test recall", Text(_recall_text(record)))
    if (inherited := Inheritance.from_attributes({INHERITED: trial.get(INHERITED)})) is not None:
        grid.add_row("inherited", inherited.text)
    if (damage := results.damaged.get(int(trial["trial"]))) is not None:
        grid.add_row("damaged", Text(printable(damage)))
    if not math.isnan(trial["wall_s"]):
        grid.add_row("time", f"{duration(trial['wall_s'])}, {duration(trial['train_s'])} of it training")
    curve = [entry["val_accuracy"] for entry in trial["curve"] if entry.get("val_accuracy") is not None]
    if curve:
        epochs = count(len(trial["curve"]), "epoch")
        grid.add_row("curve", f"{sparkline(curve)}  {ratio(curve[0])} to {ratio(curve[-1])} in {epochs}")
    if trial["id"]:
        grid.add_row("id", Text(str(trial["id"])))
    panel = Panel(
        grid, title=Text(f"trial {trial['trial']} of {printable(results.name)}"), title_align="left", expand=False
    )
    if not trial["architecture"]:
        return panel
    return Group(panel, architecture_drawing(trial["architecture"]))


def _recall_text(record: Mapping[str, Any]) -> str:
    """The recall of each class on the test split, the lowest first: "defect 0.5000 of 2, ok 1.0000 of 80"."""
    classes = [row for row in record["classes"] if row["images"]]
    shown = ", ".join(f"{row['class']} {ratio(row['recall'])} of {row['images']}" for row in classes[:_MAX_RECALLS])
    left_out = len(classes) - _MAX_RECALLS
    return shown + (f"; {left_out} more classes" if left_out > 0 else "")


def sparkline(values: Sequence[float | None]) -> str:
    """Values as bars, scaled from the lowest to the highest; a missing value is a space."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return ""
    low, width = min(finite), (max(finite) - min(finite)) or 1.0
    steps = len(_BARS) - 1
    return "".join(
        " " if value is None or not math.isfinite(value) else _BARS[round(steps * (value - low) / width)]
        for value in values
    )


def _values(results: Results, trial: pd.Series[Any]) -> list[str]:
    """The values of a trial's objectives: "accuracy 0.9722"."""
    return [
        f"{value_text(o, trial[o.name])}" if o.unit else f"{o.name} {value_text(o, trial[o.name])}"
        for o in results.objectives
    ]


def _names(results: Results) -> list[str]:
    return [objective.name for objective in results.objectives]


def _elapsed_s(trials: pd.DataFrame) -> float | None:
    """Seconds from the first start to the last end; None before any trial has ended."""
    ended = trials.dropna(subset=["started", "finished"])
    if ended.empty:
        return None
    return float((ended["finished"].max() - trials["started"].min()).total_seconds())
