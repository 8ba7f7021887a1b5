"""Each private or undocumented part of Optuna that a study relies on still works as it assumes."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas.study.database.optuna_adapter import open_trial, set_intermediate_value
from nas.study.database.storage import create_study, open_study

DIRECTIONS = ("maximize", "minimize")


@pytest.fixture(params=["memory", "sqlite"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> optuna.Study:
    """A study of two objectives."""
    if request.param == "memory":
        return optuna.create_study(directions=DIRECTIONS)
    return create_study(tmp_path, "s", DIRECTIONS, {})


def test_intermediate_value_of_two_objectives_is_read_by_the_public_api(study: optuna.Study) -> None:
    trial = study.ask()
    set_intermediate_value(study, trial, 3, 0.5)
    set_intermediate_value(study, trial, 9, 0.75)
    assert study.get_trials()[0].intermediate_values == {3: 0.5, 9: 0.75}
    study.tell(trial, [0.8, 1e6])
    (ended,) = study.get_trials()
    assert (ended.state, ended.values, ended.intermediate_values) == (
        TrialState.COMPLETE,
        [0.8, 1e6],
        {3: 0.5, 9: 0.75},
    )
    assert ended.last_step == 9


def test_public_report_still_refuses_studies_of_several_objectives(study: optuna.Study) -> None:
    with pytest.raises(NotImplementedError):  # once it does not, the adapter is not needed
        study.ask().report(0.5, 3)


def test_opened_trial_is_the_running_one(study: optuna.Study) -> None:
    study.ask()  # so that number and id differ from those of the first trial
    trial = study.ask()
    trial.suggest_categorical("width", [8, 16])
    trial.set_user_attr("id", "a")
    frozen = study.get_trials()[1]
    opened = open_trial(study, frozen)
    assert (opened.number, opened.params, opened.user_attrs) == (1, frozen.params, {"id": "a"})
    opened.set_user_attr("seed", 7)
    assert opened.suggest_int("depth", 1, 1) == 1
    set_intermediate_value(study, opened, 1, 0.25)
    study.tell(opened, [0.5, 2.0])
    other, ended = study.get_trials()
    assert (other.state, ended.state) == (TrialState.RUNNING, TrialState.COMPLETE)
    assert ended.user_attrs == {"id": "a", "seed": 7}
    assert ended.params == {**frozen.params, "depth": 1}
    assert ended.intermediate_values == {1: 0.25}


def test_another_process_can_open_the_trial_of_a_stored_study(tmp_path: Path) -> None:
    created = create_study(tmp_path, "s", DIRECTIONS, {})
    created.enqueue_trial({"width": 16})
    assert created.ask().suggest_categorical("width", [8, 16]) == 16
    study = open_study(tmp_path)
    (running,) = study.get_trials(states=[TrialState.RUNNING])
    opened = open_trial(study, running)
    assert opened.suggest_categorical("width", [8, 16]) == 16  # what it was given is not drawn again
    study.tell(opened, state=TrialState.PRUNED)
    assert created.get_trials()[0].state == TrialState.PRUNED
