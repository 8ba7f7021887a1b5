"""A study and its trials in the terminal: tables, status, and an architecture drawn from image to head.

Renderables of rich, good at 80 columns and without colour; nothing here prints. Times: `wall_s` is from start to end
of a trial, `train_s` the part inside training steps, `overhead_s` what is neither that nor validation, `idle_s` what its
worker waited for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nas.analysis.architecture_text import TIMES, Box, boxes, mixers, path_text, reach_text, stacks
from nas.analysis.prediction_quality import compare_predictions
from nas.analysis.results import Results, outcome, plain
from nas.analysis.time_breakdown import times_of
from nas.formatting import MISSING, count, duration, ratio, si, value_text
from nas.objectives import OBJECTIVES
from search_space.channel_graph import Stack

_DRAWING_WIDTH = 64
_BARS = "▁▂▃▄▅▆▇█"


def front_table(results: Results) -> Table:
    """The front, a row per trial, in the order of `Results.front`; the best accuracy is marked."""
    table = Table(box=box.SIMPLE_HEAD, title=f"Front of {results.name}", title_justify="left", pad_edge=False)
    for head in ("trial", *(objective.name for objective in results.objectives)):
        table.add_column(head, justify="right", no_wrap=True)
    extra = [name for name in ("macs", "params") if name not in _names(results)]
    tested = bool(results.front["test_accuracy"].notna().any())
    for head in (*extra, *(["test"] if tested else [])):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("mixers", overflow="fold")
    best = results.best
    for row in results.front.to_dict("records"):
        cells = [str(row["trial"]), *(value_text(o, row[o.name], unit=False) for o in results.objectives)]
        cells += [si(row[name]) for name in extra] + ([ratio(row["test_accuracy"])] if tested else [])
        is_best = best is not None and row["trial"] == best["trial"]
        table.add_row(*cells, " → ".join(mixers(row["architecture"])), style="bold" if is_best else None)
    return table


def status_record(results: Results) -> dict[str, Any]:
    """The state of a study as plain JSON: what `nas status --json` prints.

    Keys: `name`, `folder`, `trials` ({state: count}), `objectives`, `best_trial`, `best_accuracy`, `front_size`,
    `hypervolume`, `elapsed_s` (first start to last end), `train_s` and `wall_s` (sums over trials), `wall_s_per_trial`,
    `training_share` and `validation_share` (of the workers' time, which is wall_s and idle_s), `overhead_s_per_trial` (what is
    neither), `foretold` ({objective: how well it was before it was measured}). What is not known yet is None.
    """
    trials = results.trials
    times = times_of(results)
    best = results.best
    return {
        "name": results.name,
        "folder": str(results.folder),
        "trials": dict(results.counts),
        "objectives": _names(results),
        "best_trial": None if best is None else int(best["trial"]),
        "best_accuracy": None if best is None else plain("accuracy", best.get("accuracy")),
        "front_size": len(results.front),
        "hypervolume": results.hypervolume,
        "elapsed_s": _elapsed(trials),
        "train_s": times.train_s,
        "wall_s": float(trials["wall_s"].sum()),
        "wall_s_per_trial": (times.worker_s - times.idle_s) / times.trials if times.trials else None,
        "training_share": times.training_share,
        "validation_share": times.validation_share,
        "overhead_s_per_trial": times.overhead_s_per_trial,
        "foretold": {
            one.name: {"trials": one.trials, "kendall_tau": one.kendall_tau, "median_error": one.median_error}
            for one in compare_predictions(results)
        },
    }


def status_panel(results: Results) -> Panel:
    """The state of a study in a box: trials by state, best accuracy, front, hypervolume, times."""
    record = status_record(results)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    counts = ", ".join(f"{count} {state}" for state, count in results.counts.items())
    grid.add_row("trials", counts or "none yet")
    best = "no complete trial yet"
    if record["best_trial"] is not None:
        best = ", ".join(_values(results, results.trial(record["best_trial"]))) + f"  (trial {record['best_trial']})"
    grid.add_row("best", best)
    grid.add_row("front", f"{count(record['front_size'], 'trial')}, hypervolume {ratio(record['hypervolume'])}")
    grid.add_row("time", f"{duration(record['elapsed_s'])} from first start to last end")
    if record["wall_s_per_trial"] is not None:
        shares = ", ".join(
            f"{MISSING if record[key] is None else f'{100 * record[key]:.1f} %'} {text}"
            for key, text in (("training_share", "training"), ("validation_share", "validation"))
        )
        over = f"{record['overhead_s_per_trial']:.2f} s around it"
        grid.add_row("a trial", f"{duration(record['wall_s_per_trial'])} on average: {shares}, {over}")
    for name, one in record["foretold"].items():
        label = OBJECTIVES[name].label
        tau = MISSING if one["kendall_tau"] is None else f"{one['kendall_tau']:.2f}"
        grid.add_row(
            "foretold",
            f"{label} of {count(one['trials'], 'trial')}: Kendall tau {tau}, {100 * one['median_error']:.0f} % off",
        )
    return Panel(grid, title=f"{results.name}", title_align="left", box=box.ROUNDED, expand=False, padding=(0, 1))


def architecture_drawing(architecture: Mapping[str, Any], title: str = "") -> RenderableType:
    """The network as a column of boxes: image, stem, each stage (map size, blocks, their layers), head."""
    drawn: list[RenderableType] = [Text(title, style="bold")] if title else []
    arrow = Constrain(Text("│", justify="center", style="dim"), _DRAWING_WIDTH)
    blocks = iter(stacks(architecture))
    for number, step in enumerate(boxes(architecture)):
        drawn += [arrow] if number else []
        drawn.append(_stage(step, next(blocks, ())) if step.mixer else _line(step))
    return Group(*drawn)


def trial_panel(results: Results, trial: pd.Series[Any]) -> RenderableType:
    """A trial of any state: its values and costs, why it was refused or failed, its curve, its architecture drawn."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("state", Text(outcome(trial) + (", on the front" if trial["on_front"] else "")))
    for objective in results.objectives:
        with_unit = objective.unit != objective.label  # "MACs  6.59 M", not "MACs  6.59 M MACs"
        grid.add_row(objective.label, value_text(objective, trial[objective.name], unit=with_unit))
    for name, unit in (("macs", "MACs"), ("params", "parameters"), ("images_per_s", "images/s")):
        if name not in _names(results) and not math.isnan(trial[name]):
            grid.add_row(unit, si(trial[name]))
    if "activation_bytes" not in _names(results) and not math.isnan(trial["activation_bytes"]):
        grid.add_row("activations", f"{si(trial['activation_bytes'], 'bytes')} an image in training")
    if not math.isnan(trial["test_accuracy"]):
        grid.add_row("test accuracy", ratio(trial["test_accuracy"]))
    if not math.isnan(trial["wall_s"]):
        grid.add_row("time", f"{duration(trial['wall_s'])}, {duration(trial['train_s'])} of it training")
    curve = [entry["val_accuracy"] for entry in trial["curve"] if entry.get("val_accuracy") is not None]
    if curve:
        epochs = count(len(trial["curve"]), "epoch")
        grid.add_row("curve", f"{sparkline(curve)}  {ratio(curve[0])} to {ratio(curve[-1])} in {epochs}")
    if trial["id"]:
        grid.add_row("id", Text(str(trial["id"])))
    panel = Panel(grid, title=f"trial {trial['trial']} of {results.name}", title_align="left", expand=False)
    if not trial["architecture"]:
        return panel
    return Group(panel, architecture_drawing(trial["architecture"]))


