"""What `nas fidelity` says of records whose truth is known: rows, costs, noise, verdict, terminal, JSON and page."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from nas.analysis.statistics import Estimate
from nas.errors import StudyError
from nas.fidelity import page, tables as show
from nas.fidelity.figure import accuracy_figure, accuracy_info, cost_figure, cost_info, rank_figure
from nas.fidelity.findings import findings_of
from nas.fidelity.plan import Plan, budgets_of, plan_of, sample_over_costs
from nas.fidelity.values import Findings, Proxy
from nas.fidelity.verdict import share_text, verdict
from search_space import SearchSpace, cost
from trainers.config import TrainConfig

COUNT, SEEDS = 12, 3
Records = dict[tuple[str, str, int], dict[str, Any]]

STAGE = {
    "mixer": {"conv": {"k": [3, 5]}, "pool": None},
    "depth": [1, 2, 3],
    "width": [8, 16, 24, 32, 48],
}
NOISE = {
    "proxy": 0.03, "large": 0.01, "epochs/2": 0.02, "epochs/4": 0.2,
    "images/2": 0.03, "images/4": 0.05, "pixels/2": 0.02,
}  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Twelve architectures; patches of 8 pixels do not fit images of half the size."""
    space = SearchSpace.from_dict(
        {"stages": [STAGE], "image_size": 8, "in_chans": 1, "num_classes": 10, "stem": {"patch": [2, 8]}}
    )
    return plan_of(sample_over_costs(space, {}, COUNT, 0), budgets_of(TrainConfig(epochs=8), 4), SEEDS, 0)


def record_of(accuracy: float, epochs: int, second: float) -> dict[str, Any]:
    """A curve that comes to `accuracy` in `epochs` of a `second` each, in a straight line."""
    return {"curve": [[accuracy * (e + 1) / epochs, second] for e in range(epochs)]}


@pytest.fixture(scope="module")
def records(plan: Plan) -> Records:
    """The truth is how deep in the list an architecture stands, but for two that change places, plus noise of each budget."""
    rng = np.random.default_rng(0)
    order = [a.id for a in plan.architectures]
    order[3], order[9] = order[9], order[3]
    truth = {one: 0.5 + 0.03 * place for place, one in enumerate(order)}
    found: Records = {}
    for job in plan.jobs:
        place = ("scores" if job.budget is None else job.budget.name, job.id, job.number)
        if job.budget is None:
            scores = {"naswot": [rng.normal(), 0.08], "synflow": [truth[job.id], 0.04], "zico": ["it is inf", 0.1]}
            found[place] = {"scores": scores}
        else:
            second = 1.0 / job.budget.images
            accuracy = truth[job.id] + rng.normal(scale=NOISE[job.budget.name])
            found[place] = record_of(accuracy, job.budget.epochs, second)
    return found


def findings(plan: Plan, records: Mapping[tuple[str, str, int], Any], seeds: int = SEEDS) -> Findings:
    return findings_of(plan, records, seeds, study="a <b>", dataset="digits", describe_s=0.004, seed=0)


@pytest.fixture(scope="module")
def found(plan: Plan, records: Records) -> Findings:
    return findings(plan, records)


def accuracies(plan: Plan, records: Records, budget: str) -> np.ndarray[Any, Any]:
    """`(S, N)`."""
    return np.array(
        [[records[budget, a.id, s]["curve"][-1][0] for a in plan.architectures] for s in range(SEEDS)], np.float64
    )


def named(found: Findings, name: str) -> Proxy:
    proxy = found.named(name)
    assert proxy is not None
    return proxy


