"""The findings of `nas fidelity` from records with known true accuracies: rows, costs, noise, failures, JSON, figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest
from scipy import stats

from nas.analysis.statistics import Estimate
from nas.errors import StudyError
from nas.fidelity import page
from nas.fidelity.figure import accuracy_figure, accuracy_info, cost_figure, cost_info, rank_figure
from nas.fidelity.plan import Plan
from nas.fidelity.values import Findings, RankingMethod
from nas.fidelity.verdict import verdict
from search_space import cost

Records: TypeAlias = dict[tuple[str, str, int], dict[str, Any]]
Judge: TypeAlias = Callable[..., Findings]

SEEDS = 3  # of the plan


def accuracies(plan: Plan, records: Records, budget: str) -> np.ndarray[Any, Any]:
    """The last accuracy of each training at `budget`, `(SEEDS, N)`."""
    rows = [[records[budget, a.id, seed]["curve"][-1][0] for a in plan.architectures] for seed in range(SEEDS)]
    return np.array(rows, np.float64)


def named(findings: Findings, name: str) -> RankingMethod:
    proxy = findings.proxy(name)
    assert proxy is not None
    return proxy


def test_a_row_is_the_mean_over_seeds_of_its_correlation_with_the_large_budgets_means(
    plan: Plan, records: Records, findings: Findings
) -> None:
    reference = accuracies(plan, records, "large").mean(axis=0)
    for name in ("proxy", "epochs/2", "images/4"):
        rows = accuracies(plan, records, name)
        proxy = named(findings, name)
        assert proxy.kendall.value == pytest.approx(np.mean([stats.kendalltau(r, reference).statistic for r in rows]))
        assert proxy.spearman.value == pytest.approx(np.mean([stats.spearmanr(r, reference).statistic for r in rows]))
        upper = np.argsort(-reference)[: len(plan.architectures) // 2]
        upper_taus = [stats.kendalltau(r[upper], reference[upper]).statistic for r in rows]
        assert proxy.upper.value == pytest.approx(np.mean(upper_taus))
        assert proxy.kendall.low < proxy.kendall.value < proxy.kendall.high
        assert proxy.count == len(plan.architectures)
        assert proxy.loss.value == pytest.approx(named(findings, "proxy").kendall.value - proxy.kendall.value)
    assert named(findings, "proxy").loss == Estimate(0, 0, 0)


def test_the_large_budget_is_judged_by_its_other_seeds(plan: Plan, records: Records, findings: Findings) -> None:
    rows = accuracies(plan, records, "large")
    pairs = [(rows[0], rows[1:].mean(axis=0)), (rows[1], rows[::2].mean(axis=0)), (rows[2], rows[:2].mean(axis=0))]
    expected = np.mean([stats.kendalltau(*pair).statistic for pair in pairs])
    assert named(findings, "large").kendall.value == pytest.approx(expected)


def test_costs_are_shares_of_the_proxys_seconds(plan: Plan, findings: Findings) -> None:
    costs = {proxy.name: proxy.cost for proxy in findings.proxies}
    assert costs == {
        "proxy": 1, "large": 4, "cut/1": 1 / 8, "cut/2": 1 / 4, "cut/4": 1 / 2, "epochs/2": 1 / 2, "epochs/4": 1 / 4,
        "images/2": 1 / 2, "images/4": 1 / 4, "pixels/2": 1, "naswot": pytest.approx(0.01),
        "synflow": pytest.approx(0.005), "zico": None, "params": pytest.approx(0.0005),
        "macs": pytest.approx(0.0005),
    }  # fmt: skip
    assert findings.proxy_s == 8
    finite = [proxy.cost for proxy in findings.proxies if proxy.cost is not None]
    assert finite == sorted(finite, reverse=True)


def test_a_linear_curve_that_stops_early_ranks_like_the_whole_training(findings: Findings) -> None:
    for name in ("cut/1", "cut/2", "cut/4"):
        assert named(findings, name).kendall.value == pytest.approx(named(findings, "proxy").kendall.value)


def test_costs_alone_rank_by_their_values(plan: Plan, records: Records, findings: Findings) -> None:
    reference = accuracies(plan, records, "large").mean(axis=0)
    for name in ("macs", "params"):
        values = [getattr(cost(architecture), name) for architecture in plan.architectures]
        assert named(findings, name).kendall.value == pytest.approx(stats.kendalltau(values, reference).statistic)


def test_noise_is_that_of_the_records(
    plan: Plan, records: Records, findings: Findings, noise_scales: Mapping[str, float]
) -> None:
    for name in ("proxy", "large"):
        rows = 100 * accuracies(plan, records, name)
        noise = findings.noise[name]
        assert noise.deviation.value == pytest.approx(math.sqrt(rows.var(axis=0, ddof=1).mean()))
        assert noise.deviation.low < 100 * noise_scales[name] < noise.deviation.high
        assert noise.spread == pytest.approx(rows.mean(axis=0).std(ddof=1))
        repeat = [stats.kendalltau(rows[i], rows[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
        assert noise.repeat.value == pytest.approx(np.mean(repeat))


def test_architectures_that_do_not_fit_smaller_images_are_left_out_of_that_row_and_of_its_loss(
    plan: Plan, records: Records, findings: Findings
) -> None:
    fit = np.array([a.stem.patch == 2 for a in plan.architectures])
    row = named(findings, "pixels/2")
    assert 3 <= row.count == fit.sum() < len(plan.architectures)
    reference = accuracies(plan, records, "large").mean(axis=0)
    full = [stats.kendalltau(r[fit], reference[fit]).statistic for r in accuracies(plan, records, "proxy")]
    assert row.loss.value == pytest.approx(np.mean(full) - row.kendall.value)
    assert any(
        note.startswith(f"pixels/2: {len(fit) - row.count} of {len(fit)} architectures") for note in findings.notes
    )


def test_failures_are_left_out_and_named(plan: Plan, records: Records, judge: Judge) -> None:
    first, second = plan.architectures[0].id, plan.architectures[1].id
    failed = {seed: {"failure": "MemoryError: 2 TB"} for seed in range(SEEDS)}
    torn = records | {("proxy", first, 0): failed[0]} | {("large", second, s): failed[s] for s in failed}
    findings = judge(torn)
    assert named(findings, "proxy").count == len(plan.architectures) - 1
    assert len(findings.points[0].proxy) == SEEDS - 1
    assert findings.points[1].large == ()
    assert f"failed: {first}, proxy: MemoryError: 2 TB" in findings.notes
    assert f"failed: {second}, large, {SEEDS} trainings: MemoryError: 2 TB" in findings.notes
    assert f"ZiCo: no score for {len(plan.architectures) * SEEDS} untrained networks (it is inf)" in findings.notes
    json.dumps(findings.to_dict(), allow_nan=False)


def test_too_few_trained_architectures_are_an_error(plan: Plan, records: Records, judge: Judge) -> None:
    failed = {place: {"failure": "MemoryError: 2 TB"} for place in records if place[1] != plan.architectures[0].id}
    with pytest.raises(StudyError, match=r"only 1 of 12 architectures could be trained: .*MemoryError: 2 TB"):
        judge(records | failed)


def test_with_one_seed_the_noise_is_unknown(records: Records, judge: Judge) -> None:
    findings = judge(records, seeds=1)
    assert math.isnan(findings.noise["proxy"].deviation.value)
    assert math.isnan(named(findings, "large").kendall.value)
    assert any("--seeds 2" in sentence for sentence in verdict(findings))
    assert findings.to_dict()["noise"]["proxy"]["deviation"] == {"value": None, "low": None, "high": None}
    assert "NaN" not in page.render(findings).partition("<script>")[0]


def test_the_json_is_plain_and_complete(findings: Findings) -> None:
    record = json.loads(json.dumps(findings.to_dict(), allow_nan=False))
    assert [proxy["name"] for proxy in record["proxies"]] == [proxy.name for proxy in findings.proxies]
    assert record["proxies"][0]["kendall"].keys() == {"value", "low", "high"}
    assert record["noise"].keys() == {"proxy", "large"}
    assert [point["id"] for point in record["points"]] == [point.id for point in findings.points]
    assert (record["study"], record["seeds"], record["proxy_s"]) == ("a <b>", SEEDS, 8)


def test_figures_show_the_findings(plan: Plan, findings: Findings) -> None:
    info = cost_info(findings)
    assert [mark.cost for mark in info.marks] == sorted(p.cost for p in findings.proxies if p.cost is not None)
    assert info.proxy_tau == named(findings, "proxy").kendall.value
    figure = cost_figure(info)
    points = {(x, y) for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert info.zero_cost == pytest.approx(0.005 / 3)  # a third of SynFlow's
    assert points == {(max(mark.cost, info.zero_cost), mark.tau) for mark in info.marks}
    assert set(figure.layout.xaxis.ticktext) >= {"≈ 0", "1 %", "10 %", "100 %"}
    assert {text.strip() for trace in figure.data for text in trace.text} >= {"NASWOT", "at 4", "2 ep.", "1/2", "MACs"}
    accuracy = accuracy_info(findings)
    (trace,) = accuracy_figure(accuracy).data
    point = findings.points[4]
    assert trace.x[4] == pytest.approx(sum(point.proxy) / SEEDS)
    assert trace.y[4] + trace.error_y.array[4] == pytest.approx(max(point.large))
    assert trace.x[4] - trace.error_x.arrayminus[4] == pytest.approx(min(point.proxy))
    assert trace.marker.color[4] == pytest.approx(math.log10(point.macs))
    ranks, diagonal = rank_figure(accuracy).data
    assert list(ranks.x) == (len(plan.architectures) + 1 - stats.rankdata(accuracy.x)).tolist()
    assert list(ranks.y) == (len(plan.architectures) + 1 - stats.rankdata(accuracy.y)).tolist()
    assert list(diagonal.x) == list(diagonal.y) == [1, len(plan.architectures)]
