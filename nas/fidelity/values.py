"""The findings of a fidelity run as values and as JSON: ways of ranking, noise, architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas.analysis.statistics import Estimate, to_plain_json

FAMILIES = {
    "proxy": "the study's proxy",
    "large": "the large budget",
    "cut": "stopped early",
    "epochs": "fewer epochs",
    "images": "fewer images",
    "pixels": "smaller images",
    "score": "training-free score",
    "cost": "cost alone",
    "inherited": "inherited weights",
}
"""Families of ways to rank, in the order of legends."""


@dataclass(frozen=True)
class RankingMethod:
    """A way to rank architectures, and how well it agrees with the reference: the large budget's mean accuracy.

    Args:
        name: "proxy", "large", "cut/5" (stopped after 5 epochs), "epochs/2", "naswot", "macs", ...
        label: its name in tables.
        family: a key of `FAMILIES`.
        cost: seconds, as a share of those of the study's proxy; None if unknown.
        count: number of architectures ranked.
        kendall: Kendall's tau-b with the reference.
        spearman: Spearman's rho with the reference.
        upper: Kendall's tau-b among the better half by the reference, the half that matters to a search.
        loss: tau of the study's proxy on the same architectures minus `kendall`.
    """

    name: str
    label: str
    family: str
    cost: float | None
    count: int
    kendall: Estimate
    spearman: Estimate
    upper: Estimate
    loss: Estimate


@dataclass(frozen=True)
class Noise:
    """The variation of the accuracy of an architecture between trainings with different seeds, at one budget.

    Args:
        epochs: epochs of the budget.
        deviation: standard deviation between trainings of one architecture, in points of accuracy.
        spread: standard deviation between the architectures' means, in points of accuracy.
        repeat: Kendall's tau-b between two trainings of all architectures.
    """

    epochs: int
    deviation: Estimate
    spread: float
    repeat: Estimate


@dataclass(frozen=True)
class Point:
    """An architecture: its costs, and its accuracies at both budgets, one for each seed whose training succeeded."""

    id: str
    macs: int
    params: int
    mixers: tuple[str, ...]
    proxy: tuple[float, ...]
    large: tuple[float, ...]


@dataclass(frozen=True)
class Findings:
    """The findings of a fidelity run.

    Args:
        study: the study's name.
        dataset: the dataset's name.
        seeds: trainings of each architecture at each budget.
        proxy_s: mean seconds of a training of the study's proxy.
        noise: of the budgets "proxy" and "large".
        proxies: all ways of ranking, the most expensive first.
        points: the architectures by rising MACs.
        notes: what could not be trained or scored, and why.
        inherited: Kendall's tau-b between the trainings of the study that have inherited weights and the mean accuracy of the
            proxy, which trains the same architectures from scratch; None without such trainings.
    """

    study: str
    dataset: str
    seeds: int
    proxy_s: float
    noise: Mapping[str, Noise]
    proxies: tuple[RankingMethod, ...]
    points: tuple[Point, ...]
    notes: tuple[str, ...]
    inherited: Estimate | None = None

    def proxy(self, name: str) -> RankingMethod | None:
        """The way of ranking called `name`, or None."""
        return next((proxy for proxy in self.proxies if proxy.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON with the fields of these classes; an estimate is {"value", "low", "high"}, an unknown value null.

        The key `inherited` is there only with inherited trainings.
        """
        plain = dict(to_plain_json(asdict(self)))
        if self.inherited is None:
            del plain["inherited"]
        return plain
