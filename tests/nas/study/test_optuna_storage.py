"""The storage of a search against Optuna's own: the same trials, whoever writes them."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.study.database.optuna_storage import StudyStorage
from nas.study.database.storage import create_study, open_study
from nas.study.database.stored_trial import StoredTrial

DISTRIBUTIONS = {
    "category": CategoricalDistribution(["a", "b", None, 1.5, True]),
    "many": CategoricalDistribution(list(range(400))),
    "integer": IntDistribution(-4, 400),
    "steps": IntDistribution(0, 100, step=5),
    "log": IntDistribution(1, 1024, log=True),
    "float": FloatDistribution(-1.0, 1e9),
    "grid": FloatDistribution(0.0, 1.0, step=0.25),
    "log float": FloatDistribution(1e-9, 1.0, log=True),
    "single": CategoricalDistribution(["only"]),
}
PARAMS = {
    "category": None, "many": 311, "integer": -3, "steps": 95, "log": 512, "float": 123456.78901, "grid": 0.75,
    "log float": 3.3e-7, "single": "only",
}  # fmt: skip
ATTRIBUTES: dict[str, Any] = {
    "architecture": {"stages": [{"k": 3, "name": "ä\ud800"}]},
    "curve": [{"epoch": 1, "val_accuracy": 0.125, "train_loss": math.inf}],
    "id": "0123456789abcdef",
    "macs": 123456789012345678901234567890,
    "nothing": None,
    "not finite": [math.inf, -math.inf],
    "yes": True,
}


@dataclass(frozen=True)
class Studies:
    """One study of two objectives, opened with Optuna's own storage and with that of a search."""

    theirs: optuna.Study
    ours: optuna.Study
    engines: tuple[sqlalchemy.Engine, sqlalchemy.Engine]
    their_storage: RDBStorage
    our_storage: StudyStorage

    def __iter__(self) -> Iterator[optuna.Study]:
        return iter((self.theirs, self.ours))

    @property
    def id(self) -> int:
        """The id of the study."""
        return self.our_storage.get_study_id_from_name("s")

    def trial_id(self, number: int) -> int:
        """The id of a trial."""
        return self.their_storage.get_trial_id_from_study_id_trial_number(self.id, number)


@contextmanager
def opened(url: str) -> Iterator[Studies]:
    """A new study in the database at `url`."""
    storages = [RDBStorage(url) for _ in range(2)]
    theirs = optuna.create_study(study_name="s", storage=storages[0], directions=["maximize", "minimize"])
    storage = StudyStorage(storages[1])
    ours = optuna.load_study(study_name="s", storage=storage)
    try:
        yield Studies(theirs, ours, (storages[0].engine, storages[1].engine), storages[0], storage)
    finally:
        for backend in storages:
            backend.remove_session()
            backend.engine.dispose()


@pytest.fixture
def studies(tmp_path: Path) -> Iterator[Studies]:
    """A study in SQLite, see `opened`."""
    with opened(f"sqlite:///{tmp_path / 'trials.db'}") as pair:
        yield pair


@pytest.fixture(params=["sqlite", "postgresql"])
def any_studies(request: pytest.FixtureRequest) -> Iterator[Studies]:
    """A study in any database, see `opened`."""
    if request.param == "sqlite":
        yield request.getfixturevalue("studies")
        return
    url = str(request.getfixturevalue("database")).replace("postgresql://", "postgresql+psycopg://", 1)
    with opened(url) as pair:
        yield pair


def trials_of_every_kind() -> Iterator[FrozenTrial]:
    """Trials with every distribution, state and kind of value."""
    full = {"params": PARAMS, "distributions": DISTRIBUTIONS, "user_attrs": ATTRIBUTES}
    values = [[0.5, 1e6], [math.inf, -math.inf], [-0.0, 5e-324]]
    yield from (create_trial(values=pair, **full) for pair in values)
    system = {"fixed_params": {"category": "b"}, "constraints:macs": -3.0, "constraints": [1.0, -2.0]}
    steps = {1: 0.25, 3: math.nan, 9: math.inf, 27: -math.inf}
    states = {TrialState.PRUNED: None, TrialState.FAIL: None, TrialState.RUNNING: None, TrialState.WAITING: None}
    for state in states:
        yield create_trial(state=state, system_attrs=system, intermediate_values=steps, **full)
        yield create_trial(state=state)
    yield create_trial(values=[1.0, 2.0])


def as_text(trial: FrozenTrial) -> str:
    """Every field with its types, and parameters in their order; NaN is not equal to itself, but its text is."""
    attributes = [sorted(plain.items()) for plain in (trial.user_attrs, trial.system_attrs)]
    numbers = (trial.number, trial.state, trial.values, trial.intermediate_values)
    return repr((numbers, trial.datetime_start, trial.datetime_complete, trial.params, trial.distributions, attributes))


def assert_same(studies: Studies) -> None:
    """Both studies return the same trials, in every way of asking for them."""
    theirs, ours = studies
    expected = theirs.get_trials(deepcopy=False)
    for states in (None, (TrialState.COMPLETE,), (TrialState.WAITING,), (TrialState.RUNNING, TrialState.FAIL)):
        wanted = [trial for trial in expected if states is None or trial.state in states]
        for deepcopy in (True, False):
            found = ours.get_trials(deepcopy=deepcopy, states=states)
            assert list(map(as_text, found)) == list(map(as_text, wanted))
    for trial in expected:
        trial_id = studies.trial_id(trial.number)
        assert as_text(studies.our_storage.get_trial(trial_id)) == as_text(trial)
        assert studies.our_storage.get_trial_id_from_study_id_trial_number(studies.id, trial.number) == trial_id


