"""Simulated searches on small tables, against results worked out by hand, and the statistics of runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from nas.analysis.front import Volume
from nas.bench.column_roles import ColumnOptions
from nas.bench.compare import Contest, compare, create_entries
from nas.bench.samplers import find_sampler
from nas.bench.simulation import MAX_REFUSALS_IN_A_ROW, RunResult, RunSpec, simulate
from nas.bench.summary import SamplerSummary, Spread, benchmark_to_dict, quantile, summarize, trainings_to
from nas.bench.table import BenchmarkTable, load_table
from nas.errors import UnknownNameError
from nas.execution.base import open_executor
from nas.sampler.registry import SAMPLERS, benchmark_names, register
from nas.study.config import Resources

# acc and cost in the unit box: (0, 1), (.5, .5), (1, 0), (.5, .75); the front is all but the second, its volume 3/8
SQUARE = "k,d,acc,cost\n1,1,0,0\n1,2,0.5,2\n2,1,1,4\n2,2,0.5,1\n"


@pytest.fixture
def square(tmp_path: Path) -> BenchmarkTable:
    (tmp_path / "square.csv").write_text(SQUARE)
    return load_table(tmp_path / "square.csv", ColumnOptions(objectives=("acc", "cost:min:cheap")))


@pytest.fixture
def grid(tmp_path: Path) -> BenchmarkTable:
    """27 combinations, 24 of them in the table, 2 of which fail."""
    lines = ["a,b,c,accuracy,macs,params"]
    for i, (a, b, c) in enumerate(itertools.product(range(3), range(3), "xyz")):
        if i % 9 != 4:
            accuracy = "" if i in (1, 20) else f"{0.5 + 0.05 * a + 0.03 * b + 0.1 * (c == 'y'):.3f}"
            lines.append(f"{a},{b},{c},{accuracy},{10 + 5 * a + b * b + i / 100},{1 + a}")
    (tmp_path / "grid.csv").write_text("\n".join(lines))
    return load_table(tmp_path / "grid.csv", ColumnOptions())


class Scripted(BaseSampler):
    """Proposes the given points in order, and the last one again and again."""

    def __init__(self, *points: dict[str, Any]) -> None:
        self.points = list(points)
        self.running: list[int] = []
        self.outcomes: list[tuple[TrialState, Any]] = []

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Any, trial: Any) -> None:
        self.running.append(len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))))
        self.proposal = self.points.pop(0) if len(self.points) > 1 else self.points[0]

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self.proposal[name]

    def after_trial(self, study: Any, trial: Any, state: TrialState, values: Any) -> None:
        self.outcomes.append((state, values))


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Registers a scripted sampler under the name "scripted", with the given properties."""

    def install(*points: dict[str, Any], **properties: bool) -> Scripted:
        sampler = Scripted(*points)
        SAMPLERS.pop("scripted", None)
        register("scripted", **properties)(lambda context: sampler)
        return sampler

    yield install
    SAMPLERS.pop("scripted", None)


def point(k: int, d: int) -> dict[str, Any]:
    return {"k": k, "d": d}


def test_shares_and_trainings_to_targets_worked_out_by_hand(
    square: BenchmarkTable, scripted: Callable[..., Scripted]
) -> None:
    scripted(point(1, 1), point(1, 2), point(2, 2), point(2, 1))
    run = simulate(square, RunSpec("scripted", 1, 0), 4)
    assert run.shares == pytest.approx([0, 0.25 / 0.375, 1, 1])
    assert [trainings_to(run.shares, target) for target in (0.5, 0.95, 0.99)] == [2, 3, 3]
    assert (run.refused, run.drawn, len(run.suggest_s)) == (0, 0, 4)


def test_duplicates_are_refused_and_never_counted(square: BenchmarkTable, scripted: Callable[..., Scripted]) -> None:
    sampler = scripted(point(1, 1), point(1, 1), point(1, 2), point(1, 1), point(1, 2), point(2, 2))
    run = simulate(square, RunSpec("scripted", 1, 0), 3)
    assert run.shares == pytest.approx([0, 2 / 3, 1])
    assert (run.refused, run.drawn) == (3, 0)
    assert [state for state, _ in sampler.outcomes].count(TrialState.FAIL) == 3


def test_sampler_that_learns_from_duplicates_gets_their_values(
    square: BenchmarkTable, scripted: Callable[..., Scripted]
) -> None:
    sampler = scripted(point(1, 2), point(1, 2), point(2, 2), learns_from_duplicates=True)
    run = simulate(square, RunSpec("scripted", 1, 0), 2)
    assert sampler.outcomes == [(TrialState.COMPLETE, values) for values in ([0.5, 2], [0.5, 2], [0.5, 1])]
    assert (len(run.shares), run.refused) == (2, 1)


