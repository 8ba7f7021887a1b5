"""`nas bench search` as a command: its output, its figure and its errors."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import BaseSampler, RandomSampler
from rich.console import Console

from nas.bench import compare as comparing
from nas.bench.column_roles import ColumnOptions
from nas.bench.compare import Contest, create_entries
from nas.bench.figure import BenchmarkInfo, benchmark_figure, benchmark_info
from nas.bench.simulation import RunResult, RunSpec
from nas.bench.summary import Spread, summarize
from nas.bench.table import load_table
from nas.bench.terminal_tables import format_seconds, format_trainings, result_tables
from nas.cli import main as cli
from nas.sampler.registry import SAMPLERS, RegisteredSampler, SamplerContext

Nas = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """27 architectures: accuracy grows with cost, except for one operator that is free."""
    rows = {
        "".join(map(str, key)): {
            "test_acc": [70 + 3 * sum(key) + 2 * (key[0] == 1), 71 + 3 * sum(key)],
            "flops": 1000 + 100 * sum(k * k for k in key),
            "params": 10 + key[1],
        }
        for key in itertools.product(range(3), repeat=3)
    }
    path = tmp_path / "macro.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """The command in this process: exit code, output, errors."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


def test_prints_the_roles_of_columns_and_a_row_per_sampler_and_workers(nas: Nas, table: Path) -> None:
    words = ["--samplers", "pareto,random", "--seeds", 2, "--trainings", 12, "--workers", 1, "--workers", 3]
    code, out, err = nas("bench", "search", "--table", table, *words)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{table}: 27 architectures (3 x 3 x 3)"
    assert "objective   test_acc: to be maximised, known after training" in lines
    assert "objective   flops: to be minimised, known before training, on a log scale" in lines
    assert "features    params" in lines
    rows = [line.split()[:2] for line in lines if line.strip().startswith(("pareto", "random"))]
    assert rows == [["pareto", "1"], ["random", "1"], ["pareto", "3"], ["random", "3"]] * 3
    assert max(map(len, lines[1:])) <= 80


def test_tables_of_a_long_benchmark_fit_80_columns_without_cuts(table: Path) -> None:
    rows = json.loads(table.read_text())
    table.write_text(json.dumps({f"{key}{index}": row for index in range(8) for key, row in rows.items()}))
    entries = create_entries(["nsga2_50", "evolution"], [1, 16], range(3))
    contest = Contest(load_table(table, ColumnOptions()), entries, 200, noise=False)
    slow = [0.5 if index < (112, 113, 300)[spec.seed] else 0.96 for spec in entries[:1] for index in range(200)]
    runs = [RunResult(spec, tuple(slow), (0.00087,) * 200, 12345, 0) for spec in entries]
    stream = io.StringIO()
    Console(file=stream, width=80).print(result_tables(contest, summarize(contest, runs)))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in stream.getvalue()
    for words in (
        ("113", "(113", "to", "113;", "113)"),
        ("at", "50", "at", "100", "at", "200"),
        ("0.00087", "0.00087", "61.73"),
    ):
        assert any(" ".join(words) in " ".join(line.split()) for line in lines), stream.getvalue()


def test_json_holds_the_runs(nas: Nas, table: Path) -> None:
    words = ["--samplers", "evolution", "--seeds", 3, "--seed", 5, "--trainings", 27, "--noise", "--json"]
    code, out, err = nas("bench", "search", "--table", table, *words)
    report = json.loads(out)
    assert (code, err, report["noise"], report["architectures"]) == (0, "", True, 27)
    (sampler,) = report["samplers"]
    assert sampler["seeds"] == [5, 6, 7]
    assert [run["shares"][-1] for run in sampler["runs"]] == [1.0] * 3
    assert all(1 <= each <= 27 for each in sampler["trainings_to"]["0.99"]["each"])
    assert sampler["trainings_to"]["0.99"]["max"] == max(sampler["trainings_to"]["0.99"]["each"])


def test_objectives_reference_and_processes_by_option(nas: Nas, table: Path) -> None:
    words = ["--objective", "test_acc", "--objective", "params:min:cheap", "--reference", "test_acc=50", "--jobs", 2]
    words += ["--samplers", "random,pareto", "--seeds", 1, "--trainings", 5, "--json"]
    code, out, _ = nas("bench", "search", "--table", table, *words)
    report = json.loads(out)
    assert code == 0
    assert report["reference"] == {"test_acc": 50.0, "params": 12.0}
    assert report["features"] == ["flops"]
    assert [s["sampler"] for s in report["samplers"]] == ["random", "pareto"]