def sparkline(values: Sequence[float | None]) -> str:
    """Values as bars from their lowest to their highest; a value that is missing is a space."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    low, width = min(known), (max(known) - min(known)) or 1.0
    steps = len(_BARS) - 1
    return "".join(
        " " if value is None or not math.isfinite(value) else _BARS[round(steps * (value - low) / width)]
        for value in values
    )


def _stage(step: Box, blocks: Sequence[Stack]) -> Panel:
    """A stage: what leaves it in the border, a line for each layer of its block, its notes, the channels of its blocks."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, (name, options) in enumerate(step.layers):
        grid.add_row("" if number else f"{step.depth} {TIMES}", Text(f"{name} "), Text(options))
    lines: list[RenderableType] = [grid, Text(step.notes, style="dim")] if step.notes else [grid]
    for number, block in enumerate(blocks):
        which = "channels" if len(blocks) == 1 else f"channels of the {'other blocks' if number else 'first block'}"
        lines.append(Text(f"{which}: {path_text(block)}; full reach: {reach_text(block)}", style="dim"))
    return Panel(
        Group(*lines),
        title=f"[bold]{step.title}[/]",
        title_align="left",
        subtitle=step.shape,
        subtitle_align="right",
        width=_DRAWING_WIDTH,
        box=box.ROUNDED,
    )


def _line(step: Box) -> RenderableType:
    """Image, stem or head: a line under the middle."""
    words = " ".join(word for layer in step.layers for word in layer if word)
    text = Text.assemble((step.title, "bold"), "  ", *([words, "  "] if words else []), (step.shape, ""))
    text.justify = "center"
    return Constrain(text, _DRAWING_WIDTH)


def _values(results: Results, trial: pd.Series[Any]) -> list[str]:
    """The trial's objectives in words: "accuracy 0.9722"."""
    return [
        f"{value_text(o, trial[o.name])}" if o.unit else f"{o.name} {value_text(o, trial[o.name])}"
        for o in results.objectives
    ]


def _names(results: Results) -> list[str]:
    return [objective.name for objective in results.objectives]


def _elapsed(trials: pd.DataFrame) -> float | None:
    """Seconds from the first start to the last end; None before any trial has ended."""
    ended = trials.dropna(subset=["started", "finished"])
    if ended.empty:
        return None
    return float((ended["finished"].max() - trials["started"].min()).total_seconds())
