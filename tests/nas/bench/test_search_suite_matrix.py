"""Results of `tests/benchmarks/search_suite`: their file, the arithmetic of the matrix, and the command."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import search_suite
from search_suite.matrix import LEAST_MISSING, Matrix, compare_variants, kin, leave_one_out
from search_suite.results import append_run, key_of, read_runs
from search_suite.simulation import Run


def _run(problem: str, sampler: str, seed: int, shares: list[float]) -> Run:
    return Run(problem, sampler, "", 1, seed, len(shares), tuple(shares), 0, 0, 0, (0.0, 0.0, 0.0), "")


def test_results_survive_a_file_that_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    runs = [_run("p", "a", seed, [0.5, 0.25 + seed / 3]) for seed in range(3)]
    for run in runs[:2]:
        append_run(file, run)
    file.write_text(file.read_text()[:-20])
    append_run(file, runs[2])
    assert read_runs([file, tmp_path / "none"]) == [runs[0], runs[2]]
    assert key_of(runs[0]) == ("p", "a", "", 1, 0, 2)
    assert Run.from_dict(json.loads(json.dumps(runs[1].to_dict()))) == runs[1]


def test_ranks_and_ratios() -> None:
    """Trainings to 95 %: a has 1, 4 and 2, 2; b has 2, 2 and 4, 3 (not reached); c has the first problem alone."""
    far, near = [0.0, 0.0, 0.0, 0.96], [0.0, 0.96, 0.96, 0.96]
    runs = [
        _run("p", "a", 0, [0.96] * 4),
        _run("p", "a", 1, far),
        _run("q", "a", 0, near),
        _run("q", "a", 1, near),
        _run("p", "b", 0, near),
        _run("p", "b", 1, near),
        _run("q", "b", 0, far),
        _run("q", "b", 1, [0.0, 0.0, 0.0]),
    ]
    matrix = Matrix(runs)
    assert [matrix.value(p, s, "to95") for p in "pq" for s in "ab"] == pytest.approx([2, 2, 2, 4])
    a, b = matrix.summaries("to95")
    assert (a.arm, a.rank, a.ratio, a.lost) == ("a", 1.25, pytest.approx(1.0), ("p",))  # medians 2.5 and 2
    assert (b.arm, b.rank, b.ratio, b.lost) == ("b", 1.75, pytest.approx(math.sqrt(2)), ("q",))
    assert a.worst_seed == ("p", pytest.approx(4 / 2.5))
    assert b.worst_problem == ("q", pytest.approx(2.0))
    more = Matrix([*runs, _run("p", "c", 0, near), replace(_run("q", "c", 0, [0.0]), error="ValueError: no")])
    assert {summary.arm: summary.problems for summary in more.summaries("to95")} == {"a": 2, "b": 2, "c": 1}
    assert [run.problem for run in more.unsupported] == ["q"]
    assert Matrix(runs, ["b"]).arms == ("b",)
    assert matrix.value("p", "b", "at50") == pytest.approx(0.04 + LEAST_MISSING)


def _run_to(problem: str, variant: str, seed: int, trainings: int) -> Run:
    """A run that needs so many trainings to 95 %."""
    return _run(problem, variant, seed, [0.0] * (trainings - 1) + [1.0] * (99 - trainings))


def test_variants_are_compared_seed_by_seed() -> None:
    """A needs 4 and 2 trainings on p where b needs 2 and 2; on q 1 where b needs 2; the seed 5 has no counterpart."""
    own = [_run_to("p", "a", 0, 4), _run_to("p", "a", 1, 2), _run_to("q", "a", 0, 1), _run_to("q", "a", 5, 8)]
    matrix = Matrix([*own, _run_to("p", "b", 0, 2), _run_to("p", "b", 1, 2), _run_to("q", "b", 0, 2)])
    compared = compare_variants(matrix, "b", "a", "to95")
    assert compared is not None
    assert (compared.problems, compared.seeds, compared.better) == (2, 1, 1)
    assert compared.ratio.value == pytest.approx(math.sqrt(math.sqrt(2) * 0.5))
    assert (compared.ratio.low, compared.ratio.high) == pytest.approx(
        (0.5, 2**0.75)
    )  # q twice; p twice, once with one seed
    assert compared.unlucky.value == pytest.approx(math.sqrt(2**0.9 * 0.5))
    assert compare_variants(matrix, "c", "a", "to95") is None


def test_intervals_count_the_chance_of_seeds_and_unlucky_ones_stand_out() -> None:
    """On every problem a and b need 10 trainings with most seeds, and a 90 with two of ten."""
    needed = {"a": [10] * 8 + [90] * 2, "b": [10] * 10}
    runs = [_run_to(p, arm, seed, n) for p in "pqrs" for arm, row in needed.items() for seed, n in enumerate(row)]
    compared = compare_variants(Matrix(runs), "b", "a", "to95")
    assert compared is not None
    assert compared.ratio.value == pytest.approx(9**0.2)
    assert compared.ratio.low < 0.9 * compared.ratio.value  # though all problems are alike
    assert compared.ratio.high > 1.1 * compared.ratio.value
    assert compared.unlucky.value == pytest.approx(9.0)


def test_a_choice_does_not_see_what_is_left_out_nor_what_is_akin() -> None:
    """On x and its kin the variant a needs 1 training where b needs 8; on y and z b needs 1 where a needs 2."""
    kin_of_x = ("x", "x_noise", "x-1")
    rows = [_run_to(p, arm, 0, trainings) for arm, trainings in (("a", 1), ("b", 8)) for p in kin_of_x]
    rows += [_run_to(p, arm, 0, trainings) for arm, trainings in (("a", 2), ("b", 1)) for p in "yz"]
    assert {kin(p) for p in kin_of_x} == {"x"}
    left_out = {row.problem: row for row in leave_one_out(Matrix(rows), ["a", "b"], "to95")}
    assert (left_out["x"].chosen, left_out["x"].best, left_out["x"].price) == ("b", "a", pytest.approx(8.0))
    assert (left_out["y"].chosen, left_out["y"].best, left_out["y"].price) == ("a", "b", pytest.approx(2.0))
    assert leave_one_out(Matrix(rows[:1]), ["a"], "to95") == []


def test_the_command_runs_continues_and_prints(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(search_suite.__file__).parent), "--cache", str(tmp_path)]
    options = ["--problems", "tiny", "--samplers", "random", "tpe", "--seeds", "1", "--trainings", "12"]
    out = ["--out", str(tmp_path / "runs.jsonl"), "--variants", "random", "tpe"]
    first, second = (
        subprocess.run([*command, *options, *out], capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2
    assert "2/2 tpe tiny seed 0" in first.stderr
    assert "tiny seed" not in second.stderr
    assert first.stdout == second.stdout
    assert "missing: leave one out" in first.stdout
