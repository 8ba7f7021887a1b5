"""What a fidelity run comes to, in sentences: for the terminal, the page and the JSON alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from nas.analysis.statistics import Estimate
from nas.fidelity.values import Findings, Proxy

KEEPS = 0.05  # a cheaper proxy keeps the ranking if its tau is at most so much lower


def verdict(found: Findings) -> list[str]:
    """What it comes to, in sentences; empty if neither budget could be judged."""
    proxy, large = found.named("proxy"), found.named("large")
    if proxy is None or large is None:
        return []
    sentences = [_about_proxy(found, proxy, large), *_about_noise(found)]
    tried = [p for p in found.proxies if p.cost is not None and p.cost < 1 and p.count == proxy.count]
    if proxy.kendall.low > 0:
        sentences.append(_about_cheaper(tried))
    else:
        sentences.append("That is no evidence yet that the proxy ranks at all: a larger --sample would tell.")
    return [*sentences, *_about_scores(proxy, tried)]


def _about_cheaper(tried: Sequence[Proxy]) -> str:
    """The cheapest that keeps the ranking."""
    keeping = [p for p in tried if p.family not in ("proxy", "cost") and p.loss.value <= KEEPS]
    if not keeping:
        return f"Nothing cheaper that was tried comes within {KEEPS:g} of the proxy's tau."
    best = min(keeping, key=lambda p: p.cost or 0)
    loss = f"loses {best.loss.value:.2f} of tau" if best.loss.value > 0 else "loses nothing of tau"
    return (
        f"The cheapest that is within {KEEPS:g} of the proxy's tau: {best.label}, at {share_text(best.cost)} of the cost;"
        f" it {loss} (95 %: {range_text(best.loss)})."
    )


def _about_proxy(found: Findings, proxy: Proxy, large: Proxy) -> str:
    epochs = found.noise["large"].epochs
    text = f"The proxy ranks as {epochs} epochs do with tau {estimate_text(proxy.kendall)}"
    if math.isfinite(large.kendall.value):
        text += f"; one training of {epochs} epochs itself reaches {estimate_text(large.kendall)}"
    return text + "."


def _about_noise(found: Findings) -> Iterator[str]:
    noise = found.noise["proxy"]
    if math.isfinite(noise.deviation.value):
        yield (
            f"One training of the proxy is {estimate_text(noise.deviation)} points of accuracy uncertain, and the"
            f" architectures differ by {noise.spread:.2f} (standard deviations)."
        )
    else:
        yield "With one seed there is no telling how noisy a training is; --seeds 2 or more does."


def _about_scores(proxy: Proxy, tried: Sequence[Proxy]) -> Iterator[str]:
    """Whether the proxy, and training-free scores, are worth having: more than what the costs tell."""
    scores, costs = (
        [p for p in tried if p.family == family and math.isfinite(p.kendall.value)] for family in ("score", "cost")
    )
    if not costs:
        return
    plain = max(costs, key=lambda p: p.kendall.value)
    if plain.kendall.value >= proxy.kendall.value:
        yield f"The number of {plain.label} alone (tau {plain.kendall.value:.2f}) ranks as well as the proxy."
    if scores:
        best = max(scores, key=lambda p: p.kendall.value)
        more = "more" if best.kendall.value > plain.kendall.value else "no more"
        yield (
            f"The best training-free score, {best.label} (tau {best.kendall.value:.2f}), tells {more} than the number of"
            f" {plain.label} ({plain.kendall.value:.2f})."
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
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
