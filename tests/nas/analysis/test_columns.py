"""Columns against the table of `Results`, when they grow and when they come from a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.analysis import tracked_columns
from nas.analysis.columns import CHOICE_PREFIX, StudyColumns
from nas.analysis.front import hypervolume
from nas.analysis.growing import GrowingColumn, RaggedColumn, TextColumn
from nas.analysis.results import Results
from nas.analysis.tracked_columns import TrackedColumns
from nas.analysis.trial_fields import TEXTS, number_columns
from nas.errors import UsageError
from nas.study.layout import COLUMNS
from nas.study.reader import StudyReader
from nas.study.storage import open_study

Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def every_study_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_columns, "MIN_CACHED_TRIALS", 0)


def track(folder: Path) -> TrackedColumns:
    return TrackedColumns(StudyReader.of_folder(folder), folder, folder / COLUMNS)


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
    columns = TrackedColumns(StudyReader.of_folder(digits_study), digits_study).columns
    check_against_results(columns, digits_study)
    trials = Results.load(digits_study).trials
    mixers = [[stage["mixer"]["name"] for stage in architecture["stages"]] for architecture in trials["architecture"]]
    assert texts_of(columns.texts["mixer"], columns.count) == [names[-1] for names in mixers]
    assert columns.blocks.first(columns.count).tolist() == [
        sum(stage["depth"] for stage in architecture["stages"]) for architecture in trials["architecture"]
    ]


def test_an_empty_study_and_its_first_trials(empty_study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(empty_study, tmp_path / "study")
    tracked = track(folder)
    assert (tracked.columns.count, tracked.columns.front.trials, tracked.columns.front.hypervolumes) == (0, [], [])
    study = open_study(folder)
    trial = study.ask()
    assert tracked.changed()
    assert tracked.update().trials == [0]
    assert texts_of(tracked.columns.texts["state"], 1) == ["running"]
    study.tell(trial, [0.5, 1e5, 100.0])
    assert tracked.update().trials == [0]
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
    live = TrackedColumns(StudyReader.of_folder(folder), folder)
    for step in range(25):
        for _ in range(rng.integers(1, 6)):
            change_study(study, opened, rng)
        live.update()
        if step % 5 == 4:
            check_against_results(live.columns, folder)
            at_once, from_file = TrackedColumns(StudyReader.of_folder(folder), folder), track(folder)
            for other in (at_once, from_file):
                check_against_results(other.columns, folder)
                assert describe(other.columns)["front"] == describe(live.columns)["front"]
            from_file.save()
    assert (folder / COLUMNS).is_file()


def test_test_accuracies_come_with_the_attributes(digits_study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(digits_study, tmp_path / "study")
    tracked = track(folder)
    open_study(folder).set_user_attr("test_accuracy", {"0": 0.71, "4": 0.5, "6": 0.25})
    changes = tracked.update()
    assert (changes.trials, changes.attributes) == ([4, 6], True)
    check_against_results(tracked.columns, folder)


@pytest.fixture
def cached(digits_study: Path, tmp_path: Path) -> Path:
    """A study with a file of its columns."""
    folder = shutil.copytree(digits_study, tmp_path / "study")
    track(folder).save()
    assert (folder / COLUMNS).is_file()
    return folder


def test_the_file_gives_the_same_columns(cached: Path) -> None:
    columns = track(cached).columns
    check_against_results(columns, cached)
    assert same_columns(columns, TrackedColumns(StudyReader.of_folder(cached), cached).columns)


def test_only_what_the_file_lacks_is_read(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = StudyColumns.update

    def update(columns: StudyColumns, trials: Any) -> list[int]:
        numbers = original(columns, trials)
        read.extend(numbers)
        return numbers

    monkeypatch.setattr(StudyColumns, "update", update)
    track(cached)
    assert read == [0, 36]  # the first, which identifies the study, and the one that runs


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
    check_against_results(track(cached).columns, cached)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text", None])
def test_a_damaged_file_is_ignored(cached: Path, content: bytes | None) -> None:
    whole = (cached / COLUMNS).read_bytes()
    (cached / COLUMNS).write_bytes(whole[: len(whole) // 2] if content is None else content)
    check_against_results(track(cached).columns, cached)


def test_a_pickle_is_not_loaded(cached: Path, tmp_path: Path) -> None:
    header, arrays = header_of(cached / COLUMNS)
    arrays["feasible"] = np.array([Trap(tmp_path / "executed")], dtype=object)
    with (cached / COLUMNS).open("wb") as stream:
        np.savez(stream, allow_pickle=True, **arrays)
    check_against_results(track(cached).columns, cached)
    assert header["count"] == 37
    assert not (tmp_path / "executed").exists()


class Trap:
    """An object whose pickle creates a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_database_with_fewer_trials_than_the_file(cached: Path, tmp_path: Path, study_writer: Writer) -> None:
    first = Results.load(cached).trials["started"].iloc[0]
    other = study_writer(tmp_path / "other", name="digits")
    study = open_study(other)
    study.add_trial(optuna.trial.create_trial(values=[0.5, 1e5, 10.0]))
    shutil.copy(cached / COLUMNS, other / COLUMNS)
    header, arrays = header_of(other / COLUMNS)
    started = Results.load(other).trials["started"].iloc[0]
    header["identity"] = f"digits of {started.to_pydatetime().timestamp()}"
    assert started != first
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with (other / COLUMNS).open("wb") as stream:
        np.savez(stream, **arrays)
    check_against_results(track(other).columns, other)


def test_a_folder_that_cannot_be_written(cached: Path) -> None:
    tracked = TrackedColumns(StudyReader.of_folder(cached), cached, cached / "missing" / COLUMNS)
    tracked.save()
    assert not (cached / "missing").exists()


def test_a_study_that_was_deleted(cached: Path) -> None:
    tracked = track(cached)
    shutil.rmtree(cached)
    with pytest.raises(UsageError, match="holds no study"):
        tracked.update()


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
    columns = track(folder).columns
    assert texts_of(columns.choices[f"{CHOICE_PREFIX}p"], 7) == ["yes", "1", "1.5", "x", "None", "no", "0"]
    assert list(columns.choices) == [f"{CHOICE_PREFIX}p"]
