"""A fidelity run in the terminal: renderables of rich for 80 columns, readable without colour; nothing is printed here."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nas.analysis.statistics import Estimate
from nas.fidelity.values import Findings, RankingMethod
from nas.fidelity.verdict import share_text, verdict
from nas.formatting import MISSING, count, duration
from nas.terminal.fitting_table import FittingTable


def summary(findings: Findings) -> RenderableType:
    """The setting, a row for each way of ranking, the noise, the verdict, and what was left out."""
    large = findings.noise["large"].epochs
    about = (
        f"{findings.study} on {findings.dataset}: {count(len(findings.points), 'architecture')},"
        f" {count(findings.seeds, 'seed')}, {duration(findings.proxy_s)} a training of the proxy. Correlations of one"
        f" training, or one score, with the mean accuracy after {large} epochs; 95 % intervals by bootstrap over"
        f" architectures:"
    )
    parts: list[RenderableType] = [Text(about), proxies_table(findings), noise_table(findings)]
    parts += [Text(f"- {sentence}") for sentence in verdict(findings)]
    parts += [Text(f"- {note}", style="dim") for note in findings.notes]
    return Group(*parts)


def proxies_table(findings: Findings) -> Table:
    """A row for each way of ranking, the most expensive first."""
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("ranked by", overflow="fold")
    for head in ("cost", "Kendall tau", "Spearman rho", "upper\nhalf"):
        table.add_column(head, justify="right", no_wrap=True)
    for proxy in findings.proxies:
        correlations = (interval_text(proxy.kendall), interval_text(proxy.spearman), number_text(proxy.upper.value))
        style = "bold" if proxy.family == "proxy" else None
        table.add_row(label_text(findings, proxy), cost_text(proxy), *correlations, style=style)
    return table


def noise_table(findings: Findings) -> Table:
    """A row for the proxy and one for the large budget: differences between trainings, and between architectures."""
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("points of accuracy", overflow="fold")
    for head in ("noise of\none training", "spread of\narchitectures", "tau of\ntwo trainings"):
        table.add_column(head, justify="right", no_wrap=True)
    for noise in findings.noise.values():
        cells = (interval_text(noise.deviation), number_text(noise.spread), interval_text(noise.repeat))
        table.add_row(count(noise.epochs, "epoch"), *cells)
    return table


def label_text(findings: Findings, proxy: RankingMethod) -> str:
    """The label of `proxy`, with the number of architectures if some could not be ranked."""
    total = sum(1 for point in findings.points if point.large)
    return proxy.label if proxy.count == total else f"{proxy.label} ({proxy.count} of {total})"


def cost_text(proxy: RankingMethod) -> str:
    """The cost of `proxy` as a share: `25 %`."""
    return MISSING if proxy.cost is None else share_text(proxy.cost)


def interval_text(estimate: Estimate) -> str:
    """A value with its interval: `0.71 [0.42, 0.90]`."""
    if math.isnan(estimate.low):
        return number_text(estimate.value)
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def number_text(number: float) -> str:
    """`0.71`, or a dash for NaN."""
    return MISSING if math.isnan(number) else f"{number:.2f}"
