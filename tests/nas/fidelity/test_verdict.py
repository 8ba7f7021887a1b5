"""The verdict of `nas fidelity` in sentences, and its terminal output."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from nas.analysis.statistics import Estimate
from nas.fidelity import tables
from nas.fidelity.values import Findings
from nas.fidelity.verdict import share_text, verdict


def altered(findings: Findings, **changes: Mapping[str, Any]) -> Findings:
    """`findings` with changed proxies; `changes` are by their names, with underscores for slashes."""
    proxies = [replace(p, **changes.get(p.name.replace("/", "_"), {})) for p in findings.proxies]
    return replace(findings, proxies=tuple(proxies))


def test_the_verdict_names_the_cheapest_that_keeps_the_ranking(findings: Findings) -> None:
    worse, equal = Estimate(0.06, 0.0, 0.1), Estimate(0.05, -0.01, 0.1)
    names = [p.name.replace("/", "_") for p in findings.proxies if p.name != "proxy"]
    changes: dict[str, dict[str, Any]] = {name: {"loss": worse} for name in names}
    sentences = verdict(altered(findings, **changes))
    assert "No cheaper way of ranking comes within 0.05 of the proxy's tau." in sentences
    changes |= {name: {"loss": equal} for name in ("epochs_2", "images_4", "large")}
    (sentence,) = [line for line in verdict(altered(findings, **changes)) if "cheapest" in line]
    assert "1/4 of the images, at 25 % of the cost; it loses 0.05 of tau (95 %: -0.01 to 0.10)" in sentence
    changes |= {"synflow": {"loss": Estimate(-0.02, -0.1, 0.1)}}
    (sentence,) = [line for line in verdict(altered(findings, **changes)) if "cheapest" in line]
    assert "SynFlow, at 0.5 % of the cost; it loses no tau" in sentence


def test_the_verdict_claims_nothing_of_a_proxy_that_may_not_rank(findings: Findings) -> None:
    text = " ".join(verdict(altered(findings, proxy={"kendall": Estimate(0.3, -0.1, 0.6)})))
    assert "no evidence yet that the proxy ranks at all" in text
    assert "cheapest" not in text


def test_the_verdict_compares_scores_and_the_proxy_with_the_costs(findings: Findings) -> None:
    def tau(value: float) -> dict[str, Estimate]:
        return {"kendall": Estimate(value, 0.1, 1.0)}

    low, high = tau(0.2), tau(0.6)
    better = " ".join(verdict(altered(findings, naswot=low, synflow=high, macs=tau(0.5), params=low, proxy=tau(0.7))))
    assert "SynFlow (tau 0.60), tells more than the number of MACs (0.50)" in better
    assert "ranks as well as the proxy" not in better
    worse = " ".join(verdict(altered(findings, naswot=low, synflow=low, macs=low, params=high, proxy=tau(0.5))))
    assert "tells no more than the number of parameters (0.60)" in worse
    assert "The number of parameters alone (tau 0.60) ranks as well as the proxy." in worse


@pytest.mark.parametrize(
    ("share", "text"), [(0.25, "25 %"), (0.1, "10 %"), (0.0031, "0.31 %"), (4, "400 %"), (8e-5, "<0.01 %")]
)
def test_shares_are_in_percent(share: float, text: str) -> None:
    assert share_text(share) == text


def printed(findings: Findings, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(tables.summary(findings))
    return console.export_text()


def test_the_terminal_fits_80_columns_and_has_a_line_for_each_way_of_ranking(findings: Findings) -> None:
    text = printed(findings)
    assert max(map(len, text.splitlines())) <= 80
    for proxy in findings.proxies:
        lines = [line for line in text.splitlines() if line.strip().startswith(proxy.label)]
        assert lines, proxy.label
    (line,) = [line for line in text.splitlines() if line.strip().startswith("proxy: 8 epochs")]
    proxy = findings.proxy("proxy")
    assert proxy is not None
    assert line.split()[3:6] == ["100", "%", f"{proxy.kendall.value:.2f}"]
    assert f"[{proxy.spearman.low:.2f}, {proxy.spearman.high:.2f}]" in line
    assert line.split()[-1] == f"{proxy.upper.value:.2f}"
    assert all(sentence.split()[0] in text for sentence in verdict(findings))
