"""The conclusions of a fidelity run in sentences, the same in the terminal, on the page and in the JSON.

Scripts may read the sentences from `nas fidelity --json`; their wording is that of version 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from nas.analysis.statistics import Estimate
from nas.fidelity.values import Findings, RankingMethod
from nas.formatting import count, percent

MAX_TAU_LOSS = 0.05
"""A cheaper proxy keeps the ranking if its tau is lower by at most this."""


def verdict(findings: Findings) -> list[str]:
    """The conclusions, one sentence each; empty if there is no tau of one of the two budgets."""
    proxy, large = findings.proxy("proxy"), findings.proxy("large")
    if proxy is None or large is None:
        return []
    sentences = [_proxy_sentence(findings, proxy, large), *_inherited_sentences(findings), _noise_sentence(findings)]
    cheaper = [p for p in findings.proxies if p.cost is not None and p.cost < 1 and p.count == proxy.count]
    if proxy.kendall.low > 0:
        sentences.append(_cheaper_sentence(cheaper))
    else:
        sentences.append("That is no evidence yet that the proxy ranks at all: a larger --sample would tell.")
    return [*sentences, *_score_sentences(proxy, cheaper)]


def _cheaper_sentence(cheaper: Sequence[RankingMethod]) -> str:
    """The sentence on the cheapest way that ranks nearly as well as the proxy."""
    keeping = [p for p in cheaper if p.family not in ("proxy", "cost") and p.loss.value <= MAX_TAU_LOSS]
    if not keeping:
        return f"No cheaper way of ranking comes within {MAX_TAU_LOSS:g} of the proxy's tau."
    best = min(keeping, key=lambda p: p.cost or 0)
    loss = f"{best.loss.value:.2f} of tau" if best.loss.value > 0 else "no tau"
    return (
        f"The cheapest way of ranking within {MAX_TAU_LOSS:g} of the proxy's tau: {best.label}, at {share_text(best.cost)}"
        f" of the cost; it loses {loss} (95 %: {range_text(best.loss)})."
    )


def _proxy_sentence(findings: Findings, proxy: RankingMethod, large: RankingMethod) -> str:
    epochs = findings.noise["large"].epochs
    text = f"The proxy ranks as {epochs} epochs do with tau {estimate_text(proxy.kendall)}"
    if math.isfinite(large.kendall.value):
        text += f"; one training of {epochs} epochs itself reaches {estimate_text(large.kendall)}"
    return text + "."


def _inherited_sentences(findings: Findings) -> Iterator[str]:
    """The sentence on the trainings of the study that have inherited weights, if there are some."""
    inherited = findings.proxy("inherited")
    if inherited is not None and findings.inherited is not None:
        yield (
            f"The study's {count(inherited.count, 'training')} with inherited weights rank as trainings from scratch do with"
            f" tau {estimate_text(findings.inherited)}."
        )


def _noise_sentence(findings: Findings) -> str:
    noise = findings.noise["proxy"]
    if not math.isfinite(noise.deviation.value):
        return "With one seed, the noise of a training is unknown: use --seeds 2 or more."
    return (
        f"One training of the proxy is {estimate_text(noise.deviation)} points of accuracy uncertain, and the"
        f" architectures differ by {noise.spread:.2f} (standard deviations)."
    )


def _score_sentences(proxy: RankingMethod, cheaper: Sequence[RankingMethod]) -> Iterator[str]:
    """The sentences that compare the proxy and the training-free scores with the costs alone."""
    scores, costs = (
        [p for p in cheaper if p.family == family and math.isfinite(p.kendall.value)] for family in ("score", "cost")
    )
    if not costs:
        return
    best_cost = max(costs, key=lambda p: p.kendall.value)
    if best_cost.kendall.value >= proxy.kendall.value:
        yield f"The number of {best_cost.label} alone (tau {best_cost.kendall.value:.2f}) ranks as well as the proxy."
    if scores:
        best = max(scores, key=lambda p: p.kendall.value)
        comparison = "more" if best.kendall.value > best_cost.kendall.value else "no more"
        yield (
            f"The best training-free score, {best.label} (tau {best.kendall.value:.2f}), tells {comparison} than the number of"
            f" {best_cost.label} ({best_cost.kendall.value:.2f})."
        )


def estimate_text(estimate: Estimate) -> str:
    """`0.71 (0.42 to 0.90)`."""
    return f"{estimate.value:.2f} ({range_text(estimate)})"


def range_text(estimate: Estimate) -> str:
    """`0.42 to 0.90`."""
    return "no interval" if math.isnan(estimate.low) else f"{estimate.low:.2f} to {estimate.high:.2f}"


def share_text(share: float | None) -> str:
    """`25 %`, `0.31 %`, `<0.01 %`."""
    if share is None:
        return "an unknown share"
    if share < 1e-4:
        return "<0.01 %"
    return percent(share)
