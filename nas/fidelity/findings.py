"""The findings of a fidelity run: how well each proxy ranks the architectures, at what cost, and how large the noise is.

The *reference* is an architecture's mean accuracy over the seeds of the large budget. A proxy is one training, as a search
sees it; its correlation with the reference is the mean over seeds. The large budget is judged by the correlation of one of its
trainings with the mean of the others, which is the most that a proxy can reach. Scores and costs are proxies too.

The cost of a proxy is its seconds as a share of those of the study's proxy, over the architectures that have both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.analysis import statistics as st
from nas.analysis.statistics import Estimate, Floats, Pair
from nas.errors import StudyError
from nas.fidelity.inherited import InheritedTraining
from nas.fidelity.plan import Budget, Plan
from nas.fidelity.values import Findings, Noise, Point, RankingMethod
from nas.formatting import count
from nas.objectives.costs import costs_of

RESAMPLES = 2000  # with so many, the ends of a 95 % interval vary by about 0.01 between seeds
SCORES = {"naswot": "NASWOT", "synflow": "SynFlow", "zico": "ZiCo"}

Record = Mapping[str, Any]


class _RecordTable:
    """Values of records as arrays `(S, N)`, S seeds of N architectures; NaN where there is no record, or a failed one."""

    def __init__(self, plan: Plan, records: Mapping[tuple[str, str, int], Record], seeds: int) -> None:
        self.ids = [architecture.id for architecture in plan.architectures]
        self.records = records
        self.seeds = seeds

    def values(self, budget: str, value_of: Callable[[Record], float]) -> Floats:
        """`value_of(record)` of each record of `budget`, `(S, N)`."""
        rows = [[self._value((budget, i, s), value_of) for i in self.ids] for s in range(self.seeds)]
        return np.array(rows, dtype=np.float64)

    def _value(self, key: tuple[str, str, int], value_of: Callable[[Record], float]) -> float:
        record = self.records.get(key)
        return math.nan if record is None or "failure" in record else value_of(record)

    def accuracy(self, budget: str, epoch: int = 0) -> Floats:
        """The validation accuracy after `epoch`, from 1; 0: after the last epoch."""
        return self.values(budget, lambda record: record["curve"][epoch - 1][0])

    def seconds(self, budget: str, epoch: int = 0) -> Floats:
        """The seconds up to `epoch`, from 1; 0: up to the last epoch."""
        return self.values(budget, lambda record: sum(s for _, s in record["curve"][: epoch or None]))

    def score(self, name: str) -> tuple[Floats, Floats]:
        """The values of the training-free score `name`, and its seconds."""

        def value(record: Record) -> float:
            score = record["scores"][name][0]
            return math.nan if isinstance(score, str) else score

        return self.values("scores", value), self.values("scores", lambda record: record["scores"][name][1])


def compute_findings(
    plan: Plan,
    records: Mapping[tuple[str, str, int], Record],
    seeds: int,
    *,
    study: str,
    dataset: str,
    describe_s: float,
    seed: int,
    inherited: Sequence[InheritedTraining] = (),
) -> Findings:
    """Compute the findings from the `records` of a plan.

    Args:
        plan: the plan of the trainings.
        records: (name of the budget or "scores", id of the architecture, number of the seed) -> the record of
            `FidelityWorker.run_job`.
        seeds: number of seeds.
        study: the study's name.
        dataset: the dataset's name.
        describe_s: seconds that computing the costs of one architecture takes.
        seed: the seed of the bootstrap.
        inherited: trainings of the study that have inherited weights, of architectures of the plan.

    Raises:
        StudyError: fewer than three architectures have an accuracy at both the proxy and the large budget.
    """
    table = _RecordTable(plan, records, seeds)
    proxy, large = table.accuracy("proxy"), table.accuracy("large")
    both = np.isfinite(st.column_means(proxy)) & np.isfinite(st.column_means(large))
    if both.sum() < st.MIN_VALUES:
        raise StudyError(
            f"only {both.sum()} of {len(both)} architectures could be trained: {'; '.join(_failures(records))}"
        )
    weights = st.bootstrap_weights(RESAMPLES, len(both), seed)
    judge = _Judge(weights, large, proxy, table.seconds("proxy"))
    of_study = _inherited_candidate(plan, inherited) if inherited else None
    candidates = [*_candidates(plan, table, describe_s), *([] if of_study is None else [of_study])]
    proxies = [judge.judge(candidate) for candidate in candidates]
    return Findings(
        study=study,
        dataset=dataset,
        seeds=seeds,
        proxy_s=float(np.nanmean(table.seconds("proxy"))),
        noise={b.name: _noise(b, table.accuracy(b.name), weights) for b in plan.budgets[:2]},
        proxies=tuple(sorted(proxies, key=lambda p: -math.inf if p.cost is None else -p.cost)),
        points=tuple(_points(plan, proxy, large)),
        notes=tuple(_notes(plan, records)),
        inherited=None if of_study is None else judge.with_proxy(of_study),
    )


class _Candidate(NamedTuple):
    """A way of ranking to be judged: `values` and `seconds` are `(S, N)`; the other fields are those of `RankingMethod`."""

    name: str
    label: str
    family: str
    values: Floats
    seconds: Floats


def _candidates(plan: Plan, table: _RecordTable, describe_s: float) -> Iterator[_Candidate]:
    """All ways of ranking: trainings, trainings that stop early, cheaper budgets, scores, costs."""
    full, large, *cheaper = plan.budgets
    proxy = table.accuracy("proxy"), table.seconds("proxy")
    yield _Candidate("proxy", f"proxy: {count(full.epochs, 'epoch')}", "proxy", *proxy)
    of_large = table.accuracy("large"), table.seconds("large")
    yield _Candidate("large", f"{large.epochs} epochs, one seed", "large", *of_large)
    epoch = 1
    while epoch < full.epochs:
        label = f"stopped at {epoch} of {full.epochs}"
        truncated = table.accuracy("proxy", epoch), table.seconds("proxy", epoch)
        yield _Candidate(f"cut/{epoch}", label, "cut", *truncated)
        epoch *= 2
    for budget in cheaper:
        family, label = _cheaper_label(budget, plan.architectures[0].image_size)
        yield _Candidate(budget.name, label, family, table.accuracy(budget.name), table.seconds(budget.name))
    for name, label in SCORES.items():
        yield _Candidate(name, label, "score", *table.score(name))
    for name, label in (("params", "parameters"), ("macs", "MACs")):
        values = np.array([[getattr(costs_of(a), name) for a in plan.architectures]], dtype=np.float64)
        yield _Candidate(name, label, "cost", values, np.full_like(values, describe_s))


def _inherited_candidate(plan: Plan, trainings: Sequence[InheritedTraining]) -> _Candidate:
    """The trainings of the study that have inherited weights, as a way of ranking."""
    by_id = {training.architecture.id: training for training in trainings}
    found = [by_id.get(architecture.id) for architecture in plan.architectures]
    values = np.array([[math.nan if training is None else training.accuracy for training in found]])
    seconds = np.array([[math.nan if training is None else training.seconds for training in found]])
    label = f"inherited weights, {count(trainings[0].epochs, 'epoch')}"
    return _Candidate("inherited", label, "inherited", values, seconds)


def _cheaper_label(budget: Budget, image_size: tuple[int, int]) -> tuple[str, str]:
    """The family and the label of a cheaper budget."""
    height, width = image_size
    family = budget.name.partition("/")[0]
    labels = {
        "epochs": f"{count(budget.epochs, 'epoch')} in all",
        "images": f"1/{budget.images} of the images",
        "pixels": f"images of {height // budget.pixels}x{width // budget.pixels}",
    }
    return family, labels[family]


@dataclass(frozen=True)
class _Judge:
    """Compares ways of ranking with the reference.

    Args:
        weights: bootstrap resamples `(R, N)`.
        large: accuracies `(S, N)` of the large budget.
        proxy: accuracies `(S, N)` of the study's proxy.
        seconds: durations `(S, N)` of the study's proxy.
    """

    weights: Floats
    large: Floats
    proxy: Floats
    seconds: Floats

    def judge(self, candidate: _Candidate) -> RankingMethod:
        """Compute the correlations and the cost of a way of ranking."""
        values = candidate.values
        reference = st.column_means(self.large)
        pairs = st.leave_one_out_pairs(values) if candidate.name == "large" else [(row, reference) for row in values]
        ranked = np.isfinite(st.column_means(values)) & np.isfinite(reference)
        tau = st.mean_correlation(pairs, self.weights, st.kendall)
        proxy_pairs: list[Pair] = [(np.where(ranked, row, np.nan), reference) for row in self.proxy]
        return RankingMethod(
            name=candidate.name,
            label=candidate.label,
            family=candidate.family,
            cost=self._cost(candidate.seconds, ranked),
            count=int(ranked.sum()),
            kendall=Estimate.of(tau),
            spearman=Estimate.of(st.mean_correlation(pairs, self.weights, st.spearman)),
            upper=Estimate.of(st.mean_correlation(pairs, self.weights, st.kendall, upper=True)),
            loss=Estimate.of(st.mean_correlation(proxy_pairs, self.weights, st.kendall) - tau),
        )

    def with_proxy(self, candidate: _Candidate) -> Estimate:
        """Kendall's tau-b of a way of ranking with the mean accuracy of the proxy, the reference of `inherited`."""
        pairs = [(row, st.column_means(self.proxy)) for row in candidate.values]
        return Estimate.of(st.mean_correlation(pairs, self.weights, st.kendall))

    def _cost(self, seconds: Floats, ranked: NDArray[np.bool_]) -> float | None:
        """Seconds as a share of the proxy's, over the ranked architectures that have both."""
        spent, full = st.column_means(seconds), st.column_means(self.seconds)
        both = ranked & np.isfinite(spent) & np.isfinite(full)
        total = float(full[both].sum())
        return float(spent[both].sum()) / total if total > 0 else None


