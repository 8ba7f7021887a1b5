"""Columns against the table of `Results`, when they grow and when they come from a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.analysis.columns import CHOICE_PREFIX, StudyColumns
from nas.analysis.columns_cache import identity_of, is_worth_saving, load_columns, save_columns
from nas.analysis.front import hypervolume
from nas.analysis.growing import GrowingColumn, RaggedColumn, TextColumn
from nas.analysis.results import Results
from nas.analysis.trial_fields import TEXTS, number_columns
from nas.study.database.reader import START, Cursor, StudyReader
from nas.study.database.storage import open_study
from nas.study.info import StudyInfo
from nas.study.layout import COLUMNS


class Tracked:
    """Columns that follow a study; they start from the file of its columns if there is one that fits."""

    def __init__(self, folder: Path, cache: bool = True) -> None:
        self.folder = folder
        self.reader = StudyReader.of_folder(folder)
        first = self.reader.read(limit=1)
        self.info = StudyInfo(folder, self.reader.name, first.attributes or {}, len(self.reader.directions))
        self.identity = identity_of(self.reader.name, first.trials[0]) if first.trials else ""
        cached = load_columns(folder / COLUMNS, self.info.objectives, self.identity) if cache else None
        self.is_from_file = cached is not None
        self.columns = StudyColumns(self.info.objectives) if cached is None else cached.columns
        self.cursor = START if cached is None else cached.cursor
        self.update()

    def update(self) -> list[int]:
        """Read on; returns the numbers of the trials that were read."""
        numbers: list[int] = []
        for changes in self.reader.batches(self.cursor, limit=10):
            numbers += self.columns.update(changes.trials)
            self.cursor = changes.cursor
            if changes.attributes is not None:
                self.columns.set_test_accuracy(changes.attributes.get("test_accuracy") or {})
        return numbers

    def save(self) -> None:
        save_columns(self.folder / COLUMNS, self.columns, self.cursor, self.identity)


def texts_of(column: TextColumn, count: int) -> list[str | None]:
    return [None if code < 0 else column.texts[code] for code in column.codes.first(count)]


def check_against_results(columns: StudyColumns, folder: Path) -> None:
    """Assert that `columns` say what the table of results says."""
    results = Results.load(folder)
    trials = results.trials
    count = columns.count
    assert count == len(trials)
    for name in dict.fromkeys((*(objective.name for objective in results.objectives), *number_columns())):
        np.testing.assert_array_equal(columns.numbers[name].first(count), trials[name].to_numpy(), name)
    np.testing.assert_array_equal(columns.numbers["retried_from"].first(count), trials["retried_from"].to_numpy())
    for name in ("started", "finished"):
        seconds = [
            np.nan if time is None or time != time else time.timestamp() for time in trials[name].dt.to_pydatetime()
        ]
        np.testing.assert_array_equal(columns.numbers[name].first(count), seconds)
    for name in (*TEXTS, "state"):
        assert texts_of(columns.texts[name], count) == trials[name].tolist()
    assert columns.feasible.first(count).astype(bool).tolist() == trials["feasible"].tolist()
    curves = [[e["val_accuracy"] for e in curve if e["val_accuracy"] is not None] for curve in trials["curve"]]
    assert [columns.curves[row].tolist() for row in range(count)] == [
        np.array(curve, np.float32).tolist() for curve in curves
    ]
    assert sorted(columns.front.trials) == sorted(results.front["trial"])
    assert columns.front.hypervolumes[-1:] == pytest.approx([results.hypervolume] if len(results.front) else [])
    assert hypervolume(results.values, results.objectives) == results.hypervolume


def same_columns(first: StudyColumns, second: StudyColumns) -> bool:
    """Whether both hold the same values."""
    return describe(first) == describe(second)


def describe(columns: StudyColumns) -> dict[str, Any]:
    count, rows = columns.count, np.arange(columns.count)
    table = columns.segments.table(rows)
    return {
        "numbers": {name: repr(column.first(count).tolist()) for name, column in columns.numbers.items()},
        "texts": {name: texts_of(column, count) for name, column in (columns.texts | columns.choices).items()},
        "feasible": columns.feasible.first(count).tolist(),
        "blocks": repr(columns.blocks.first(count).tolist()),
        "curves": [columns.curves[row].tolist() for row in range(count)],
        "front": [(entry.trial, entry.values.tolist(), entry.removed_by) for entry in columns.front.entries],
        "hypervolumes": columns.front.hypervolumes,
        "segments": (table.trial.tolist(), repr(table.start.tolist()), columns.segments.workers),
        "rungs": columns.rungs,
    }


def test_columns_are_those_of_the_results(digits_study: Path) -> None:
    columns = Tracked(digits_study, cache=False).columns
    check_against_results(columns, digits_study)
    trials = Results.load(digits_study).trials
    mixers = [[stage["mixer"]["name"] for stage in architecture["stages"]] for architecture in trials["architecture"]]
    assert texts_of(columns.texts["mixer"], columns.count) == [names[-1] for names in mixers]
    assert columns.blocks.first(columns.count).tolist() == [
        sum(stage["depth"] for stage in architecture["stages"]) for architecture in trials["architecture"]
    ]


def test_an_empty_study_and_its_first_trials(empty_study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(empty_study, tmp_path / "study")
    tracked = Tracked(folder)
    assert (tracked.columns.count, tracked.columns.front.trials, tracked.columns.front.hypervolumes) == (0, [], [])
    study = open_study(folder)
    trial = study.ask()
    assert tracked.update() == [0]
    assert texts_of(tracked.columns.texts["state"], 1) == ["running"]
    study.tell(trial, [0.5, 1e5, 100.0])
    assert tracked.update() == [0]
    check_against_results(tracked.columns, folder)
    assert not tracked.update()


def change_study(study: optuna.Study, opened: list[optuna.Trial], rng: np.random.Generator) -> None:
    """One random step of a search with all kinds of endings."""
    match rng.integers(7):
        case 0 | 1 | 2:
            trial = study.ask()
            trial.suggest_categorical("stages.0.mixer", ["conv", "pool", None, True, 1, 2.5])
            trial.set_user_attr("macs", float(10 ** rng.uniform(3, 6)))
            opened.append(trial)
        case 3 if opened:
            curve = [
                {"epoch": e, "val_accuracy": float(rng.random()) if e % 2 else None} for e in range(rng.integers(5))
            ]
            opened[rng.integers(len(opened))].set_user_attr("curve", curve)
        case 4 if opened:
            trial = opened.pop(rng.integers(len(opened)))
            trial.set_user_attr("failure", "OutOfMemoryError: CUDA out of memory")
            study.tell(trial, None, state=TrialState.FAIL)
        case _ if opened:
            trial = opened.pop(rng.integers(len(opened)))
            if rng.random() < 0.2:
                trial.set_constraint("macs", 1.0)
            study.tell(trial, [float(rng.random()), float(10 ** rng.uniform(3, 6)), float(10 ** rng.uniform(1, 3))])


@pytest.mark.parametrize("seed", range(3))
def test_columns_that_grow_are_those_that_are_read_at_once(empty_study: Path, tmp_path: Path, seed: int) -> None:
    folder = shutil.copytree(empty_study, tmp_path / "study")
    study = open_study(folder)
    study.sampler = optuna.samplers.RandomSampler(seed=seed)
    rng = np.random.default_rng(seed)
    opened: list[optuna.Trial] = []
    live = Tracked(folder, cache=False)
    for step in range(25):
        for _ in range(rng.integers(1, 6)):
            change_study(study, opened, rng)
        live.update()
        if step % 5 == 4:
            check_against_results(live.columns, folder)
            at_once, from_file = Tracked(folder, cache=False), Tracked(folder)
            for other in (at_once, from_file):
                check_against_results(other.columns, folder)
                assert describe(other.columns)["front"] == describe(live.columns)["front"]
            from_file.save()
    assert (folder / COLUMNS).is_file()


@pytest.fixture
def cached(digits_study: Path, tmp_path: Path) -> Path:
    """A study with a file of its columns."""
    folder = shutil.copytree(digits_study, tmp_path / "study")
    Tracked(folder).save()
    assert (folder / COLUMNS).is_file()
    return folder


def test_the_file_gives_the_same_columns(cached: Path) -> None:
    columns = Tracked(cached).columns
    check_against_results(columns, cached)
    assert same_columns(columns, Tracked(cached, cache=False).columns)


def test_only_what_the_file_lacks_is_read(cached: Path) -> None:
    study = open_study(cached)
    study.add_trial(optuna.trial.create_trial(values=[0.5, 1e5, 10.0]))
    header, _ = header_of(cached / COLUMNS)
    assert header["cursor"] == "37;36"
    changes = StudyReader.of_folder(cached).read(Cursor.parse(header["cursor"]))
    assert [record.number for record in changes.trials] == [36, 37]
    tracked = Tracked(cached)
    assert tracked.is_from_file
    check_against_results(tracked.columns, cached)


def test_when_the_file_is_written() -> None:
    assert [is_worth_saving(count, 0) for count in (0, 499, 500)] == [False, False, True]
    assert [is_worth_saving(count, 1000) for count in (1000, 1099, 1100)] == [False, False, True]


def header_of(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays["header"].tobytes()), arrays


@pytest.mark.parametrize(
    "change", [{"schema": 99}, {"identity": "other"}, {"cursor": "x"}, {"numbers": []}, {"count": 7}]
)
def test_a_file_of_something_else_is_ignored(cached: Path, change: dict[str, Any]) -> None:
    header, arrays = header_of(cached / COLUMNS)
    arrays["header"] = np.frombuffer(json.dumps(header | change).encode(), np.uint8)
    with (cached / COLUMNS).open("wb") as stream:
        np.savez(stream, **arrays)
    tracked = Tracked(cached)
    assert not tracked.is_from_file
    check_against_results(tracked.columns, cached)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text", None])
def test_a_damaged_file_is_ignored(cached: Path, content: bytes | None) -> None:
    whole = (cached / COLUMNS).read_bytes()
    (cached / COLUMNS).write_bytes(whole[: len(whole) // 2] if content is None else content)
    check_against_results(Tracked(cached).columns, cached)


def test_a_pickle_is_not_loaded(cached: Path, tmp_path: Path) -> None:
    header, arrays = header_of(cached / COLUMNS)
    arrays["feasible"] = np.array([Trap(tmp_path / "executed")], dtype=object)
    with (cached / COLUMNS).open("wb") as stream:
        np.savez(stream, allow_pickle=True, **arrays)
    check_against_results(Tracked(cached).columns, cached)
    assert header["count"] == 37
    assert not (tmp_path / "executed").exists()


class Trap:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_columns_grow() -> None:
    column = GrowingColumn(np.nan, "f8")
    column.set(200, 1.0)
    column.assign(np.array([3, 999]), [2.0, 3.0])
    values = column.first(1500)
    assert (len(values), np.flatnonzero(~np.isnan(values)).tolist()) == (1500, [3, 200, 999])


def test_lists_of_different_lengths() -> None:
    rng = np.random.default_rng(0)
    column, pairs = RaggedColumn("f8"), RaggedColumn("i4", 2)
    expected: dict[int, list[float]] = {}
    for _ in range(50):
        rows = rng.choice(100, size=rng.integers(1, 20), replace=False)
        lists = [rng.random(rng.integers(0, 6)).tolist() for _ in rows]
        column.assign(rows, lists)
        pairs.assign(rows, [[(len(items), 1)] * len(items) for items in lists])
        expected |= dict(zip(rows.tolist(), lists, strict=True))
    rows = rng.permutation(120)
    assert [column[row].tolist() for row in rows] == [expected.get(row, []) for row in rows.tolist()]
    assert column.lengths(rows).tolist() == [len(expected.get(row, [])) for row in rows.tolist()]
    assert column.gather(rows).tolist() == [value for row in rows.tolist() for value in expected.get(row, [])]
    assert pairs.gather(rows).shape == (len(column.gather(rows)), 2)
    none = np.empty(0, np.int64)
    assert (column.gather(none).tolist(), pairs.gather(none).shape) == ([], (0, 2))


def test_choices_that_are_equal_in_python_stay_apart(empty_study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(empty_study, tmp_path / "study")
    study = open_study(folder)
    values = (True, 1, 1.5, "x", None, False, 0)
    for index, value in enumerate(values):
        name = f"p{{{index}}}"  # what stands in braces differs between trials
        distributions = {name: optuna.distributions.CategoricalDistribution([value])}
        study.add_trial(optuna.trial.create_trial(values=[0.1] * 3, params={name: value}, distributions=distributions))
    columns = Tracked(folder).columns
    assert texts_of(columns.choices[f"{CHOICE_PREFIX}p"], 7) == ["yes", "1", "1.5", "x", "None", "no", "0"]
    assert list(columns.choices) == [f"{CHOICE_PREFIX}p"]
