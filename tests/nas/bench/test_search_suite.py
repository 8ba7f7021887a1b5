"""The suite of search problems in `tests/benchmarks/search_suite`: a contract over all families, and its arithmetic."""

from __future__ import annotations

import itertools
import json
import math
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import optuna
import pytest
import search_suite.families  # registers them
from optuna.distributions import CategoricalDistribution, FloatDistribution
from search_suite.architectures import ArchitectureProblem
from search_suite.catalogue import FAMILIES, create_problem
from search_suite.families.products import MACS
from search_suite.families.pyramids import SPACE
from search_suite.front import best_front, nondominated
from search_suite.matrix import LEAST_MISSING, Matrix, compare_variants, kin, leave_one_out
from search_suite.problem import SpaceProblem, objective
from search_suite.results import append_run, key_of, read_runs
from search_suite.rivals.forest import ForestSampler
from search_suite.rivals.rows import Data, RowSampler
from search_suite.simulation import Run, simulate
from search_suite.space import ABSENT, Floats, Parameter, Space, categorical, ordinal
from search_suite.tables import TableProblem, TableSource
from search_suite.wheels import WheelTable, perceptrons, read_pickle

from nas.analysis.front import Volume
from nas.bench.column_roles import ColumnOptions
from nas.bench.simulation import RunSpec, simulate as simulate_on_table
from nas.bench.table import load_table
from nas.sampler.registry import SamplerContext, SamplerObjective
from search_space import SearchSpace

SMALL = 20_000  # points of a space that a test enumerates by itself


def create(name: str, seed: int) -> SpaceProblem:
    problem = FAMILIES[name].create(name, seed)
    assert isinstance(problem, SpaceProblem)
    return problem


PARAMETER_FAMILIES = [name for name in FAMILIES if name != "pyramids"]


@pytest.mark.parametrize("name", PARAMETER_FAMILIES)
def test_values_are_those_of_the_name_and_the_seed(name: str) -> None:
    problem, again, other = (create(name, seed) for seed in (3, 3, 4))
    rows = problem.space.sample(np.random.default_rng(0), 200)
    values = problem.values(rows)
    np.testing.assert_array_equal(values, again.values(rows))
    assert not np.array_equal(values, other.values(rows), equal_nan=True)
    assert np.isfinite(values[:, problem.cheap]).all() or name.startswith("fail")
    assert np.isfinite(values).all() or name.startswith(("fail", "inf"))
    for index, item in enumerate(problem.objectives):
        assert not item.log or np.nanmin(values[:, index]) > 0
    for alone in range(5):  # a point alone has the values that it has among others
        np.testing.assert_allclose(problem.means(rows[alone]), values[alone], rtol=1e-12)


@pytest.mark.parametrize("name", PARAMETER_FAMILIES)
def test_a_sampler_is_told_the_costs_of_points(name: str) -> None:
    problem = create(name, 0)
    context = problem.context(0)
    assert context.objectives[context.primary].compute is None
    for row in problem.space.sample(np.random.default_rng(1), 5):
        params = problem.space.params(row)
        np.testing.assert_allclose(problem.space.row(params), row, atol=1e-9)
        expected = problem.response.costs(row[None])[0]
        costs = [item.compute(params) for item in context.objectives if item.compute is not None]
        np.testing.assert_allclose([*costs, *(feature(params) for feature in context.features)], expected, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in PARAMETER_FAMILIES if create(name, 0).size <= SMALL])
def test_the_goal_is_the_hypervolume_of_all_points(name: str) -> None:
    problem = create_problem(name, 0)
    assert isinstance(problem, SpaceProblem)
    goal = problem.goal
    volume = Volume(len(goal.objectives))
    rows = np.array(list(itertools.product(*(range(count) for count in problem.space.counts))), dtype=float)
    for point in goal.unit(problem.values(rows)):
        volume.add(point)
    assert goal.exact
    assert 0 < goal.best <= 1
    assert volume.value == pytest.approx(goal.best, abs=1e-9)


def test_a_front_that_is_searched_is_the_exact_one() -> None:
    """4^14 points whose objectives are sums: the exact front grows from parameter to parameter."""
    rng = np.random.default_rng(0)
    space = Space(tuple(categorical(f"p{i}", *range(4)) for i in range(14)))
    tables = rng.integers(0, 60, size=(14, 4, 2)).astype(float)

    def evaluate(rows: Floats) -> Floats:
        return sum(tables[i][rows[:, i].astype(int)] for i in range(14))

    front = np.zeros((1, 2))
    for table in tables:
        front = nondominated(np.unique((front[:, None] + table[None]).reshape(-1, 2), axis=0))
    found, exact = best_front(space, evaluate)
    assert not exact
    np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(front, axis=0))


