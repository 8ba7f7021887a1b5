"""A benchmark of samplers in the terminal: what the table was taken for, and what the samplers did on it.

Renderables of rich, good at 80 columns and without colour; nothing here prints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from nas.bench.compare import Contest
from nas.bench.summary import TARGETS, Spread, Summary, marks
from nas.bench.table import Table
from nas.formatting import count, ratio
from nas.objectives import Objective


def table_text(table: Table) -> Text:
    """What each column of the table is, in a few lines."""
    shape = " x ".join(str(len(levels)) for levels in table.choices.values())
    of_all = "" if len(table) == table.combinations else f" of {table.combinations:,}"
    failed = sum(math.isnan(row[0]) for row in table.unit)
    lines = [
        f"{table.file}: {len(table):,}{of_all} architectures ({shape})" + (f", {failed:,} failed" if failed else ""),
        f"choices     {_listed(list(table.choices))}",
        *(f"objective   {_objective(objective)}" for objective in table.objectives),
    ]
    if table.features:
        lines.append(f"known too   {_listed(list(table.features))}")
    if table.ignored:
        lines.append(f"not used    {_listed(table.ignored)}")
    return Text("\n".join(lines))


def result_tables(contest: Contest, found: Sequence[Summary]) -> RenderableType:
    """The trainings to each target, then the shares at each mark and the time of suggestions."""
    return Group(
        "Trainings to a share of the true hypervolume: median (quartiles; worst seed)",
        _trainings(contest, found),
        "Median share of the true hypervolume, seconds a suggestion, refusals a training",
        _shares(contest, found),
    )


def _trainings(contest: Contest, found: Sequence[Summary]) -> Grid:
    grid = _grid()
    for head in ("seeds", *(f"to {target:.0%}" for target in TARGETS)):
        grid.add_column(head, justify="right", no_wrap=True)
    for summary in found:
        cells = [trainings_text(summary.trainings_to(target), contest.length) for target in TARGETS]
        grid.add_row(summary.sampler, str(summary.workers), str(len(summary.runs)), *cells)
    return grid


def _shares(contest: Contest, found: Sequence[Summary]) -> Grid:
    grid = _grid()
    for head in (*(f"at {mark}" for mark in marks(contest)), "median s", "95% below", "refused"):
        grid.add_column(head, justify="right", no_wrap=True)
    for summary in found:
        shares = [ratio(summary.share_at(mark).median) for mark in marks(contest)]
        times = [seconds_text(summary.suggest_s(q)) for q in (0.5, 0.95)]
        grid.add_row(summary.sampler, str(summary.workers), *shares, *times, f"{summary.refused:.2f}")
    return grid


def trainings_text(spread: Spread, trainings: int) -> str:
    """`18 (16 to 21; 31)`, with `>200` for what was not reached in 200 `trainings`."""
    if math.isinf(spread.q1):
        return f">{trainings}"
    q1, median, q3, largest = (
        f">{trainings}" if math.isinf(value) else f"{value:.3g}" if value < 1000 else f"{value:.0f}"
        for value in (spread.q1, spread.median, spread.q3, spread.largest)
    )
    return f"{median} ({q1} to {q3}; {largest})"


def seconds_text(value: float) -> str:
    """`0.0021`, `0.44`, `3.3`: two digits."""
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}" if 0 < value < 10 else f"{value:.0f}"


def _grid() -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("sampler", no_wrap=True)
    grid.add_column("workers", justify="right", no_wrap=True)
    return grid


def _objective(objective: Objective) -> str:
    words = ["to be maximised" if objective.direction == "maximize" else "to be minimised"]
    words.append("known before training" if objective.cheap else "known by training")
    words += ["on a log scale"] if objective.log else []
    return f"{objective.name}: {', '.join(words)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:7])}, ... ({count(len(names), 'name')})"


def throughput_table(found: Mapping[str, Any]) -> RenderableType:
    """Agreement of throughput between rounds, from what `nas.bench.throughput.record` gives."""
    title = (
        f"{found['sample']} networks measured {found['rounds']} times, {count(found['beside'], 'training')} beside them"
    )
    grid = Grid(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for head in ("way", "Kendall tau (95%)", "median difference", "s a measurement"):
        grid.add_column(head, justify="left" if head == "way" else "right", no_wrap=True)
    for way, values in found["ways"].items():
        tau = values["kendall_tau"]
        interval = "" if tau["low"] is None else f" ({tau['low']:.3f} to {tau['high']:.3f})"
        grid.add_row(
            way,
            f"{tau['value']:.3f}{interval}",
            f"{100 * values['median_difference']:.1f} %",
            f"{values['seconds_a_measurement']:.2f}",
        )
    predicted = found["predicted"]
    if predicted is not None:
        tau = predicted["kendall_tau"]
        caption = (
            f"foretold by {count(predicted['operators'], 'operator')}: Kendall tau {tau['value']:.3f} "
            f"({tau['low']:.3f} to {tau['high']:.3f}) with `exclusive`, {100 * predicted['median_error']:.1f} % off in the "
            f"median where all are {predicted['ratio']:.2f} times as fast"
        )
        return Group(grid, Text(caption))
    return grid
