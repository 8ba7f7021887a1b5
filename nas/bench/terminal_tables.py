"""A benchmark in the terminal: the roles of the columns of the table, and the results of the samplers.

The functions return renderables of rich for 80 columns, readable without colour, and print nothing.
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
from nas.bench.summary import HYPERVOLUME_TARGETS, SamplerSummary, Spread, reported_trainings
from nas.bench.table import BenchmarkTable
from nas.formatting import count, ratio
from nas.objectives import Objective


def describe_table(table: BenchmarkTable) -> Text:
    """The role of each column of the table, in a few lines."""
    shape = " x ".join(str(len(values)) for values in table.choices.values())
    of_combinations = "" if len(table) == table.combinations else f" of {table.combinations:,}"
    failed = sum(math.isnan(row[0]) for row in table.unit_values)
    lines = [
        f"{table.file}: {len(table):,}{of_combinations} architectures ({shape})"
        + (f", {failed:,} failed" if failed else ""),
        f"choices     {_join_names(list(table.choices))}",
        *(f"objective   {_describe_objective(objective)}" for objective in table.objectives),
    ]
    if table.features:
        lines.append(f"features    {_join_names(list(table.features))}")
    if table.ignored:
        lines.append(f"not used    {_join_names(table.ignored)}")
    return Text("\n".join(lines))


def result_tables(contest: Contest, summaries: Sequence[SamplerSummary]) -> RenderableType:
    """Trainings to each target, the shares after 50, 100, ... trainings, and the times of suggestions."""
    return Group(
        "Trainings to a share of the true hypervolume: median (quartiles; worst seed)",
        _trainings_table(contest, summaries),
        "Median share of the true hypervolume",
        _shares_table(contest, summaries),
        "Seconds per suggestion, refusals per training",
        _times_table(summaries),
    )


def _trainings_table(contest: Contest, summaries: Sequence[SamplerSummary]) -> Grid:
    grid = _grid()
    grid.add_column("seeds", justify="right", no_wrap=True)
    for target in HYPERVOLUME_TARGETS:
        grid.add_column(f"to {target:.0%}", justify="right")  # goes on in the next line where it is too long
    for summary in summaries:
        cells = [format_trainings(summary.trainings_to(target), contest.length) for target in HYPERVOLUME_TARGETS]
        grid.add_row(summary.sampler, str(summary.workers), str(len(summary.runs)), *cells)
    return grid


def _shares_table(contest: Contest, summaries: Sequence[SamplerSummary]) -> Grid:
    grid = _grid()
    for number in reported_trainings(contest):
        grid.add_column(f"at {number}", justify="right", no_wrap=True)
    for summary in summaries:
        shares = [ratio(summary.share_after(number).median) for number in reported_trainings(contest)]
        grid.add_row(summary.sampler, str(summary.workers), *shares)
    return grid


def _times_table(summaries: Sequence[SamplerSummary]) -> Grid:
    grid = _grid()
    for head in ("median s", "95% below", "refused"):
        grid.add_column(head, justify="right", no_wrap=True)
    for summary in summaries:
        times = [format_seconds(summary.suggest_s(q)) for q in (0.5, 0.95)]
        grid.add_row(summary.sampler, str(summary.workers), *times, f"{summary.refused_per_training:.2f}")
    return grid


def format_trainings(spread: Spread, trainings: int) -> str:
    """`18 (16 to 21; 31)`, with `>200` for a target that was not reached in 200 `trainings`."""
    if math.isinf(spread.q1):
        return f">{trainings}"
    q1, median, q3, largest = (
        f">{trainings}" if math.isinf(value) else f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
        for value in (spread.q1, spread.median, spread.q3, spread.largest)
    )
    return f"{median} ({q1} to {q3}; {largest})"


def format_seconds(value: float) -> str:
    """`0.0021`, `0.44`, `3.3`: two significant digits."""
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}" if 0 < value < 10 else f"{value:.0f}"


def _grid() -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("sampler", no_wrap=True)
    grid.add_column("workers", justify="right", no_wrap=True)
    return grid


def _describe_objective(objective: Objective) -> str:
    properties = ["to be maximised" if objective.direction == "maximize" else "to be minimised"]
    properties.append("known before training" if objective.cheap else "known after training")
    properties += ["on a log scale"] if objective.log else []
    return f"{objective.name}: {', '.join(properties)}"


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:7])}, ... ({count(len(names), 'name')})"


def throughput_table(report: Mapping[str, Any]) -> RenderableType:
    """Agreement of throughput between rounds, from the report of `nas.bench.throughput`."""
    title = f"{report['sample']} networks measured {report['rounds']} times, {count(report['beside'], 'training')} beside them"
    grid = Grid(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for head in ("way", "Kendall tau (95%)", "median difference", "s a measurement"):
        grid.add_column(head, justify="left" if head == "way" else "right", no_wrap=True)
    for way, values in report["ways"].items():
        tau = values["kendall_tau"]
        interval = "" if tau["low"] is None else f" ({tau['low']:.3f} to {tau['high']:.3f})"
        grid.add_row(
            way,
            f"{tau['value']:.3f}{interval}",
            f"{100 * values['median_difference']:.1f} %",
            f"{values['seconds_a_measurement']:.2f}",
        )
    predicted = report["predicted"]
    if predicted is not None:
        tau = predicted["kendall_tau"]
        caption = (
            f"predicted from {count(predicted['operators'], 'operator')}: Kendall tau {tau['value']:.3f} "
            f"({tau['low']:.3f} to {tau['high']:.3f}) with `exclusive`, {100 * predicted['median_error']:.1f} % median "
            f"error after dividing by the median ratio {predicted['ratio']:.2f}"
        )
        return Group(grid, Text(caption))
    return grid
