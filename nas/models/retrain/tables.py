"""Full trainings in the terminal: renderables of rich, readable without colour; nothing is printed here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.analysis.results import Results
from nas.analysis.retrained import RetrainedModel, proxy_correlation
from nas.analysis.statistics import Estimate
from nas.formatting import count, duration, finite_or_none, printable, ratio, si
from nas.models.retrain.forecast import Forecast
from nas.terminal.fitting_table import FittingTable
from nas.terminal.tables import sparkline

MAX_CURVE_CHARS = 40
PLUS_MINUS = "±"


@dataclass(frozen=True)
class SearchValues:
    """What the search has measured of the trials: number of a trial -> value; NaN, or nothing, where it has not.

    Args:
        accuracies: on the validation split, after the short training.
        throughputs: images per second.
    """

    accuracies: Mapping[int, float]
    throughputs: Mapping[int, float]

    @classmethod
    def of(cls, results: Results) -> SearchValues:
        """Those of the trials of `results`."""
        trials = results.summary

        def column(name: str) -> dict[int, float]:
            if name not in trials:
                return {}
            return {int(number): float(value) for number, value in zip(trials["trial"], trials[name], strict=True)}

        return cls(column("accuracy"), column("images_per_s"))

    def accuracy(self, model: RetrainedModel) -> float:
        """The accuracy of `model` in the search; NaN for what is no trial."""
        return math.nan if model.first.trial is None else self.accuracies.get(model.first.trial, math.nan)

    def throughput(self, model: RetrainedModel) -> float:
        """The throughput of `model`: of a trial that of the search, of others that of their runs; NaN where there is none."""
        if model.first.trial is None:
            return math.nan if model.images_per_s is None else model.images_per_s
        return self.throughputs.get(model.first.trial, math.nan)


def model_record(model: RetrainedModel, search: SearchValues) -> dict[str, Any]:
    """`model` as plain JSON, with what the search has measured of it."""
    accuracy, throughput = search.accuracy(model), search.throughput(model)
    return model.to_dict() | {
        "proxy_accuracy": finite_or_none(accuracy),
        "images_per_s": finite_or_none(throughput),
    }


def report(models: Sequence[RetrainedModel], search: SearchValues) -> RenderableType:
    """A row for each network, its curve, and the rank correlation of the search with the full trainings."""
    parts: list[RenderableType] = [models_table(models, search)]
    parts += [Text(curve_line(model), style="dim") for model in models if len(validated(model)) > 1]
    tau = proxy_correlation(models, search.accuracies)
    if tau is not None:
        parts.append(Text(correlation_text(tau)))
    return Group(*parts)


def models_table(models: Sequence[RetrainedModel], search: SearchValues) -> Table:
    """A row for each network: costs, accuracy in the search, and after the full training with its interval over seeds."""
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", overflow="fold")
    for head in ("runs", "MACs", "params", "proxy", "val", "test", "images/s", "a run"):
        table.add_column(head, justify="right", no_wrap=True)
    for model in models:
        first, throughput = model.first, search.throughput(model)
        table.add_row(
            Text(printable(first.name)),
            str(len(model.runs)),
            si(first.macs),
            si(first.params),
            ratio(search.accuracy(model)),
            ratio(model.val.value),
            interval_text(model.test),
            si(throughput),
            duration(model.train_s),
        )
    return table


def forecast_report(forecast: Forecast) -> RenderableType:
    """A row for each run, and how long all of them will take."""
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    for head in ("MACs", "params", "epochs", "done", "steps an epoch", "time unfinished"):
        table.add_column(head, justify="right", no_wrap=True)
    for run in forecast.runs:
        table.add_row(
            Text(printable(run.job.label)),
            si(run.job.subject.macs),
            si(run.job.subject.params),
            str(run.epochs),
            f"{round(run.finished_epochs, 1):g}",
            si(run.steps_per_epoch),
            duration(run.left_s),
        )
    return Group(table, Text(forecast_line(forecast)))


def forecast_line(forecast: Forecast) -> str:
    """How many runs there are, and how long they take."""
    unfinished = [run for run in forecast.runs if run.finished_epochs < run.epochs]
    if not unfinished:
        return f"{count(len(forecast.runs), 'run')}, all of which have ended"
    workers = forecast.workers.resources.workers
    at_a_time = "" if workers is None else f", {workers} at a time"
    if forecast.left_s is None:
        return f"{count(len(unfinished), 'run')} to train{at_a_time}; the time is not known before they begin on the cluster"
    return f"{count(len(unfinished), 'run')} to train{at_a_time}: about {duration(forecast.left_s)}"


def curve_line(model: RetrainedModel) -> str:
    """The mean validation accuracy of `model` over the epochs."""
    curve = validated(model)
    epochs = count(len(model.curve), "epoch")
    bars = sparkline(thinned(curve, MAX_CURVE_CHARS))
    return f"{bars}  {printable(model.first.name)}: {ratio(curve[0])} to {ratio(curve[-1])} in {epochs}"


def validated(model: RetrainedModel) -> list[float]:
    """The mean validation accuracies of `model` after the epochs that were validated."""
    return [value for value in model.curve if value is not None]


def correlation_text(tau: Estimate) -> str:
    """How well the search has ranked the trials."""
    interval = "" if math.isnan(tau.low) else f" [{tau.low:.2f}, {tau.high:.2f}]"
    return f"Kendall tau of the search with the full trainings (validation split): {tau.value:.2f}{interval}"


def interval_text(estimate: Estimate) -> str:
    """A mean with half its 95 % interval: `0.9312 ± 0.0021`; the mean alone where there is none."""
    if math.isnan(estimate.low):
        return ratio(estimate.value)
    return f"{ratio(estimate.value)} {PLUS_MINUS} {ratio(max(estimate.high - estimate.value, estimate.value - estimate.low))}"


def thinned(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of `values`, evenly spread; the last one is always among them."""
    if len(values) <= most:
        return list(values)
    return [values[round((index + 1) * len(values) / most) - 1] for index in range(most)]