def test_sampler_that_needs_log_values_gets_logarithms(tmp_path: Path, scripted: Callable[..., Scripted]) -> None:
    (tmp_path / "log.csv").write_text("k,d,acc,cost\n1,1,0.1,1\n1,2,0.5,100\n2,1,0.9,1000\n2,2,0.3,10\n")
    table = load_table(
        tmp_path / "log.csv", ColumnOptions(objectives=("acc", "cost:min:cheap:log"), choices=("k", "d"))
    )
    for needs_log_values, cost in ((True, 2.0), (False, 100.0)):
        sampler = scripted(point(1, 2), needs_log_values=needs_log_values)
        simulate(table, RunSpec("scripted", 1, 0), 1)
        assert sampler.outcomes == [(TrialState.COMPLETE, [0.5, cost])]


def test_after_many_refusals_an_untrained_row_is_drawn(
    square: BenchmarkTable, scripted: Callable[..., Scripted]
) -> None:
    scripted(point(1, 1))
    run = simulate(square, RunSpec("scripted", 1, 0), 100)
    assert len(run.shares) == len(square) == 4
    assert run.shares[-1] == pytest.approx(1)
    assert (run.refused, run.drawn) == (3 * MAX_REFUSALS_IN_A_ROW, 3)


def test_combinations_that_are_not_in_the_table_are_refused(tmp_path: Path, scripted: Callable[..., Scripted]) -> None:
    (tmp_path / "part.csv").write_text(SQUARE.replace("2,2,0.5,1\n", ""))
    table = load_table(tmp_path / "part.csv", ColumnOptions(objectives=("acc", "cost:min:cheap"), choices=("k", "d")))
    scripted(point(2, 2), point(1, 2), point(2, 2), point(2, 1), learns_from_duplicates=True)
    run = simulate(table, RunSpec("scripted", 1, 0), 2)
    assert run.shares == pytest.approx([1, 1])
    assert run.refused == 2


def test_failed_training_counts_and_adds_nothing(tmp_path: Path, scripted: Callable[..., Scripted]) -> None:
    (tmp_path / "failing.csv").write_text(SQUARE.replace("2,2,0.5,1", "2,2,,1"))
    table = load_table(
        tmp_path / "failing.csv", ColumnOptions(objectives=("acc", "cost:min:cheap"), choices=("k", "d"))
    )
    sampler = scripted(point(2, 2), point(1, 2))
    assert simulate(table, RunSpec("scripted", 1, 0), 2).shares == pytest.approx([0, 1])
    assert sampler.outcomes == [(TrialState.FAIL, None), (TrialState.COMPLETE, [0.5, 2])]


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_as_many_run_at_a_time_as_there_are_workers(
    grid: BenchmarkTable, scripted: Callable[..., Scripted], workers: int
) -> None:
    sampler = scripted(*grid.params)
    run = simulate(grid, RunSpec("scripted", workers, 5), 20)
    assert max(sampler.running) == workers
    assert sampler.running[:workers] == list(range(1, workers + 1))
    assert len(run.shares) == len(run.suggest_s) == len(sampler.outcomes) == 20
    assert list(run.shares) == sorted(run.shares)


def test_noise_affects_recorded_values_but_not_the_share(tmp_path: Path, scripted: Callable[..., Scripted]) -> None:
    (tmp_path / "noisy.csv").write_text(SQUARE.replace("2,2,0.5,1", "2,2,0.4;0.6,1"))
    table = load_table(tmp_path / "noisy.csv", ColumnOptions(objectives=("acc", "cost:min:cheap")))
    accuracies = set()
    for seed in range(12):
        sampler = scripted(point(2, 2))
        assert simulate(table, RunSpec("scripted", 1, seed), 1, noise=True).shares == pytest.approx([1])
        accuracies.add(sampler.outcomes[0][1][0])
    assert accuracies == {0.4, 0.6}


FAST = [name for name in benchmark_names() if name != "gp"]


def test_gp_runs(grid: BenchmarkTable) -> None:
    run = simulate(grid, RunSpec("gp", 1, 0), 11)  # its first 10 are random
    assert len(run.shares) == 11
    assert run.shares[-1] > run.shares[0]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", FAST)
def test_every_sampler_trains_each_row_once(
    grid: BenchmarkTable, monkeypatch: pytest.MonkeyPatch, name: str, workers: int
) -> None:
    trained = []
    train = BenchmarkTable.train
    monkeypatch.setattr(BenchmarkTable, "train", lambda self, row, rng: trained.append(row) or train(self, row, rng))
    run = simulate(grid, RunSpec(name, workers, 1), 1000)
    assert sorted(trained) == list(range(24))
    assert len(run.shares) == 24
    assert run.shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("name", FAST)
def test_run_repeats_from_its_seed(grid: BenchmarkTable, name: str) -> None:
    first, again, other = (simulate(grid, RunSpec(name, 2, seed), 15, noise=True) for seed in (3, 3, 4))
    assert first.shares == again.shares
    assert first.shares != other.shares


