"""The reader against Optuna: all trials, changes since a cursor, and what is no study."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.errors import UsageError
from nas.study.database.reader import Cursor, StudyReader, list_studies
from nas.study.database.server import ServerDatabase
from nas.study.database.storage import open_study, read_study
from nas.study.database.tables import SCHEMA_VERSION
from nas.study.layout import DATABASE
from nas.study.trial_record import TrialRecord

FIELDS = (
    "number", "state", "values", "params", "intermediate_values", "datetime_start", "datetime_complete", "constraints",
)  # fmt: skip
DISTRIBUTIONS = {
    "float": FloatDistribution(-1.0, 1.0),
    "log": FloatDistribution(1e-5, 1.0, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.25),
    "int": IntDistribution(-5, 5),
    "int_log": IntDistribution(1, 1024, log=True),
    "int_step": IntDistribution(0, 100, step=10),
    "choice": CategoricalDistribution(["a", 'é "x"', None, True, 2, 0.5]),
}
FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"


def check_equal(records: Sequence[TrialRecord], trials: Sequence[FrozenTrial]) -> None:
    """Assert that what was read is what Optuna reads; NaN equals NaN."""
    assert [record.number for record in records] == [trial.number for trial in trials]
    for record, trial in zip(records, trials, strict=True):
        for name in FIELDS:
            assert repr(getattr(record, name)) == repr(getattr(trial, name)), (trial.number, name)
        assert list(record.params) == list(trial.params)
        assert repr(sorted(record.user_attrs.items())) == repr(sorted(trial.user_attrs.items()))
        assert repr(sorted(record.system_attrs.items())) == repr(sorted(trial.system_attrs.items()))


def random_trial(rng: np.random.Generator) -> FrozenTrial:
    """A finished trial with any values, attributes and parameters."""
    state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)[rng.integers(3)]
    numbers = [0.5, -3.0, 1e300, 1e-300, math.inf, -math.inf]
    values = [numbers[rng.integers(6)] for _ in range(2)]
    attribute = [{"a": [1, None, 1e-9]}, "text \u2028 \ud800", 0.1 + 0.2, 2**70, True, None, [], math.nan, -math.inf]
    names = [name for name in DISTRIBUTIONS if rng.random() < 0.7]
    params = {name: draw(DISTRIBUTIONS[name], rng) for name in rng.permutation(names).tolist()}
    return create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: DISTRIBUTIONS[name] for name in params},
        user_attrs={f"key {i}": attribute[rng.integers(len(attribute))] for i in range(rng.integers(4))},
        intermediate_values={int(step): (math.nan, math.inf, 0.25)[rng.integers(3)] for step in range(rng.integers(4))},
        constraints={"macs": float(rng.normal())} if rng.random() < 0.3 else None,
    )


def draw(distribution: Any, rng: np.random.Generator) -> Any:
    """A value of `distribution`."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    if isinstance(distribution, IntDistribution):
        return int(distribution.low + distribution.step * rng.integers(3))
    return distribution.low + (distribution.step or 1e-3) * int(rng.integers(3))


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage with two studies, "first" and "second", whose trials alternate: 40 each, some of them open."""
    url = f"sqlite:///{tmp_path_factory.mktemp('storage') / 'both.db'}"
    rng = np.random.default_rng(0)
    studies = [
        optuna.create_study(
            study_name=name, storage=url, directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler()
        )
        for name in ("first", "second")
    ]
    for number in range(40):
        for study in studies:
            if number == 39:
                study.enqueue_trial({"int": 3, "choice": None})
            elif number % 8 == 5:
                study.ask({"float": DISTRIBUTIONS["float"]}).set_user_attr("id", f"{number}")
            else:
                study.add_trial(random_trial(rng))
    studies[1].set_user_attr("notes", {"1": "text"})
    return url


@pytest.mark.parametrize("name", ["first", "second"])
def test_trials_are_those_that_optuna_reads(storage_url: str, name: str) -> None:
    study = optuna.load_study(study_name=name, storage=storage_url)
    changes = StudyReader.of_storage(storage_url, name).read()
    check_equal(changes.trials, study.trials)
    assert changes.attributes == study.user_attrs
    open_numbers = [trial.number for trial in study.trials if not trial.state.is_finished()]
    assert str(changes.cursor) == f"40;{','.join(map(str, open_numbers))}"
    waiting = next(record for record in changes.trials if record.state == TrialState.WAITING)
    assert waiting.fixed_params == {"int": 3, "choice": None}


def test_sqlalchemy_reads_the_same(storage_url: str) -> None:
    import sqlalchemy

    database = ServerDatabase(sqlalchemy.make_url(storage_url), isolation_level="SERIALIZABLE")
    reader = StudyReader(database, "second")
    study = optuna.load_study(study_name="second", storage=storage_url)
    check_equal(reader.read().trials, study.trials)
    assert reader.changed()
    check_equal([reader.trial(7)], [study.trials[7]])


def test_studies_of_a_storage(storage_url: str) -> None:
    assert list_studies(storage_url) == ["first", "second"]
    reader = StudyReader.of_storage(storage_url, "second")
    assert (reader.name, reader.directions) == ("second", ("maximize", "minimize"))
    with pytest.raises(UsageError, match=r"holds no study 'third'; there are 'first', 'second'"):
        StudyReader.of_storage(storage_url, "third")


def test_a_real_study_of_version_0_1() -> None:
    check_equal(StudyReader.of_folder(FROZEN).read().trials, read_study(FROZEN).trials)


@pytest.mark.parametrize("limit", [1, 7, 40, 1000])
def test_batches_together_are_the_study(storage_url: str, limit: int) -> None:
    study = optuna.load_study(study_name="first", storage=storage_url)
    batches = list(StudyReader.of_storage(storage_url, "first").batches(limit=limit))
    assert all(len(batch.trials) <= limit for batch in batches)  # open trials have not changed
    check_equal([record for batch in batches for record in batch.trials], study.trials)
    assert [batch.is_last for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert [batch.attributes is not None for batch in batches] == [True] + [False] * (len(batches) - 1)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """An open study in the folder `tmp_path`."""
    optuna.create_study(study_name="mine", storage=f"sqlite:///{tmp_path / DATABASE}", directions=["maximize"] * 2)
    opened = open_study(tmp_path)
    opened.sampler = optuna.samplers.RandomSampler()
    return opened


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("restarts", [False, True], ids=["same reader", "a new reader each time"])
def test_changes_since_a_cursor_add_up_to_the_study(
    tmp_path: Path, study: optuna.Study, seed: int, restarts: bool
) -> None:
    rng = np.random.default_rng(seed)
    reader = StudyReader.of_folder(tmp_path)
    changes = reader.read()
    seen: dict[int, TrialRecord] = {}
    attributes: Any = changes.attributes
    opened: list[optuna.Trial] = []
    for _ in range(40):
        for _ in range(rng.integers(3)):
            change_study(study, opened, rng)
        cursor = changes.cursor
        if restarts:
            reader, cursor = StudyReader.of_folder(tmp_path), Cursor.parse(str(cursor))
        changes = reader.read(cursor)
        seen |= {record.number: record for record in changes.trials}
        attributes = attributes if changes.attributes is None else changes.attributes
        check_equal([seen[number] for number in sorted(seen)], study.trials)
        assert attributes == study.user_attrs
        assert str(changes.cursor) == str(Cursor.parse(str(changes.cursor)))


def change_study(study: optuna.Study, opened: list[optuna.Trial], rng: np.random.Generator) -> None:
    """One random step of a search."""
    match rng.integers(6):
        case 0:
            study.enqueue_trial({"x": float(rng.random())})
        case 1:
            study.set_user_attr("a", float(rng.random()))
        case 2 if opened:
            opened[rng.integers(len(opened))].set_user_attr("points", [float(rng.random())])
        case 3 if opened:
            opened[rng.integers(len(opened))].suggest_float(f"x{rng.integers(5)}", 0, 1)
        case 4 if opened:
            trial = opened.pop(rng.integers(len(opened)))
            study.tell(trial, None, state=TrialState.FAIL)
        case _:
            opened.append(study.ask())


def test_an_open_trial_is_read_again_only_if_it_has_changed(tmp_path: Path, study: optuna.Study) -> None:
    first, second = study.ask(), study.ask()
    reader = StudyReader.of_folder(tmp_path)
    start = reader.read()
    assert not reader.read(start.cursor)
    second.set_user_attr("device", "cpu")
    changes = reader.read(start.cursor)
    assert [record.number for record in changes.trials] == [1]
    assert not reader.read(changes.cursor)
    assert [record.number for record in reader.read(start.cursor).trials] == [1]  # an earlier cursor sees it, too
    parsed = reader.read(Cursor.parse(str(changes.cursor)))
    assert [record.number for record in parsed.trials] == [0, 1]
    study.tell(first, [1.0, 2.0])
    changes = reader.read(changes.cursor)
    assert [(record.number, record.values) for record in changes.trials] == [(0, [1.0, 2.0])]
    assert str(changes.cursor) == "2;1"


def test_changed_follows_the_files(tmp_path: Path, study: optuna.Study) -> None:
    reader = StudyReader.of_folder(tmp_path)
    assert reader.changed()
    wait_until_quiet(reader)
    assert not reader.changed()
    study.set_user_attr("a", 1)
    assert reader.changed()
    assert reader.changed()  # until it is read
    wait_until_quiet(reader)
    trial = study.ask()
    assert reader.changed()
    wait_until_quiet(reader)
    trial.set_user_attr("a", 1)
    assert reader.changed()


def wait_until_quiet(reader: StudyReader) -> None:
    """Read until the files are old enough to tell the next change by their times."""
    while reader.changed():
        reader.read()


def state_of(folder: Path) -> dict[str, bytes]:
    """File -> content; that of the shared memory is no more than locks and an index."""
    return {file.name: b"" if file.suffix == ".db-shm" else file.read_bytes() for file in folder.iterdir()}


def test_reading_leaves_the_folder_as_it_is(tmp_path: Path, study: optuna.Study) -> None:
    study.add_trial(create_trial(values=[1.0, 2.0]))
    running = state_of(tmp_path)
    assert set(running) == {"study.db", "study.db-wal", "study.db-shm"}
    assert len(StudyReader.of_folder(tmp_path).read().trials) == 1
    assert state_of(tmp_path) == running
    crashed = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name} crashed"))
    (crashed / "study.db-shm").unlink()
    before = state_of(crashed)
    reader = StudyReader.of_folder(crashed)
    for _ in range(3):
        assert len(reader.read().trials) == 1
    assert state_of(crashed) == before
    closed = shutil.copytree(FROZEN, tmp_path.with_name(f"{tmp_path.name} closed"))
    before = state_of_tree(closed)
    assert len(StudyReader.of_folder(closed).read().trials) == 8
    assert state_of_tree(closed) == before


def state_of_tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_trial_by_its_number(digits_study: Path) -> None:
    reader = StudyReader.of_folder(digits_study)
    check_equal([reader.trial(5), reader.trial(36)], [read_study(digits_study).trials[number] for number in (5, 36)])
    with pytest.raises(UsageError, match="trial 37: study digits has no such trial"):
        reader.trial(37)


@pytest.mark.parametrize("text", ["", "12", "12;x", "12;1,", "-1;", "3;5", "1_0;", "12;1;2", "9" * 20 + ";"])
def test_text_that_is_no_cursor(text: str) -> None:
    with pytest.raises(UsageError, match=r"^cursor: must look like '120;118,119'"):
        Cursor.parse(text)


def test_a_study_that_was_replaced_or_deleted_while_it_was_open(tmp_path: Path, study: optuna.Study) -> None:
    study.add_trials([create_trial(values=[1.0, 2.0])] * 3)
    reader = StudyReader.of_folder(tmp_path)
    cursor = reader.read().cursor
    shutil.rmtree(tmp_path)
    for call in (reader.read, reader.changed, lambda: reader.read(cursor), lambda: reader.trial(0)):
        with pytest.raises(UsageError, match=r"holds no study \(study\.db is missing\); `nas search --out"):
            call()
    tmp_path.mkdir()
    optuna.create_study(study_name="mine", storage=f"sqlite:///{tmp_path / DATABASE}", directions=["maximize"] * 2)
    with pytest.raises(UsageError, match=r"must have the trials that were read \(3\), found fewer or others"):
        reader.read(cursor)


def execute(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute(sql)
        connection.commit()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE alembic_version SET version_num = 'v9.9.9'", r"must have the schema v3\.2\.0\.a .*, found v9\.9\.9; "),
        ("DELETE FROM studies", r"holds no study; remove the folder"),
        ("DROP TABLE alembic_version", r"holds no study; remove the folder"),
        ("UPDATE trials SET number = 1000000", r"is damaged: the number of a trial must follow .* -1, found 1000000"),
        ("UPDATE trials SET number = -1", r"is damaged: the number of a trial must follow .*, found -1"),
        ("UPDATE study_user_attributes SET value_json = '[1'", r"attribute a must be JSON, found '\[1'"),
    ],
)
def test_databases_that_are_no_studies_or_damaged(tmp_path: Path, study: optuna.Study, sql: str, message: str) -> None:
    study.set_user_attr("a", 1)
    study.add_trial(create_trial(values=[1.0, 2.0], params={"x": 1.0}, distributions={"x": FloatDistribution(0, 1)}))
    execute(tmp_path, sql)
    with pytest.raises(UsageError, match=message) as caught:
        StudyReader.of_folder(tmp_path).read()
    assert str(tmp_path) in str(caught.value) or "attribute a" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "failure"),
    [
        ("UPDATE trials SET state = 'ASLEEP' WHERE number = 0", "its state must be one of RUNNING, .*, found 'ASLEEP'"),
        ("UPDATE trial_values SET value = NULL WHERE trial_id = 1", "a value must be a number, found None"),
        ("UPDATE trial_params SET distribution_json = '{' WHERE trial_id = 1", "the parameter 'x' must have a value"),
        ("UPDATE trial_params SET param_value = 'y' WHERE trial_id = 1", "the parameter 'x' must .*, found 'y'"),
        ("UPDATE trial_user_attributes SET value_json = x'00' WHERE trial_id = 1", "the attribute 'macs' must be text"),
    ],
)
def test_a_trial_of_damaged_rows_is_a_failed_one_that_says_so(
    tmp_path: Path, study: optuna.Study, sql: str, failure: str
) -> None:
    for _ in range(2):
        study.add_trial(
            create_trial(
                values=[1.0, 2.0],
                params={"x": 1.0},
                distributions={"x": FloatDistribution(0, 1)},
                user_attrs={"macs": 1},
            )
        )
    execute(tmp_path, sql)
    damaged, whole = StudyReader.of_folder(tmp_path).read().trials
    assert (whole.state, whole.values, whole.user_attrs["macs"]) == (TrialState.COMPLETE, [1.0, 2.0], 1)
    assert damaged.state == TrialState.FAIL
    assert re.match(f"the trial is damaged in the database: {failure}", damaged.user_attrs["failure"])


def test_an_attribute_that_is_no_json_counts_as_missing_and_is_named(tmp_path: Path, study: optuna.Study) -> None:
    study.add_trial(create_trial(values=[1.0, 2.0], user_attrs={"macs": 1, "params": 2, "curve": 3}))
    execute(tmp_path, "UPDATE trial_user_attributes SET value_json = 'x' WHERE key = 'macs'")
    (record,) = StudyReader.of_folder(tmp_path).read().trials
    assert (record.user_attrs["params"], record.user_attrs["macs"], record.user_attrs.get("macs")) == (2, None, None)
    problems = "the attribute curve has another type, found '3'; the attribute macs must be JSON, found 'x'"
    assert record.damage == problems


@pytest.mark.parametrize("content", [b"", b"no database at all, but text\n", b"SQLite format 3\0" + bytes(200)])
def test_files_that_are_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    with pytest.raises(UsageError, match=r"study\.db: (cannot be read as a study|holds no study)") as caught:
        StudyReader.of_folder(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / DATABASE).read_bytes() == content


def test_the_schema_is_that_of_the_optuna_installed(tmp_path: Path, study: optuna.Study) -> None:
    assert optuna.storages.RDBStorage(f"sqlite:///{tmp_path / DATABASE}").get_head_version() == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", r"storage: must be a URL such as sqlite:///FILE"),
        ("nosuch://u:secret@host/x", r"storage: no such kind of database, found 'nosuch'"),
        ("oracle+oracledb://u:secret@host/x", r"oracle\+oracledb://u:\*\*\*@host/x: needs the package oracledb"),
        ("sqlite://", r"storage: must name a file"),
        ("sqlite:////no/such/file.db", r"/no/such: holds no study"),
    ],
)
def test_storages_that_cannot_be_opened(url: str, message: str) -> None:
    calls: list[Callable[[], object]] = [lambda: list_studies(url), lambda: StudyReader.of_storage(url, "a")]
    for call in calls:
        with pytest.raises(UsageError, match=message) as caught:
            call()
        assert "secret" not in str(caught.value)
