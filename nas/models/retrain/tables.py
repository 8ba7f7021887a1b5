"""Full trainings in the terminal: renderables of rich, readable without colour; nothing is printed here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.analysis.retrained_summary import RetrainedSummary, rank_correlation
from nas.analysis.statistics import Estimate
from nas.formatting import MISSING, count, duration, printable, ratio, si
from nas.terminal.fitting_table import FittingTable
from nas.terminal.tables import sparkline

MAX_CURVE_CHARS = 40
PLUS_MINUS = "±"


def report(summaries: Sequence[RetrainedSummary]) -> RenderableType:
    """A row for each network, the curve of one of its runs, and the rank correlation of proxy and test accuracy."""
    parts: list[RenderableType] = [runs_table(summaries)]
    parts += [Text(line, style="dim") for line in curve_lines(summaries)]
    if (line := correlation_line(summaries)) is not None:
        parts.append(Text(line))
    return Group(*parts)


def runs_table(summaries: Sequence[RetrainedSummary]) -> Table:
    """A row for each network: costs, accuracy in the search, and after the full training with its interval over seeds."""
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", overflow="fold")
    heads = ("runs", "MACs", "params", "proxy", "val", "test", "images/s", "a run")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for summary in summaries:
        first = summary.first
        speed = MISSING if math.isnan(summary.images_per_s) else si(summary.images_per_s)
        table.add_row(
            Text(printable(first.name)),
            str(len(summary.runs)),
            MISSING if first.macs is None else si(first.macs),
            si(first.params),
            ratio(summary.proxy_accuracy),
            ratio(summary.val.value),
            interval_text(summary.test),
            speed,
            duration(summary.wall_s),
        )
    return table


def curve_lines(summaries: Sequence[RetrainedSummary]) -> list[str]:
    """For each network the validation accuracy over the epochs of its first run."""
    lines = []
    for summary in summaries:
        run = summary.first
        curve = [float(epoch["val_accuracy"]) for epoch in run.epochs if epoch.get("val_accuracy") is not None]
        bars = sparkline(thinned(curve, MAX_CURVE_CHARS))
        epochs = count(len(run.epochs), "epoch")
        lines.append(
            f"{bars}  {printable(run.name)} seed {run.seed}: {ratio(curve[0])} to {ratio(curve[-1])} in {epochs}"
        )
    return lines


def correlation_line(summaries: Sequence[RetrainedSummary]) -> str | None:
    """How well the proxy ranked the trials; None for fewer than can be ranked."""
    tau = rank_correlation(summaries)
    if math.isnan(tau.value):
        return None
    ranked = sum(math.isfinite(summary.proxy_accuracy) for summary in summaries)
    interval = "" if math.isnan(tau.low) else f" [{tau.low:.2f}, {tau.high:.2f}]"
    return f"Kendall tau of proxy and test accuracy over {count(ranked, 'trial')}: {tau.value:.2f}{interval}"


def interval_text(estimate: Estimate) -> str:
    """A mean with half its 95 % interval: `0.9312 ± 0.0021`; the mean alone where there is none."""
    if math.isnan(estimate.low):
        return ratio(estimate.value)
    return f"{ratio(estimate.value)} {PLUS_MINUS} {ratio((estimate.high - estimate.low) / 2)}"


def thinned(values: Sequence[float], most: int) -> list[float]:
    """At most so many of `values`, evenly spread; the last one is always among them."""
    if len(values) <= most:
        return list(values)
    return [values[round((index + 1) * len(values) / most) - 1] for index in range(most)]