def _noise(budget: Budget, accuracy: Floats, weights: Floats) -> Noise:
    means = st.column_means(accuracy)
    means = means[np.isfinite(means)]
    return Noise(
        epochs=budget.epochs,
        deviation=st.pooled_deviation(100 * accuracy),
        spread=float(100 * means.std(ddof=1)) if len(means) > 1 else math.nan,
        repeat=Estimate.of(st.mean_correlation(st.row_pairs(accuracy), weights, st.kendall)),
    )


def _points(plan: Plan, proxy: Floats, large: Floats) -> Iterator[Point]:
    for index, architecture in enumerate(plan.architectures):
        costs = costs_of(architecture)
        yield Point(
            id=architecture.id,
            macs=costs.macs,
            params=costs.params,
            mixers=tuple(stage.mixer.name for stage in architecture.stages),
            proxy=tuple(value for value in proxy[:, index].tolist() if math.isfinite(value)),
            large=tuple(value for value in large[:, index].tolist() if math.isfinite(value)),
        )


def _notes(plan: Plan, records: Mapping[tuple[str, str, int], Record]) -> Iterator[str]:
    """Notes on architectures that could not be trained or scored, one line per kind."""
    for name, reasons in plan.impossible.items():
        yield f"{name}: {len(reasons)} of {len(plan.architectures)} architectures cannot be built for it ({reasons[0]})"
    for line in _failures(records):
        yield f"failed: {line}"
    for name in SCORES:
        values = [record["scores"][name][0] for record in records.values() if "scores" in record]
        missing = [value for value in values if isinstance(value, str)]
        if missing:
            yield f"{SCORES[name]}: no score for {count(len(missing), 'untrained network')} ({missing[0]})"


def _failures(records: Mapping[tuple[str, str, int], Record]) -> list[str]:
    """Each architecture and budget with a failed training, and the last reason."""
    failed: dict[tuple[str, str], list[str]] = {}
    for (budget, architecture, _), record in records.items():
        if "failure" in record:
            failed.setdefault((architecture, budget), []).append(record["failure"])
    return [
        f"{architecture}, {budget}{f', {len(reasons)} trainings' if len(reasons) > 1 else ''}: {reasons[-1]}"
        for (architecture, budget), reasons in failed.items()
    ]
