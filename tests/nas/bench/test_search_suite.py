"""The problems of `tests/benchmarks/search_suite`: a contract over all families, searches on them, and kept tables."""

from __future__ import annotations

import itertools
import pickle
import zipfile
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from search_suite.architectures import ArchitectureProblem
from search_suite.catalogue import FAMILIES, create_problem
from search_suite.families.products import MACS
from search_suite.families.pyramids import SPACE
from search_suite.front import best_front, nondominated
from search_suite.problem import SpaceProblem, objective
from search_suite.simulation import simulate
from search_suite.space import ABSENT, Floats, Parameter, Space, categorical, ordinal
from search_suite.tables import TableProblem, TableSource
from search_suite.wheels import WheelTable, perceptrons, read_pickle

from nas.analysis.front import Volume
from nas.bench.column_roles import ColumnOptions
from nas.bench.simulation import RunSpec, simulate as simulate_on_table
from nas.bench.table import load_table
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
