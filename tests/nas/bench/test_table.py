"""Tables of architectures: reading of CSV and JSON, the roles of columns, and the error of each bad table."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.bench.column_roles import ColumnOptions, assign_roles
from nas.bench.table import BenchmarkTable, load_table
from nas.bench.table_file import read_table
from nas.errors import ConfigError, UnknownNameError

CSV = """\
op,kernel,accuracy,macs,params
conv,3,0.9,100,10
conv,5,0.91;0.93,150,15
pool,3,,50,0
pool,5,0.7,60,0
"""


def write_table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read_csv(
    folder: Path, text: str, name: str = "table.csv", reference: dict[str, float] | None = None, **options: Any
) -> BenchmarkTable:
    return load_table(write_table(folder, text, name), ColumnOptions(**options), reference)


def error_of(folder: Path, text: str, name: str = "table.csv", **options: Any) -> str:
    """The one-line error of a bad table, without its folder."""
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        read_csv(folder, text, name, **options)
    message = str(caught.value).replace(f"{folder}/", "")
    assert "\n" not in message
    return message


def test_roles_of_csv_columns_are_guessed(tmp_path: Path) -> None:
    table = read_csv(tmp_path, CSV)
    assert table.choices == {"op": ("conv", "pool"), "kernel": (3, 5)}
    assert [(o.name, o.direction, o.cheap, o.log) for o in table.objectives] == [
        ("accuracy", "maximize", False, False),
        ("macs", "minimize", True, True),
    ]
    assert {name: column.tolist() for name, column in table.features.items()} == {"params": [10, 15, 0, 0]}
    assert table.ignored == ()
    np.testing.assert_allclose(table.values, [[0.9, 100], [0.92, 150], [math.nan, 50], [0.7, 60]])
    assert table.row({"op": "pool", "kernel": 5}) == 3
    assert (len(table), table.combinations) == (4, 4)


def test_json_tsv_and_csv_give_the_same_table(tmp_path: Path) -> None:
    rows = [
        {"op": "conv", "kernel": 3, "accuracy": 0.9, "macs": 100, "params": 10},
        {"op": "conv", "kernel": 5, "accuracy": [0.91, 0.93], "macs": 150, "params": 15},
        {"op": "pool", "kernel": 3, "accuracy": None, "macs": 50, "params": 0},
        {"op": "pool", "kernel": 5, "accuracy": 0.7, "macs": 60, "params": 0},
    ]
    tables = [
        read_csv(tmp_path, CSV),
        read_csv(tmp_path, "\ufeff" + CSV.replace(",", "\t").replace("\n", "\r\n"), "table.tsv"),
        read_csv(tmp_path, json.dumps(rows), "table.json"),
        read_csv(tmp_path, CSV.replace("0.91;0.93", '"[0.91, 0.93]"').replace("3,,", "3,NaN,"), "other.csv"),
    ]
    for table in tables[1:]:
        assert (table.choices, table.objectives) == (tables[0].choices, tables[0].objectives)
        assert table.trainings[1] == ((0.91, 0.93), (150.0,))
        np.testing.assert_equal(table.values, tables[0].values)


def test_keys_of_a_json_object_are_split_into_choices(tmp_path: Path) -> None:
    """The form of NAS-Bench-Macro."""
    keys = ["".join(key) for key in itertools.product("012", repeat=3)]
    rows = {
        key: {
            "test_acc": [80.0 + i, 82.0 + i],
            "mean_acc": 81.0 + i,
            "std": 1 / (i + 3),
            "params": 10 + i,
            "flops": 100 - i,
        }
        for i, key in enumerate(keys)
    }
    table = read_csv(tmp_path, json.dumps(rows), "macro.json")
    assert table.choices == {f"key.{i}": ("0", "1", "2") for i in range(3)}
    assert [objective.name for objective in table.objectives] == ["test_acc", "flops"]
    assert (list(table.features), table.ignored) == (["params"], ("mean_acc", "std"))
    row = table.row({"key.0": "0", "key.1": "2", "key.2": "1"})
    assert table.values[row].tolist() == [81.0 + 7, 93.0]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["|a~0|+|b~0|c~1|", "|b~0|+|a~0|none~1|"], [["a~0", "b~0"], ["b~0", "a~0"], ["c~1", "none~1"]]),
        (["3-5-7", "11-5-3"], [["3", "11"], ["5", "5"], ["7", "3"]]),
        (["012", "201"], [["0", "2"], ["1", "0"], ["2", "1"]]),
        ([[0, "x"], [1, "y"]], [["0", "1"], ["x", "y"]]),
        ([120, 201], [["1", "2"], ["2", "0"], ["0", "1"]]),
    ],
)
def test_keys_are_split_by_separators_elements_or_characters(
    tmp_path: Path, cells: list[Any], expected: list[list[str]]
) -> None:
    text = json.dumps([{"arch": cell, "acc": i} for i, cell in enumerate(cells)])
    roles = assign_roles(read_table(write_table(tmp_path, text, "t.json")), ColumnOptions(key="arch"))
    assert [list(column) for column in roles.choices.values()] == expected
    assert list(roles.choices) == [f"arch.{i}" for i in range(len(expected))]


def test_named_roles_override_guessed_ones(tmp_path: Path) -> None:
    text = CSV.replace("macs", "joules").replace("params", "speed")
    objectives = ("accuracy", "speed:max", "joules:min:cheap:log")
    table = read_csv(tmp_path, text, objectives=objectives, choices=("kernel", "op"))
    assert list(table.choices) == ["kernel", "op"]
    assert [(o.name, o.direction, o.cheap, o.log) for o in table.objectives] == [
        ("accuracy", "maximize", False, False),
        ("speed", "maximize", False, False),
        ("joules", "minimize", True, True),
    ]
    table = read_csv(tmp_path, text, objectives=("accuracy",), features=("joules",))
    assert (list(table.features), table.ignored) == (["joules"], ("speed",))


def test_training_gives_the_mean_or_one_seed_or_fails(tmp_path: Path) -> None:
    text = CSV.replace("0.91;0.93,150", "0.91;0.93;nan,150") + "skip,3,0.5;0.6,40,1\n"
    table = read_csv(tmp_path, text, objectives=("accuracy", "macs"))
    assert table.train(1, None) == pytest.approx([0.92, 150])
    assert table.train(2, None) is None
    drawn = [table.train(1, np.random.default_rng(seed)) for seed in range(60)]
    assert {None if values is None else values[0] for values in drawn} == {0.91, 0.93, None}
    assert {table.train(4, np.random.default_rng(seed))[0] for seed in range(20)} == {0.5, 0.6}


def test_seeds_of_several_objectives_belong_together(tmp_path: Path) -> None:
    text = "op,accuracy,latency\na,1;2;3,10;20;30\nb,4,5\na2,1,1\na,0,7\n".replace("\na,0,7", "\nc,0,7").replace(
        "a2", "d"
    )
    table = read_csv(tmp_path, text, choices=("op",))
    drawn = {tuple(table.train(0, np.random.default_rng(seed))) for seed in range(50)}
    assert drawn == {(1, 10), (2, 20), (3, 30)}


def test_box_spans_the_worst_to_the_best_unless_a_reference_is_given(tmp_path: Path) -> None:
    table = read_csv(tmp_path, CSV)
    np.testing.assert_allclose(table.bounds.worst, [0.7, math.log10(150)])  # 50 belongs to a training that failed
    np.testing.assert_allclose(table.bounds.best, [0.92, math.log10(60)])
    table = read_csv(tmp_path, CSV, reference={"accuracy": 0.5, "macs": 1000})
    np.testing.assert_allclose(table.bounds.worst, [0.5, 3])
    np.testing.assert_allclose(table.unit_values[3], [0.2 / 0.42, 1.0])
    assert np.isnan(table.unit_values[2]).all()


def test_volume_of_a_table_is_that_of_its_front(tmp_path: Path) -> None:
    # unit: (0, 1), (.5, .5), (1, 0), (.5, .75): the last box alone has an area
    text = "k,d,acc,cost\n1,1,0,0\n1,2,0.5,2\n2,1,1,4\n2,2,0.5,1\n"
    table = read_csv(tmp_path, text, objectives=("acc", "cost:min:cheap"))
    assert table.hypervolume == pytest.approx(0.375)


BAD = [
    ("", {}, "table.csv: a table must hold at least one architecture, found none"),
    ("op,accuracy\n", {}, "table.csv: a table must hold at least one architecture, found none"),
    (CSV.replace("0.9,", "good,"), {}, "table.csv:2: column 'accuracy': must be a number, found 'good'"),
    (CSV.replace("0.91;0.93", "0.91;x"), {}, "table.csv:3: column 'accuracy': must be a number, found '0.91;x'"),
    (CSV.replace("0.91;0.93", "[0.9"), {}, "table.csv:3: column 'accuracy': must be a list in JSON, found '[0.9'"),
    (CSV.replace("0.7,", "inf,"), {}, "table.csv:5: column 'accuracy': must be finite, found 'inf'"),
    (CSV.replace(",50,", ",,"), {}, "table.csv:4: column 'macs': a value known before training must not be missing"),
    (CSV.replace(",50,", ",0,"), {}, "table.csv:4: column 'macs': must be above 0, since its logarithm is used, found '0'"),
    (CSV.replace(",50,", ",5;6,"), {}, "table.csv:4: column 'macs': must be a number, found '5;6'"),
    (CSV.replace("pool,3,", "pool,3,,"), {}, "table.csv:4: a row must have the 5 cells of the first line, found 6"),
    (CSV.replace("pool,3,,50,0", "pool,3"), {}, "table.csv:4: a row must have the 5 cells of the first line, found 2"),
    (CSV.replace("op,", "kernel,"), {}, "table.csv:1: column names must be unique, found 'kernel' twice"),
    (CSV.replace("op,", ","), {}, "table.csv:1: a column must have a name, found none for column 1"),
    (CSV.replace("pool,5", "pool,3"), {}, "table.csv:5: architectures must be unique"),
    (CSV.replace("pool,5", ",5"), {"choices": ("op", "kernel")}, "table.csv:5: column 'op': a choice must not be missing"),
    (CSV.replace("accuracy", "quality"), {}, "table.csv: at least one objective must need training"),
    (CSV, {"objectives": ("macs",)}, "table.csv: at least one objective must need training"),
    (CSV, {"objectives": ("acuracy",)}, "--objective: no such column (known: accuracy, kernel, macs, op, params), found"),
    (CSV, {"objectives": ("accuracy:up",)}, "--objective accuracy:up: must be NAME, or NAME:max|min[:cheap][:log]"),
    (CSV, {"objectives": ("accuracy:max:expensive",)}, "--objective accuracy:max:expensive: must be NAME"),
    (CSV, {"objectives": ("kernel",)}, "--objective kernel: 'kernel' is not a well-known objective: give kernel:max"),
    (CSV, {"objectives": ("accuracy", "accuracy:min")}, "--objective: must name each objective once"),
    (CSV, {"choices": ("ops",)}, "--choice: no such column"),
    (CSV, {"choices": ("op", "macs")}, "--choice, --key: a column must have one role, found 'macs' as a choice and as a value"),
    (CSV, {"choices": ("op",), "key": "kernel"}, "--choice, --key: must not be given together, found both"),
    (CSV, {"key": "op"}, "table.csv:3: architectures must be unique"),
    (CSV, {"features": ("macs",)}, "--feature: a column must have one role, found 'macs' as a feature and as an objective"),
    (CSV, {"features": ("op",), "choices": ("op", "kernel")}, "--choice, --key: a column must have one role, found 'op'"),
    (CSV.replace("100,10", "100,ten"), {"features": ("params",)}, "table.csv:2: column 'params': must be a number, found 'ten'"),
    ("op,accuracy\nab,1\nabc,2\n", {"key": "op"}, "table.csv:3: column 'op': a key must have 2 parts like the first key, not 3"),
    ("x,accuracy\na,1\nb,2\n", {}, "table.csv: no column looks like a choice"),
    ("op,accuracy\na,1\na2,1\n", {"choices": ("op",)}, "table.csv: the architectures of a table must differ in at"),
    ("op,accuracy,macs\na,1,1\nb,2,2\n", {"choices": ("op",)}, "table.csv: at least one architecture must be better than"),
    ("op,accuracy\na,\nb,nan\n", {"choices": ("op",)}, "table.csv: a table must hold at least one architecture whose training"),
    (CSV, {"reference": {"acc": 0.5}}, "--reference: no such objective"),
    (CSV, {"reference": {"macs": 60}}, "--reference macs=60: must be worse than the best of the table, 60"),
    (CSV, {"reference": {"accuracy": 0.95}}, "--reference accuracy=0.95: must be worse than the best of the table, 0.92"),
    (CSV, {"reference": {"macs": 0}}, "--reference macs=0: must be above 0"),
    ('op,accuracy\n"a,1\n', {}, "table.csv:2: not CSV: unexpected end of data"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "expected"), BAD)
def test_bad_csv_is_refused_in_one_line(tmp_path: Path, text: str, options: dict[str, Any], expected: str) -> None:
    assert error_of(tmp_path, text, **options).startswith(expected)


BAD_JSON = [
    ("[{]", "t.json:1:3: not JSON: "),
    ("3", "t.json: must be a list of objects, or an object of them, found 3"),
    ("[]", "t.json: a table must hold at least one architecture, found none"),
    ("[[1]]", "t.json: row 1: must be an object with the columns of an architecture, found [1]"),
    ('{"01": 3}', "t.json: '01': must be an object with the columns of an architecture, found 3"),
    ('{"01": {"acc": 1}, "01": {"acc": 2}}', "t.json: '01': keys must be unique, found this one twice"),
    ('{"01": {"acc": 1, "acc": 2}}', "t.json: '01': column names must be unique, found 'acc' twice"),
    ('{"01": {"key": 1, "acc": 2}}', "t.json: '01': column names must be unique, found 'key' twice"),
    ('{"01": {"acc": true}, "02": {"acc": 1}}', "t.json: '01': column 'acc': must be a number, found True"),
    ('{"01": {"acc": {"a": 1}}, "02": {"acc": 1}}', "t.json: '01': column 'acc': must be a number, found {'a': 1}"),
    ('{"01": {"acc": [[1]]}, "02": {"acc": 1}}', "t.json: '01': column 'acc': must be a number, found [[1]]"),
    ('{"01": {"acc": 1e999}, "02": {"acc": 1}}', "t.json: '01': column 'acc': must be finite, found inf"),
    ('{"01": {"acc": 1' + "0" * 400 + '}, "02": {"acc": 1}}', "t.json: '01': column 'acc': must be finite"),
    ("[" * 100_000, "t.json: not JSON that can be read: "),
    ('{"01": {"acc": 1' + "0" * 5000 + "}}", "t.json: not JSON that can be read: "),
]


@pytest.mark.parametrize(("text", "expected"), BAD_JSON)
def test_bad_json_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    assert error_of(tmp_path, text, "t.json").startswith(expected)


def test_choices_in_json_must_be_single_values_of_one_type(tmp_path: Path) -> None:
    rows = [{"c": cell, "acc": i} for i, cell in enumerate([True, 1])]
    assert "true or false in every row" in error_of(tmp_path, json.dumps(rows), "t.json", choices=("c",))
    rows = [{"c": cell, "acc": i} for i, cell in enumerate([[1], 1])]
    assert "a list goes with --key" in error_of(tmp_path, json.dumps(rows), "t.json", choices=("c",))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    for name, words in (
        ("none.csv", "a table must be a file that can be read: no such file"),
        ("t.yaml", "a table must be a .csv, .tsv or .json file, found '.yaml'"),
        ("plain", "found 'no suffix'"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_table(tmp_path / name, ColumnOptions())
    (tmp_path / "latin.csv").write_bytes(b"op,accuracy\ncaf\xe9,1\n")
    with pytest.raises(ConfigError, match=r"a table must be in UTF-8: .* at byte 15"):
        load_table(tmp_path / "latin.csv", ColumnOptions())


def test_table_may_hold_part_of_the_combinations_but_at_least_one_percent(tmp_path: Path) -> None:
    codes = ["aaa", "aab", "aba", "bbb"]
    table = read_csv(tmp_path, "arch,acc\n" + "".join(f"{code},{i}\n" for i, code in enumerate(codes)))
    assert (len(table), table.combinations) == (4, 8)
    assert table.row({"arch.0": "b", "arch.1": "a", "arch.2": "a"}) is None
    sparse = "arch,acc\n" + "".join(f"{chr(97 + i) * 5},{i}\n" for i in range(10))
    message = error_of(tmp_path, sparse)
    assert message.startswith(
        "table.csv: a table must hold at least 1% of the combinations of its choices, found 10 of 100,000"
    )
