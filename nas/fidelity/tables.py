"""A fidelity run in the terminal: renderables of rich, good at 80 columns and without colour; nothing here prints."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.analysis.statistics import Estimate
from nas.fidelity.values import Findings, Proxy
from nas.fidelity.verdict import share_text, verdict
from nas.formatting import MISSING, count, duration


def summary(found: Findings) -> RenderableType:
    """What was trained, a row for each way of ranking, the noise, the verdict, what could not be had."""
    large = found.noise["large"].epochs
    about = (
        f"{found.study} on {found.dataset}: {count(len(found.points), 'architecture')}, {count(found.seeds, 'seed')},"
        f" {duration(found.proxy_s)} a training of the proxy. Correlations of one training, or score, with the mean"
        f" accuracy after {large} epochs, 95 % intervals by bootstrap over architectures:"
    )
    parts: list[RenderableType] = [Text(about), proxies_table(found), noise_table(found)]
    parts += [Text(f"- {sentence}") for sentence in verdict(found)]
    parts += [Text(f"- {note}", style="dim") for note in found.notes]
    return Group(*parts)


def proxies_table(found: Findings) -> Table:
    """A row for each way of ranking, by falling cost."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("ranked by", overflow="fold")
    for head in ("cost", "Kendall tau", "Spearman rho", "upper\nhalf"):
        table.add_column(head, justify="right", no_wrap=True)
    for proxy in found.proxies:
        cells = (cost_text(proxy), interval(proxy.kendall), interval(proxy.spearman), value(proxy.upper.value))
        style = "bold" if proxy.family == "proxy" else None
        table.add_row(label_text(found, proxy), *cells, style=style)
    return table


def noise_table(found: Findings) -> Table:
    """A row for each of the two budgets: how much its trainings differ, how much the architectures do."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("points of accuracy", overflow="fold")
    for head in ("noise of\none training", "spread of\narchitectures", "tau of\ntwo trainings"):
        table.add_column(head, justify="right", no_wrap=True)
    for noise in found.noise.values():
        cells = (interval(noise.deviation), value(noise.spread), interval(noise.repeat))
        table.add_row(count(noise.epochs, "epoch"), *cells)
    return table


def label_text(found: Findings, proxy: Proxy) -> str:
    """Its label, with the number of architectures if it could not be tried on all."""
    total = sum(1 for point in found.points if point.large)
    return proxy.label if proxy.count == total else f"{proxy.label} ({proxy.count} of {total})"


def cost_text(proxy: Proxy) -> str:
    """`25 %`."""
    return MISSING if proxy.cost is None else share_text(proxy.cost)


def interval(estimate: Estimate) -> str:
    """`0.71 [0.42, 0.90]`."""
    if math.isnan(estimate.low):
        return value(estimate.value)
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def value(number: float) -> str:
    """`0.71`."""
    return MISSING if math.isnan(number) else f"{number:.2f}"