def test_unknown_sampler_lists_the_registered_ones() -> None:
    with pytest.raises(
        UnknownNameError, match=r"--samplers: no such sampler \(known: evolution, gp, .*did you mean nsga2"
    ):
        find_sampler("nsga")


@given(st.integers(1, 3).flatmap(lambda m: st.lists(st.tuples(*[st.integers(0, 4)] * m), min_size=1, max_size=8)))
def test_volume_equals_the_cells_that_are_dominated(points: list[tuple[int, ...]]) -> None:
    """The box as 4^m cells: a cell is dominated if a point reaches its far corner."""
    objectives = len(points[0])
    volume = Volume(objectives)
    for number in range(1, len(points) + 1):
        cells = itertools.product(range(1, 5), repeat=objectives)
        covered = sum(any(all(x >= c for x, c in zip(p, cell, strict=True)) for p in points[:number]) for cell in cells)
        assert volume.add(np.array(points[number - 1]) / 4) == pytest.approx(covered / 4**objectives)
    assert volume.add(np.full(objectives, math.nan)) == volume.value


def run_of(seed: int, *shares: float, sampler: str = "random", suggest_s: float = 0.5) -> RunResult:
    return RunResult(RunSpec(sampler, 1, seed), shares, (suggest_s,) * len(shares), 3, 1)


def test_spread_over_seeds_of_which_some_never_reach_the_target() -> None:
    runs = [run_of(0, 0.2, 0.96, 1), run_of(1, 0.95, 0.95, 0.95), run_of(2, 0.1, 0.2, 0.3), run_of(3, 0, 0, 0.99)]
    summary = SamplerSummary("random", 1, tuple(runs))
    assert summary.trainings_to(0.95) == Spread(1.75, 2.5, math.inf, math.inf)
    assert summary.trainings_to(0.99) == Spread(3, math.inf, math.inf, math.inf)
    assert summary.trainings_to(0.95).to_dict() == {"q1": 1.75, "median": 2.5, "q3": None, "max": None}
    assert summary.share_after(3).median == pytest.approx((0.95 + 0.99) / 2)
    assert summary.share_after(50) == summary.share_after(3)
    assert summary.refused_per_training == 1


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.floats(0, 1))
def test_quantile_of_finite_values_is_numpys(values: list[float], q: float) -> None:
    assert quantile(sorted(values), q) == pytest.approx(np.quantile(values, q), abs=1e-9)


def test_runs_are_ordered_by_seed_and_summaries_by_sampler(square: BenchmarkTable) -> None:
    entries = create_entries(["random", "tpe"], [1, 2], [7, 8])
    assert [(e.seed, e.workers, e.sampler) for e in entries[:5]] == [
        (7, 1, "random"), (7, 1, "tpe"), (7, 2, "random"), (7, 2, "tpe"), (8, 1, "random"),
    ]  # fmt: skip
    contest = Contest(square, entries, 4, noise=False)
    summaries = summarize(contest, [run_of(8, 0.5, sampler="tpe"), run_of(7, 0.5, sampler="tpe"), run_of(7, 0.1)])
    assert [(s.sampler, s.workers, [run.spec.seed for run in s.runs]) for s in summaries] == [
        ("random", 1, [7]),
        ("tpe", 1, [7, 8]),
    ]


def test_comparison_in_processes_gives_the_same_runs(square: BenchmarkTable) -> None:
    contest = Contest(square, create_entries(["random", "evolution"], [1], [0, 1]), 4, noise=False)
    steps: list[int] = []
    serial: dict[RunSpec, tuple[float, ...]] = {}
    parallel: dict[RunSpec, tuple[float, ...]] = {}
    compare(contest, lambda run: serial.update({run.spec: run.shares}), steps.append)
    with open_executor("local", Resources(workers=2, cpus_per_trial=1, gpus_per_trial=0), Path()) as executor:
        compare(contest, lambda run: parallel.update({run.spec: run.shares}), steps.append, executor)
    assert serial == parallel
    assert set(serial) == set(contest.entries)
    assert (steps.count(1), steps.count(4)) == (16, 4)


def test_report_is_in_the_units_of_the_table(grid: BenchmarkTable) -> None:
    contest = Contest(grid, create_entries(["random"], [1], [0]), 100, noise=False)
    runs: list[RunResult] = []
    compare(contest, runs.append)
    report = benchmark_to_dict(contest, summarize(contest, runs))
    assert report["reference"] == pytest.approx({"accuracy": 0.5, "macs": float(grid.values[:, 1].max())})
    assert (report["architectures"], report["combinations"], report["trainings"]) == (24, 27, 24)
    sampler = report["samplers"][0]
    assert sampler["share_at"]["24"]["median"] == pytest.approx(1)
    assert sampler["trainings_to"]["0.95"]["each"] == [sampler["trainings_to"]["0.95"]["median"]]
    assert len(sampler["runs"][0]["shares"]) == 24
