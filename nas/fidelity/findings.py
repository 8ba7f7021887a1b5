"""What the trainings say: how well each proxy ranks the architectures, at what cost, and how much of it is noise.

Everything is compared with the *reference*: an architecture's mean accuracy over the seeds of the large budget. A proxy is
one training, as a search sees it: its correlation is the mean over its seeds. What the large budget itself would reach is
that of one of its trainings with the mean of its others; no proxy can be expected to reach more. Scores and costs are
proxies too.

A cost is the seconds of a proxy as a share of those of the study's proxy, over the architectures that have both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.analysis import statistics as st
from nas.analysis.statistics import Estimate, Floats, Pair
from nas.errors import StudyError
from nas.fidelity.plan import Budget, Plan
from nas.fidelity.values import Findings, Noise, Point, Proxy
from nas.formatting import count
from nas.study.trials import costs_of

RESAMPLES = 2000  # the ends of a 95 % interval move by about a hundredth between as many
SCORES = {"naswot": "NASWOT", "synflow": "SynFlow", "zico": "ZiCo"}

Record = Mapping[str, Any]


class _Table:
    """Records by budget, seed and architecture: arrays `(S, N)`, NaN where there is none."""

    def __init__(self, plan: Plan, records: Mapping[tuple[str, str, int], Record], seeds: int) -> None:
        self.ids = [architecture.id for architecture in plan.architectures]
        self.records = records
        self.seeds = seeds

    def values(self, budget: str, of: Callable[[Record], float]) -> Floats:
        rows = [[self._value((budget, i, s), of) for i in self.ids] for s in range(self.seeds)]
        return np.array(rows, dtype=np.float64)

    def _value(self, place: tuple[str, str, int], of: Callable[[Record], float]) -> float:
        record = self.records.get(place)
        return math.nan if record is None or "failure" in record else of(record)

    def accuracy(self, budget: str, epoch: int = 0) -> Floats:
        """After that epoch; 0: the last."""
        return self.values(budget, lambda record: record["curve"][epoch - 1][0])

    def seconds(self, budget: str, epoch: int = 0) -> Floats:
        return self.values(budget, lambda record: sum(s for _, s in record["curve"][: epoch or None]))

    def score(self, name: str) -> tuple[Floats, Floats]:
        """Values and seconds."""

        def value(record: Record) -> float:
            found = record["scores"][name][0]
            return math.nan if isinstance(found, str) else found

        return self.values("scores", value), self.values("scores", lambda record: record["scores"][name][1])


def findings_of(
    plan: Plan,
    records: Mapping[tuple[str, str, int], Record],
    seeds: int,
    *,
    study: str,
    dataset: str,
    describe_s: float,
    seed: int,
) -> Findings:
    """What the `records` say.

    Args:
        plan: what was to be trained.
        records: (budget or "scores", id of the architecture, number of the seed) -> as `Worker.run` gives it.
        seeds: how many there are.
        study: its name.
        dataset: its name.
        describe_s: seconds that the costs of one architecture take.
        seed: of the bootstrap.

    Raises:
        StudyError: fewer than three architectures have both the proxy's accuracy and the large budget's.
    """
    table = _Table(plan, records, seeds)
    proxy, large = table.accuracy("proxy"), table.accuracy("large")
    both = np.isfinite(st.column_means(proxy)) & np.isfinite(st.column_means(large))
    if both.sum() < st.MIN_VALUES:
        raise StudyError(
            f"only {both.sum()} of {len(both)} architectures could be trained: {'; '.join(_failures(records))}"
        )
    weights = st.bootstrap_weights(RESAMPLES, len(both), seed)
    judge = _Judge(weights, large, proxy, table.seconds("proxy"))
    proxies = [judge.judged(*entry) for entry in _entries(plan, table, describe_s)]
    return Findings(
        study=study,
        dataset=dataset,
        seeds=seeds,
        proxy_s=float(np.nanmean(table.seconds("proxy"))),
        noise={b.name: _noise(b, table.accuracy(b.name), weights) for b in plan.budgets[:2]},
        proxies=tuple(sorted(proxies, key=lambda p: -math.inf if p.cost is None else -p.cost)),
        points=tuple(_points(plan, proxy, large)),
        notes=tuple(_notes(plan, records)),
    )


Entry = tuple[str, str, str, Floats, Floats]
"""Name, label, family, values `(S, N)`, seconds `(S, N)`."""


def _entries(plan: Plan, table: _Table, describe_s: float) -> Iterator[Entry]:
    """All ways of ranking that were tried."""
    full, large, *cheaper = plan.budgets
    height, width = plan.architectures[0].image_size
    yield "proxy", f"proxy: {count(full.epochs, 'epoch')}", "proxy", table.accuracy("proxy"), table.seconds("proxy")
    yield "large", f"{large.epochs} epochs, one seed", "large", table.accuracy("large"), table.seconds("large")
    epoch = 1
    while epoch < full.epochs:
        label = f"stopped at {epoch} of {full.epochs}"
        yield f"cut/{epoch}", label, "cut", table.accuracy("proxy", epoch), table.seconds("proxy", epoch)
        epoch *= 2
    for budget in cheaper:
        family = budget.name.partition("/")[0]
        label = {
            "epochs": f"{count(budget.epochs, 'epoch')} in all",
            "images": f"1/{budget.images} of the images",
            "pixels": f"images of {height // budget.pixels}x{width // budget.pixels}",
        }[family]
        yield budget.name, label, family, table.accuracy(budget.name), table.seconds(budget.name)
    for name, label in SCORES.items():
        yield name, label, "score", *table.score(name)
    for name, label in (("params", "parameters"), ("macs", "MACs")):
        values = np.array([[getattr(costs_of(a), name) for a in plan.architectures]], dtype=np.float64)
        yield name, label, "cost", values, np.full_like(values, describe_s)


@dataclass(frozen=True)
class _Judge:
    """Compares a proxy with the reference.

    Args:
        weights: bootstrap resamples `(R, N)`.
        large, proxy: accuracies `(S, N)` of the large budget and of the study's proxy.
        seconds: of the study's proxy, `(S, N)`.
    """

    weights: Floats
    large: Floats
    proxy: Floats
    seconds: Floats

    def judged(self, name: str, label: str, family: str, values: Floats, seconds: Floats) -> Proxy:
        """A way of ranking by `values` `(S, N)`, which took so many `seconds` `(S, N)`."""
        reference = st.column_means(self.large)
        pairs = st.leave_one_out_pairs(values) if name == "large" else [(row, reference) for row in values]
        known = np.isfinite(st.column_means(values)) & np.isfinite(reference)
        tau = st.mean_correlation(pairs, self.weights, st.kendall)
        beside: list[Pair] = [(np.where(known, row, np.nan), reference) for row in self.proxy]
        return Proxy(
            name=name,
            label=label,
            family=family,
            cost=self._cost(seconds, known),
            count=int(known.sum()),
            kendall=Estimate.of(tau),
            spearman=Estimate.of(st.mean_correlation(pairs, self.weights, st.spearman)),
            upper=Estimate.of(st.mean_correlation(pairs, self.weights, st.kendall, upper=True)),
            loss=Estimate.of(st.mean_correlation(beside, self.weights, st.kendall) - tau),
        )

    def _cost(self, seconds: Floats, known: NDArray[np.bool_]) -> float | None:
        mine, full = st.column_means(seconds), st.column_means(self.seconds)
        both = known & np.isfinite(mine) & np.isfinite(full)
        total = float(full[both].sum())
        return float(mine[both].sum()) / total if total > 0 else None


def _noise(budget: Budget, accuracy: Floats, weights: Floats) -> Noise:
    means = st.column_means(accuracy)
    known = means[np.isfinite(means)]
    return Noise(
        epochs=budget.epochs,
        deviation=st.pooled_deviation(100 * accuracy),
        spread=float(100 * known.std(ddof=1)) if len(known) > 1 else math.nan,
        repeat=Estimate.of(st.mean_correlation(st.row_pairs(accuracy), weights, st.kendall)),
    )


def _points(plan: Plan, proxy: Floats, large: Floats) -> Iterator[Point]:
    for index, architecture in enumerate(plan.architectures):
        known = costs_of(architecture)
        yield Point(
            id=architecture.id,
            macs=known.macs,
            params=known.params,
            mixers=tuple(stage.mixer.name for stage in architecture.stages),
            proxy=tuple(value for value in proxy[:, index].tolist() if math.isfinite(value)),
            large=tuple(value for value in large[:, index].tolist() if math.isfinite(value)),
        )


def _notes(plan: Plan, records: Mapping[tuple[str, str, int], Record]) -> Iterator[str]:
    """What is missing, a line for each kind of it."""
    for name, reasons in plan.impossible.items():
        yield f"{name}: {len(reasons)} of {len(plan.architectures)} architectures cannot be built so ({reasons[0]})"
    for line in _failures(records):
        yield f"failed: {line}"
    for name in SCORES:
        values = [record["scores"][name][0] for record in records.values() if "scores" in record]
        missing = [value for value in values if isinstance(value, str)]
        if missing:
            yield f"{SCORES[name]}: {len(missing)} untrained networks have none ({missing[0]})"


def _failures(records: Mapping[tuple[str, str, int], Record]) -> list[str]:
    """Each architecture and budget of which a training failed, with the last reason."""
    failed: dict[tuple[str, str], list[str]] = {}
    for (budget, architecture, _), record in records.items():
        if "failure" in record:
            failed.setdefault((architecture, budget), []).append(record["failure"])
    return [
        f"{architecture}, {budget}{f', {len(reasons)} trainings' if len(reasons) > 1 else ''}: {reasons[-1]}"
        for (architecture, budget), reasons in failed.items()
    ]