def test_figure_is_a_self_contained_page(nas: Nas, table: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "race.html"
    words = ["--samplers", "random,evolution", "--seeds", 2, "--trainings", 8, "--out", page]
    code, _, err = nas("bench", "search", "--table", table, *words)
    assert (code, err) == (0, f"figure: {page}\n")
    text = page.read_text()
    assert "evolution" in text
    assert '<script src="http' not in text
    assert "macro.json" in text


def test_lines_of_the_figure_are_the_quartiles_at_each_training(table: Path) -> None:
    contest = Contest(load_table(table, ColumnOptions()), create_entries(["random"], [1], [0, 1, 2]), 3, noise=False)
    shares = ((0.0, 0.2, 0.2), (0.1, 0.1, 1.0), (0.3, 0.3, 0.3))
    runs = [
        RunResult(RunSpec("random", 1, seed), seed_shares, (0.1,) * 3, 0, 0) for seed, seed_shares in enumerate(shares)
    ]
    info = benchmark_info(contest, summarize(contest, runs))
    (line,) = info.lines
    assert (line.q1, line.median, line.q3) == ([0.05, 0.15, 0.25], [0.1, 0.2, 0.3], [0.2, 0.25, 0.65])
    band, median = benchmark_figure(info).data
    assert (list(median.x), list(median.y)) == ([1, 2, 3], line.median)
    assert list(band.y) == line.q3 + line.q1[::-1]
    assert benchmark_figure(BenchmarkInfo("nothing", [])).data == ()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--samplers", "pareto,nsga"], "nas: error: --samplers: no such sampler (known: evolution, gp, nsga2"),
        (["--samplers", ","], "nas: error: --samplers: no such sampler"),
        (["--objective", "flop"], "nas: error: --objective: no such column"),
        (["--reference", "flops"], "nas: error: --reference flops: must be of the form NAME=VALUE"),
        (["--reference", "flops=inf"], "nas: error: --reference flops=inf: must be of the form NAME=VALUE"),
        (["--reference", "flops=1e4", "--reference", "flops=1e5"], "nas: error: --reference flops=1e5: must name each"),
        (["--out", "figure.png"], "nas: error: --out figure.png: a figure is an .html file, found '.png'"),
        (["--choice", "flops"], "nas: error: --choice, --key: a column must have one role"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(nas: Nas, table: Path, words: list[str], expected: str) -> None:
    code, out, err = nas("bench", "search", "--table", table, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(expected)


def test_bad_table_and_a_folder_for_a_figure_are_one_line_and_code_2(nas: Nas, table: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("op,accuracy\nconv,high\npool,0.5\n")
    code, out, err = nas("bench", "search", "--table", bad, "--choice", "op")
    assert (code, out) == (2, "")
    assert err == f"nas: error: {bad}:2: column 'accuracy': must be a number, found 'high'\n"
    (tmp_path / "folder.html").mkdir()
    code, out, err = nas("bench", "search", "--table", table, "--out", tmp_path / "folder.html")
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("as_json", [False, True])
def test_interrupted_comparison_reports_finished_runs(
    nas: Nas, table: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    compare = comparing.compare

    def interrupted(contest: Contest, on_run: Callable[[RunResult], None], *rest: Any) -> None:
        runs: list[RunResult] = []

        def count(run: RunResult) -> None:
            on_run(run)
            runs.append(run)
            if len(runs) == 3:
                raise KeyboardInterrupt

        compare(contest, count, *rest)

    monkeypatch.setattr(comparing, "compare", interrupted)
    words = ["--samplers", "random,evolution", "--seeds", 5, "--trainings", 6, *(["--json"] if as_json else [])]
    code, out, err = nas("bench", "search", "--table", table, *words)
    assert (code, err) == (130, "interrupted: 3 of 10 runs are finished\n")
    if as_json:
        assert [sampler["seeds"] for sampler in json.loads(out)["samplers"]] == [[0, 1], [0]]
    else:
        rows = [line.split() for line in out.splitlines() if line.strip().startswith(("random", "evolution"))]
        assert [row[:3] for row in rows[:2]] == [["random", "1", "2"], ["evolution", "1", "1"]]


def test_finished_runs_are_reported_when_a_sampler_fails(
    nas: Nas, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def create_brittle(context: SamplerContext) -> BaseSampler:
        if context.seed == 1:
            raise ArithmeticError("seed 1 fails")
        return RandomSampler(seed=context.seed)

    monkeypatch.setitem(SAMPLERS, "brittle", RegisteredSampler("brittle", create_brittle))
    with pytest.raises(ArithmeticError, match="seed 1 fails"):
        nas("bench", "search", "--table", table, "--samplers", "brittle", "--seeds", 3, "--trainings", 5)
    out, err = capsys.readouterr()
    assert err == "failed: 1 of 3 runs are finished\n"
    assert ["brittle", "1", "1"] in [line.split()[:3] for line in out.splitlines()]


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import json, sys; import nas.cli.main; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert {"nas", "typer"} <= loaded
    assert not loaded & {"numpy", "optuna", "torch", "ray", "plotly", "pandas"}


def test_number_formats() -> None:
    inf = float("inf")
    assert format_trainings(Spread(16, 18.5, 21, 31), 200) == "18.5 (16 to 21; 31)"
    assert format_trainings(Spread(16, 18, inf, inf), 200) == "18 (16 to >200; >200)"
    assert format_trainings(Spread(inf, inf, inf, inf), 200) == ">200"
    assert format_trainings(Spread(16, 999.4, 999.5, 2000), 9000) == "999 (16 to 1000; 2000)"
    assert format_trainings(Spread(1500, 1600, 1700, 2000), 9000) == "1600 (1500 to 1700; 2000)"
    assert [format_seconds(s) for s in (0.00213, 0.44, 3.26, 0.0, 47.2)] == ["0.0021", "0.44", "3.3", "0", "47"]


def test_new_sampler_takes_part(nas: Nas, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_synthetic(context: SamplerContext) -> BaseSampler:
        (primary,) = (objective for objective in context.objectives if objective.compute is None)
        assert primary.name == "test_acc"
        return RandomSampler(seed=context.seed)

    monkeypatch.setitem(SAMPLERS, "synthetic", RegisteredSampler("synthetic", create_synthetic))
    words = ["--samplers", "synthetic,random", "--seeds", 2, "--trainings", 9, "--json"]
    code, out, _ = nas("bench", "search", "--table", table, *words)
    synthetic, uniform = json.loads(out)["samplers"]
    assert (code, synthetic["sampler"]) == (0, "synthetic")
    assert synthetic["runs"] == uniform["runs"]