def test_a_search_space_of_architectures() -> None:
    """Large enough to be searched, and small enough to be enumerated by its own iterator."""
    conv = {"mixer": {"conv": {"k": [3, 5]}, "pool": {}}, "channel_mixer": {"mlp": {"expansion": [1, 2]}}}
    stage = {**conv, "depth": 1, "width": [16, 24], "norm": "batch"}
    space = {**SPACE, "num_stages": 2, "stem": {"patch": 4}, "stages": [stage, stage]}
    large = FAMILIES["pyramids"].create("pyramids", 0)
    assert isinstance(large, ArchitectureProblem)
    problem = ArchitectureProblem("small", SearchSpace.from_dict(space), large.measure, MACS, large.quality)
    problem.goal = goal = problem.find_goal(random_points=40, generations=2)
    assert not goal.exact
    volume = Volume(2)
    for architecture in problem.search_space:
        volume.add(goal.unit(problem.means(architecture)[None])[0])
    assert volume.value == pytest.approx(goal.best)
    assert large.fingerprint() == FAMILIES["pyramids"].create("pyramids", 0).fingerprint()  # type: ignore[attr-defined]
    run = simulate(problem, "pareto", 0, 20)
    assert (run.error, run.failures, run.duplicates) == ("", 0, 0)
    assert 0.5 < run.shares[-1] <= 1


def test_points_of_a_conditional_space() -> None:
    space = Space(
        (
            categorical("mixer", "conv", "pool"),
            Parameter("kernel", CategoricalDistribution((3, 5, 7)), True, 0, (0,)),
            Parameter("rate", FloatDistribution(0.01, 1.0, log=True), True),
        )
    )
    row = space.row({"mixer": "pool", "rate": 0.1})
    np.testing.assert_allclose(row, [1, ABSENT, 0.5])
    assert space.params(np.array([0, 2, 1.0])) == {"mixer": "conv", "kernel": 7, "rate": 1.0}
    np.testing.assert_array_equal(space.canonical(np.array([[1.0, 2.0, 0.5]])), [[1, ABSENT, 0.5]])
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert set(space.suggest(trial)) == {"mixer", "rate"} | ({"kernel"} if trial.params["mixer"] == "conv" else set())


def _square() -> SpaceProblem:
    """Four points: (1, 10), (2, 100), a failure, and an infinite loss."""
    from search_suite.problem import Response

    losses = np.array([1.0, 0.5, np.nan, np.inf])
    space = Space((ordinal("a", 0, 1), ordinal("b", 0, 1)))

    def index(rows: Floats) -> Floats:
        return (2 * rows[:, 0] + rows[:, 1]).astype(int)

    response = Response(
        lambda rows: 10.0 ** (1 + index(rows))[:, None], lambda rows, costs: losses[index(rows)][:, None]
    )
    objectives = (objective("loss", "minimize"), objective("cost", "minimize", log=True, cheap=True))
    problem = SpaceProblem("square", space, objectives, response)
    problem.goal = problem.find_goal()
    return problem


def test_a_search_counts_failures_and_shares() -> None:
    problem = _square()
    # The reference point is a tenth beyond the front's (1, 100): 1.05 and 10^2.1. Two boxes, which overlap.
    own = 0.05 / 0.55 + 0.1 / 1.1 - 0.05 / 0.55 * 0.1 / 1.1
    assert problem.goal.best == pytest.approx(own)
    run = simulate(problem, "random", 0, 10)
    assert (run.failures, run.shares[-1], len(run.shares), run.error) == (2, 1.0, 10, "")
    assert simulate(problem, "random", 0, 10).shares == run.shares


