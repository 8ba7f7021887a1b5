"""What the trainings of a fidelity run say, as values: proxies, noise, architectures, and all of it as JSON."""

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
}
"""Ways of ranking, in the order that tables and legends name them."""


@dataclass(frozen=True)
class Proxy:
    """A way of ranking architectures.

    Args:
        name: "proxy", "large", "cut/5" (stopped after 5 epochs), "epochs/2", "naswot", "macs", ...
        label: what tables call it.
        family: a key of `FAMILIES`.
        cost: seconds, as a share of the study's proxy; None if nothing tells.
        count: architectures that it was tried on.
        kendall, spearman: with the reference.
        upper: Kendall's tau among the better half by the reference, which a search is about.
        loss: by how much the study's proxy, on the same architectures, has the higher tau.
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
    """How much trainings of one architecture differ.

    Args:
        epochs: of the budget.
        deviation: standard deviation of one training, in points of accuracy.
        spread: standard deviation of the architectures' means, in points.
        repeat: Kendall's tau between two trainings of all architectures.
    """

    epochs: int
    deviation: Estimate
    spread: float
    repeat: Estimate


@dataclass(frozen=True)
class Point:
    """An architecture: its costs, and its accuracies at both budgets, a seed each, without those that failed."""

    id: str
    macs: int
    params: int
    mixers: tuple[str, ...]
    proxy: tuple[float, ...]
    large: tuple[float, ...]


@dataclass(frozen=True)
class Findings:
    """All of it.

    Args:
        study: its name.
        dataset: what it trains on.
        seeds: trainings of an architecture at each budget.
        proxy_s: mean seconds of a training of the study's proxy.
        noise: of "proxy" and "large".
        proxies: by falling cost.
        points: by rising MACs.
        notes: what could not be trained, and why.
    """

    study: str
    dataset: str
    seeds: int
    proxy_s: float
    noise: Mapping[str, Noise]
    proxies: tuple[Proxy, ...]
    points: tuple[Point, ...]
    notes: tuple[str, ...]

    def named(self, name: str) -> Proxy | None:
        """The proxy called `name`, if there is one."""
        return next((proxy for proxy in self.proxies if proxy.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; the fields are those of the classes, estimates are {"value", "low", "high"}, what is unknown null."""
        return dict(to_plain_json(asdict(self)))