def test_trials_of_every_kind_are_those_of_optuna(any_studies: Studies) -> None:
    theirs, ours = any_studies
    theirs.add_trials(list(trials_of_every_kind()))
    assert_same(any_studies)
    ours.add_trials(list(trials_of_every_kind()))
    assert_same(any_studies)


def test_copies_of_an_ended_trial_are_plain(studies: Studies) -> None:
    theirs, ours = studies
    theirs.add_trial(next(trials_of_every_kind()))
    (kept,) = ours.get_trials(deepcopy=False)
    for copied in (copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert type(copied) is FrozenTrial
        assert copied == kept == theirs.get_trials()[0]
    with pytest.raises(AttributeError):
        kept.params = {}  # an ended trial never changes


def test_large_attributes_are_read_when_asked_for(studies: Studies) -> None:
    theirs, ours = studies
    theirs.add_trial(create_trial(values=[1.0, 2.0], user_attrs=ATTRIBUTES))
    (trial,) = ours.get_trials(deepcopy=False)
    queries = count_queries(studies.engines[1])
    assert trial.user_attrs["id"] == ATTRIBUTES["id"]
    assert "curve" in trial.user_attrs
    assert "other" not in trial.user_attrs
    assert trial.user_attrs.get("other", 7) == 7
    assert len(trial.user_attrs) == len(ATTRIBUTES)
    assert queries() == 0
    assert trial.user_attrs["curve"] == ATTRIBUTES["curve"]
    assert queries() == 1
    attributes = trial.user_attrs
    assert {**attributes} == dict(attributes) == attributes == ATTRIBUTES
    assert set(attributes) == set(ATTRIBUTES)
    assert queries() == 2
    with pytest.raises(KeyError):
        attributes["other"]


def count_queries(engine: sqlalchemy.Engine) -> Callable[[], int]:
    """A function that returns the number of statements since now."""
    count = 0

    def add(*_: Any) -> None:
        nonlocal count
        count += 1

    sqlalchemy.event.listen(engine, "before_cursor_execute", add)
    return lambda: count


def test_what_another_process_writes_is_seen(any_studies: Studies) -> None:
    theirs, ours = any_studies
    first, second = theirs.ask(), theirs.ask()
    assert_same(any_studies)
    first.suggest_int("integer", 0, 4)
    second.set_user_attr("id", "a")
    assert_same(any_studies)
    mine = ours.ask()
    theirs.tell(first, [1.0, 2.0])
    theirs.enqueue_trial({"integer": 3})
    assert_same(any_studies)
    ours.tell(second.number, [3.0, 4.0])
    assert ours.ask().suggest_int("integer", 0, 4) == 3
    ours.tell(mine, state=TrialState.PRUNED)
    assert_same(any_studies)
    assert [trial.number for trial in theirs.trials] == [0, 1, 2, 3]


def test_ended_trials_are_read_once(studies: Studies) -> None:
    theirs, ours = studies
    theirs.add_trials([create_trial(values=[1.0, 2.0]) for _ in range(20)])
    trial = ours.ask()
    ours.get_trials(deepcopy=False)
    parameters: list[Any] = []
    sqlalchemy.event.listen(
        studies.engines[1], "before_cursor_execute", lambda *arguments: parameters.append(arguments[3])
    )
    trial.set_user_attr("id", "a")
    parameters.clear()
    assert ours.get_trials(deepcopy=False)[-1].user_attrs == {"id": "a"}
    assert len(parameters) == 7  # the trial that runs, its five tables, and none that is new
    ids = {value for values in parameters[:6] for value in values if isinstance(value, int)}
    assert ids == {studies.trial_id(trial.number)}


def test_an_incompatible_distribution_is_refused(studies: Studies) -> None:
    theirs, ours = studies
    theirs.ask().suggest_categorical("category", ["a", "b"])
    with pytest.raises(ValueError, match="dynamic value space"):
        ours.ask().suggest_categorical("category", ["a", "c"])


def test_a_started_trial_is_started_once(studies: Studies) -> None:
    theirs, ours = studies
    theirs.enqueue_trial({"x": 1})
    (waiting,) = ours.get_trials()
    trial_id = studies.trial_id(waiting.number)
    assert studies.their_storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    assert not studies.our_storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    assert ours.ask().number == 1


def test_removed_trials_are_forgotten(studies: Studies) -> None:
    ours = studies.ours
    ours.ask()
    ours.ask()
    assert len(ours.trials) == 2
    with studies.engines[0].begin() as connection:
        connection.exec_driver_sql("DELETE FROM trials WHERE number = 1")
    assert [trial.number for trial in ours.trials] == [0]
    assert ours.ask().number == 1


def test_studies_of_folders_are_read_in_compact_form(tmp_path: Path) -> None:
    create_study(tmp_path, "s", ["maximize"], {}).enqueue_trial({"x": 1})
    study = open_study(tmp_path)
    study.tell(study.ask(), 0.5)
    assert [type(trial) for trial in study.get_trials(deepcopy=False)] == [StoredTrial]
    assert [trial.value for trial in open_study(tmp_path).trials] == [0.5]
    assert study.best_value == 0.5
    assert list(study.trials_dataframe()["value"]) == [0.5]