def test_a_search_on_a_table_is_that_of_nas_bench_search(tmp_path: Path) -> None:
    lines = ["a,b,c,accuracy,macs"]
    for a, b, c in itertools.product(range(5), range(5), range(5)):
        lines.append(f"{a},{b},{c},{0.1 * a + 0.05 * b * c - 0.01 * a * b:.3f},{10 + a + 2 * b + 3 * c + a * c}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    table = load_table(tmp_path / "table.csv", ColumnOptions())
    for sampler, workers in (("pareto", 1), ("tpe", 4)):
        expected = simulate_on_table(table, RunSpec(sampler, workers, 1), 20)
        run = simulate(TableProblem("table", table), sampler, 1, 20, workers=workers)
        assert run.shares == tuple(round(share, 6) for share in expected.shares)
        assert run.duplicates == expected.refused


def _run(problem: str, sampler: str, seed: int, shares: list[float]) -> Run:
    return Run(problem, sampler, "", 1, seed, len(shares), tuple(shares), 0, 0, 0, (0.0, 0.0, 0.0), "")


def test_a_kept_goal_and_a_kept_table_are_those_that_were_made(tmp_path: Path) -> None:
    first, second = (create_problem("tiny", 1, tmp_path).goal for _ in range(2))
    assert vars(first) == vars(second)
    (tmp_path / "data").mkdir()
    cells = [f"a,{i},{i / 7};{i / 9},{1 + i}" for i in range(12)] + [f"b,{i},,{2 + i}" for i in range(12)]
    (tmp_path / "data" / "t.csv").write_text("\n".join(["op,n,acc,cost", *cells]))
    source = TableSource("t", "t.csv", ("acc:max", "cost:min:cheap:log"), to_median=("acc",), noise=True)
    file = source.locate(tmp_path / "data")
    assert file is not None
    made, kept = (source.read(file, tmp_path) for _ in range(2))
    assert kept.goal.bounds == made.goal.bounds
    assert kept.goal.best == made.goal.best
    assert dict(kept.table.rows) == dict(made.table.rows)
    assert repr(kept.table.trainings) == repr(made.table.trainings)  # with NaN
    assert simulate(kept, "tpe", 0, 15).shares == simulate(made, "tpe", 0, 15).shares
    assert TableSource("u", "u.csv").locate(tmp_path) is None


def test_tables_in_wheels(tmp_path: Path) -> None:
    """A pickle of numbers as wheels have it; one that names a function is refused."""
    key = {"val_acc": [0.5, 0.25], "train_time": [1.5, 2.5]}
    rows = {f"{a}{b}0{c}{d}": key for a in range(10) for b in range(10) for c in range(10) for d in range(10)}
    harmful = b"cos\nsystem\n(S'false'\ntR."
    with zipfile.ZipFile(tmp_path / "w-1.whl", "w") as wheel:
        wheel.writestr("rows.pkl", pickle.dumps(rows))
        wheel.writestr("harmful.pkl", harmful)
    table = WheelTable("w-*.whl", "rows.pkl", perceptrons)
    file = table.locate(tmp_path)
    assert file == tmp_path / "w-1.whl"
    table.write(file, tmp_path / "rows.csv")
    objectives = ("val_acc:max", "macs:min:cheap:log", "train_s:min")
    read = load_table(tmp_path / "rows.csv", ColumnOptions(objectives=objectives))
    assert {name: len(values) for name, values in read.choices.items()} == {
        "alpha": 10,
        "batch_size": 10,
        "learning_rate_init": 10,
        "width": 10,
    }
    assert read.trainings[0] == ((0.5, 0.25), (30 * 16,), (1.5, 2.5))
    with pytest.raises(pickle.UnpicklingError, match=r"os\.system"):
        read_pickle(file, "harmful.pkl")


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


def test_variants_are_compared_seed_by_seed() -> None:
    """A needs 4 and 2 trainings on p where b needs 2 and 2; on q 1 where b needs 2; the seed 5 has no counterpart."""

    def run(problem: str, variant: str, seed: int, trainings: int) -> Run:
        return _run(problem, variant, seed, [0.0] * (trainings - 1) + [1.0] * (9 - trainings))

    own = [run("p", "a", 0, 4), run("p", "a", 1, 2), run("q", "a", 0, 1), run("q", "a", 5, 8)]
    matrix = Matrix([*own, run("p", "b", 0, 2), run("p", "b", 1, 2), run("q", "b", 0, 2)])
    compared = compare_variants(matrix, "b", "a", "to95")
    assert compared is not None
    assert (compared.problems, compared.better) == (2, 1)
    assert compared.ratio == pytest.approx(math.sqrt(math.sqrt(2) * 0.5))
    assert (compared.low, compared.high) == pytest.approx((0.5, math.sqrt(2)))
    assert compare_variants(matrix, "c", "a", "to95") is None


def test_a_choice_does_not_see_what_is_left_out_nor_what_is_akin() -> None:
    """On x and its kin the variant a needs 1 training where b needs 8; on y and z b needs 1 where a needs 2."""

    def run(problem: str, variant: str, trainings: int) -> Run:
        return _run(problem, variant, 0, [0.0] * (trainings - 1) + [1.0] * (9 - trainings))

    rows = [run(p, "a", 1) for p in ("x", "x_noise", "x-1")] + [run(p, "b", 8) for p in ("x", "x_noise", "x-1")]
    rows += [run(p, "a", 2) for p in "yz"] + [run(p, "b", 1) for p in "yz"]
    assert {kin(p) for p in ("x", "x_noise", "x-1")} == {"x"}
    left_out = {row.problem: row for row in leave_one_out(Matrix(rows), ["a", "b"], "to95")}
    assert (left_out["x"].chosen, left_out["x"].best, left_out["x"].price) == ("b", "a", pytest.approx(8.0))
    assert (left_out["y"].chosen, left_out["y"].best, left_out["y"].price) == ("a", "b", pytest.approx(2.0))
    assert leave_one_out(Matrix(rows[:1]), ["a"], "to95") == []


class Probe(RowSampler):
    """Records what it is asked, and takes the first candidate."""

    def __init__(self, context: SamplerContext) -> None:
        super().__init__(context)
        self.asked: list[tuple[Data, Floats]] = []

    def choose(self, data: Data, candidates: Floats) -> int:
        self.asked.append((data, candidates))
        return 0


def test_a_rival_sees_losses_and_candidates_that_are_new() -> None:
    space = {
        "op": CategoricalDistribution(("a", "b", "c")),
        "size": CategoricalDistribution((64, 16, 32)),
        "on": CategoricalDistribution((False, True)),
        "rate": FloatDistribution(0.1, 10, log=True),
    }
    objectives = (
        SamplerObjective("acc", "maximize"),
        SamplerObjective("cost", "minimize", log=True, compute=lambda params: float(params["size"]), limit=40.0),
    )
    sampler = Probe(SamplerContext(space, objectives, feasible=lambda params: params["op"] != "c", seed=0))
    point = {"op": "b", "size": 32, "on": True, "rate": 1.0}
    row = sampler.space.row(point)
    np.testing.assert_allclose(sampler.encode(row[None]), [[0, 1, 0, 0.5, 1, 0.5]])
    np.testing.assert_allclose(sampler.cost_losses(row[None]), [[np.nan, math.log(32)]])
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(sampler.num_first + 1):
        trial = study.ask(space)
        assert trial.params["op"] != "c"
        assert trial.params["size"] <= 40
        study.tell(trial, [0.5 if trial.number else math.inf, trial.params["size"]])
    assert sampler.asked == []  # the infinite one does not count
    study.ask(space)
    ((data, candidates),) = sampler.asked
    assert data.losses.shape == (sampler.num_first, 2)
    assert set(data.losses[:, 0]) == {-0.5}
    assert not {row.tobytes() for row in candidates} & data.tried


def test_a_forest_with_exact_costs_finds_a_front() -> None:
    problem = create_problem("tiny", 0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=ForestSampler(problem.context(0)))
    volume = Volume(2)
    for _ in range(15):
        trial, point = problem.ask(study)
        study.tell(trial, problem.means(point).tolist())
        volume.add(problem.goal.unit(problem.means(point)[None])[0])
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 15
    assert volume.value / problem.goal.best > 0.95


RIVALS = {
    "botorch": lambda context: import_module("search_suite.rivals.gaussian_process").BotorchSampler(context),
    "pymoo": lambda context: import_module("search_suite.rivals.evolution").PymooSampler(context, "nsga2"),
    "syne_tune": lambda context: import_module("search_suite.rivals.syne_tune_evolution").SyneTuneSampler(context),
}


@pytest.mark.parametrize("library", RIVALS)
def test_rivals_of_other_libraries(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed (extra bench-rivals)")
    problem = create_problem("tiny", 0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=RIVALS[library](problem.context(0)))
    for _ in range(12):
        trial, point = problem.ask(study)
        study.tell(trial, problem.means(point).tolist())
    assert len({tuple(trial.params.values()) for trial in study.trials}) > 6


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