def test_a_row_is_the_mean_over_seeds_of_its_correlation_with_the_large_budgets_means(
    plan: Plan, records: Records, found: Findings
) -> None:
    reference = accuracies(plan, records, "large").mean(axis=0)
    for name in ("proxy", "epochs/2", "images/4"):
        rows = accuracies(plan, records, name)
        proxy = named(found, name)
        assert proxy.kendall.value == pytest.approx(np.mean([stats.kendalltau(r, reference).statistic for r in rows]))
        assert proxy.spearman.value == pytest.approx(np.mean([stats.spearmanr(r, reference).statistic for r in rows]))
        upper = np.argsort(-reference)[: COUNT // 2]
        theirs = [stats.kendalltau(r[upper], reference[upper]).statistic for r in rows]
        assert proxy.upper.value == pytest.approx(np.mean(theirs))
        assert proxy.kendall.low < proxy.kendall.value < proxy.kendall.high
        assert proxy.count == COUNT
        assert proxy.loss.value == pytest.approx(named(found, "proxy").kendall.value - proxy.kendall.value)
    assert named(found, "proxy").loss == Estimate(0, 0, 0)


def test_the_large_budget_is_judged_by_its_other_seeds(plan: Plan, records: Records, found: Findings) -> None:
    rows = accuracies(plan, records, "large")
    pairs = [(rows[0], rows[1:].mean(axis=0)), (rows[1], rows[::2].mean(axis=0)), (rows[2], rows[:2].mean(axis=0))]
    expected = np.mean([stats.kendalltau(*pair).statistic for pair in pairs])
    assert named(found, "large").kendall.value == pytest.approx(expected)


def test_costs_are_shares_of_the_proxys_seconds(plan: Plan, found: Findings) -> None:
    costs = {proxy.name: proxy.cost for proxy in found.proxies}
    assert costs == {
        "proxy": 1, "large": 4, "cut/1": 1 / 8, "cut/2": 1 / 4, "cut/4": 1 / 2, "epochs/2": 1 / 2, "epochs/4": 1 / 4,
        "images/2": 1 / 2, "images/4": 1 / 4, "pixels/2": 1, "naswot": pytest.approx(0.01),
        "synflow": pytest.approx(0.005), "zico": None, "params": pytest.approx(0.0005),
        "macs": pytest.approx(0.0005),
    }  # fmt: skip
    assert found.proxy_s == 8
    known = [proxy.cost for proxy in found.proxies if proxy.cost is not None]
    assert known == sorted(known, reverse=True)


def test_a_straight_curve_that_is_cut_off_ranks_as_the_whole(found: Findings) -> None:
    for name in ("cut/1", "cut/2", "cut/4"):
        assert named(found, name).kendall.value == pytest.approx(named(found, "proxy").kendall.value)


def test_costs_alone_rank_as_they_do(plan: Plan, records: Records, found: Findings) -> None:
    reference = accuracies(plan, records, "large").mean(axis=0)
    for name in ("macs", "params"):
        values = [getattr(cost(architecture), name) for architecture in plan.architectures]
        assert named(found, name).kendall.value == pytest.approx(stats.kendalltau(values, reference).statistic)


def test_noise_is_that_of_the_records(plan: Plan, records: Records, found: Findings) -> None:
    for name in ("proxy", "large"):
        rows = 100 * accuracies(plan, records, name)
        noise = found.noise[name]
        assert noise.deviation.value == pytest.approx(math.sqrt(rows.var(axis=0, ddof=1).mean()))
        assert noise.deviation.low < 100 * NOISE[name] < noise.deviation.high
        assert noise.spread == pytest.approx(rows.mean(axis=0).std(ddof=1))
        repeat = [stats.kendalltau(rows[i], rows[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
        assert noise.repeat.value == pytest.approx(np.mean(repeat))


def test_what_does_not_fit_smaller_images_is_left_out_of_that_row_and_of_what_it_is_compared_with(
    plan: Plan, records: Records, found: Findings
) -> None:
    fit = np.array([a.stem.patch == 2 for a in plan.architectures])
    row = named(found, "pixels/2")
    assert 3 <= row.count == fit.sum() < COUNT
    reference = accuracies(plan, records, "large").mean(axis=0)
    full = [stats.kendalltau(r[fit], reference[fit]).statistic for r in accuracies(plan, records, "proxy")]
    assert row.loss.value == pytest.approx(np.mean(full) - row.kendall.value)
    assert any(note.startswith(f"pixels/2: {COUNT - row.count} of {COUNT} architectures") for note in found.notes)


def test_failures_are_left_out_and_named(plan: Plan, records: Records) -> None:
    first, second = plan.architectures[0].id, plan.architectures[1].id
    failed = {s: {"failure": "MemoryError: 2 TB"} for s in range(SEEDS)}
    torn = records | {("proxy", first, 0): failed[0]} | {("large", second, s): failed[s] for s in failed}
    found = findings(plan, torn)
    assert named(found, "proxy").count == COUNT - 1
    assert len(found.points[0].proxy) == SEEDS - 1
    assert found.points[1].large == ()
    assert f"failed: {first}, proxy: MemoryError: 2 TB" in found.notes
    assert f"failed: {second}, large, {SEEDS} trainings: MemoryError: 2 TB" in found.notes
    assert f"ZiCo: {COUNT * SEEDS} untrained networks have none (it is inf)" in found.notes
    json.dumps(found.to_dict(), allow_nan=False)


def test_too_few_that_could_be_trained_end_the_run(plan: Plan, records: Records) -> None:
    failed = {place: {"failure": "MemoryError: 2 TB"} for place in records if place[1] != plan.architectures[0].id}
    with pytest.raises(StudyError, match=r"only 1 of 12 architectures could be trained: .*MemoryError: 2 TB"):
        findings(plan, records | failed)


def test_with_one_seed_there_is_no_noise_to_tell(plan: Plan, records: Records) -> None:
    found = findings(plan, records, seeds=1)
    assert math.isnan(found.noise["proxy"].deviation.value)
    assert math.isnan(named(found, "large").kendall.value)
    assert any("--seeds 2" in sentence for sentence in verdict(found))
    assert found.to_dict()["noise"]["proxy"]["deviation"] == {"value": None, "low": None, "high": None}
    assert "NaN" not in page.page(found).partition("<script>")[0]


def altered(found: Findings, **changes: Mapping[str, Any]) -> Findings:
    """`found` with changes of the proxies named, underscores for slashes."""
    proxies = [replace(p, **changes.get(p.name.replace("/", "_"), {})) for p in found.proxies]
    return replace(found, proxies=tuple(proxies))


def test_the_verdict_names_the_cheapest_that_keeps_the_ranking(found: Findings) -> None:
    worse, alike = Estimate(0.06, 0.0, 0.1), Estimate(0.05, -0.01, 0.1)
    names = [p.name.replace("/", "_") for p in found.proxies if p.name != "proxy"]
    changes: dict[str, dict[str, Any]] = {name: {"loss": worse} for name in names}
    said = verdict(altered(found, **changes))
    assert "Nothing cheaper that was tried comes within 0.05 of the proxy's tau." in said
    changes |= {name: {"loss": alike} for name in ("epochs_2", "images_4", "large")}
    (sentence,) = [line for line in verdict(altered(found, **changes)) if "cheapest" in line]
    assert "1/4 of the images, at 25 % of the cost; it loses 0.05 of tau (95 %: -0.01 to 0.10)" in sentence
    changes |= {"synflow": {"loss": Estimate(-0.02, -0.1, 0.1)}}
    (sentence,) = [line for line in verdict(altered(found, **changes)) if "cheapest" in line]
    assert "SynFlow, at 0.5 % of the cost; it loses nothing of tau" in sentence


def test_the_verdict_claims_nothing_of_a_proxy_that_may_not_rank(found: Findings) -> None:
    said = " ".join(verdict(altered(found, proxy={"kendall": Estimate(0.3, -0.1, 0.6)})))
    assert "no evidence yet that the proxy ranks at all" in said
    assert "cheapest" not in said


def test_the_verdict_compares_scores_and_the_proxy_with_what_costs_tell(found: Findings) -> None:
    def tau(value: float) -> dict[str, Estimate]:
        return {"kendall": Estimate(value, 0.1, 1.0)}

    low, high = tau(0.2), tau(0.6)
    better = " ".join(verdict(altered(found, naswot=low, synflow=high, macs=tau(0.5), params=low, proxy=tau(0.7))))
    assert "SynFlow (tau 0.60), tells more than the number of MACs (0.50)" in better
    assert "ranks as well as the proxy" not in better
    worse = " ".join(verdict(altered(found, naswot=low, synflow=low, macs=low, params=high, proxy=tau(0.5))))
    assert "tells no more than the number of parameters (0.60)" in worse
    assert "The number of parameters alone (tau 0.60) ranks as well as the proxy." in worse


@pytest.mark.parametrize(
    ("share", "text"), [(0.25, "25 %"), (0.1, "10 %"), (0.0031, "0.31 %"), (4, "400 %"), (8e-5, "<0.01 %")]
)
def test_shares_are_told_in_percent(share: float, text: str) -> None:
    assert share_text(share) == text


def printed(found: Findings, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(show.summary(found))
    return console.export_text()


def test_the_terminal_fits_80_columns_and_has_a_line_for_each_way_of_ranking(found: Findings) -> None:
    text = printed(found)
    assert max(map(len, text.splitlines())) <= 80
    for proxy in found.proxies:
        lines = [line for line in text.splitlines() if line.strip().startswith(proxy.label)]
        assert lines, proxy.label
    (line,) = [line for line in text.splitlines() if line.strip().startswith("proxy: 8 epochs")]
    proxy = named(found, "proxy")
    assert line.split()[3:6] == ["100", "%", f"{proxy.kendall.value:.2f}"]
    assert f"[{proxy.spearman.low:.2f}, {proxy.spearman.high:.2f}]" in line
    assert line.split()[-1] == f"{proxy.upper.value:.2f}"
    assert all(sentence.split()[0] in text for sentence in verdict(found))


def test_the_json_is_plain_and_whole(found: Findings) -> None:
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [proxy["name"] for proxy in record["proxies"]] == [proxy.name for proxy in found.proxies]
    assert record["proxies"][0]["kendall"].keys() == {"value", "low", "high"}
    assert record["noise"].keys() == {"proxy", "large"}
    assert [point["id"] for point in record["points"]] == [point.id for point in found.points]
    assert (record["study"], record["seeds"], record["proxy_s"]) == ("a <b>", SEEDS, 8)


def test_figures_show_what_was_found(found: Findings) -> None:
    info = cost_info(found)
    assert [mark.cost for mark in info.marks] == sorted(p.cost for p in found.proxies if p.cost is not None)
    assert info.proxy_tau == named(found, "proxy").kendall.value
    drawn = cost_figure(info)
    points = {(x, y) for trace in drawn.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert info.nothing == pytest.approx(0.005 / 3)  # a third of SynFlow's
    assert points == {(max(mark.cost, info.nothing), mark.tau) for mark in info.marks}
    assert set(drawn.layout.xaxis.ticktext) >= {"≈ 0", "1 %", "10 %", "100 %"}
    assert {text.strip() for trace in drawn.data for text in trace.text} >= {"NASWOT", "at 4", "2 ep.", "1/2", "MACs"}
    accuracy = accuracy_info(found)
    (trace,) = accuracy_figure(accuracy).data
    point = found.points[4]
    assert trace.x[4] == pytest.approx(sum(point.proxy) / SEEDS)
    assert trace.y[4] + trace.error_y.array[4] == pytest.approx(max(point.large))
    assert trace.x[4] - trace.error_x.arrayminus[4] == pytest.approx(min(point.proxy))
    assert trace.marker.color[4] == pytest.approx(math.log10(point.macs))
    ranks, diagonal = rank_figure(accuracy).data
    assert list(ranks.x) == (COUNT + 1 - stats.rankdata(accuracy.x)).tolist()
    assert list(ranks.y) == (COUNT + 1 - stats.rankdata(accuracy.y)).tolist()
    assert list(diagonal.x) == list(diagonal.y) == [1, COUNT]


def test_the_page_is_whole_escaped_and_asks_nothing_of_a_network(found: Findings, tmp_path: Path) -> None:
    hostile = replace(found, notes=("</script><script>alert(1)</script>",))
    file = page.write(hostile, tmp_path / "new" / "fidelity.html")
    text = file.read_text(encoding="utf-8")
    before, _, _ = text.partition("<script>")
    assert "<h1>Fidelity of a &lt;b&gt;</h1>" in before
    assert "alert(1)" in before
    assert "<script>alert(1)" not in text
    assert "default-src 'none'" in before
    assert not re.search(r"<script [^>]*src=|<link|<img", before)
    for sentence in verdict(found):
        assert sentence.replace("'", "&#x27;") in before
    data: Callable[[str], Any] = json.loads
    figures = data(re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[0])["figures"]
    assert [figure["title"] for figure in figures] == [
        "Correlation over cost",
        "Accuracy: the large budget over the proxy",
        "Places: the large budget over the proxy",
    ]
