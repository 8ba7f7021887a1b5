"""What Ray Tune's searcher does between two trials, in order; the trials themselves are run by the end-to-end tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas import objectives
from nas.errors import StudyError
from nas.interrupts import Interrupts
from nas.progress import Tally
from nas.runner_ray import AskTell
from nas.searcher import Searcher
from search_space import SearchSpace

SPACE = SearchSpace.from_dict({"stages": [{"mixer": "pool", "depth": [1, 2, 3], "width": [8, 16, 32]}]})
WALL_S = 1e-9  # so short that the next is always asked for ahead


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))


def asking(study: optuna.Study, folder: Path, workers: int = 1) -> AskTell:
    chosen = [objectives.get(name) for name in ("accuracy", "macs")]
    searcher = Searcher(study, SPACE, chosen, trials=9, limits={}, seed=0)
    return AskTell(searcher, lambda number: folder / str(number), workers, Tally(searcher, workers), Interrupts())


def result(**changes: Any) -> dict[str, Any]:
    return {"record": json.dumps({"accuracy": 0.5, "wall_s": WALL_S, **changes})}


def complete(study: optuna.Study) -> int:
    return len(study.get_trials(states=[TrialState.COMPLETE]))


def running(study: optuna.Study) -> int:
    return len(study.get_trials(states=[TrialState.RUNNING]))


def test_what_came_of_a_trial_is_known_when_the_next_is_asked_for(study: optuna.Study, tmp_path: Path) -> None:
    one = asking(study, tmp_path)
    for done in range(9):
        assert isinstance(one.suggest(f"t{done}"), dict)
        assert complete(study) == done
        one.begins(f"t{done}")
        one.on_trial_complete(f"t{done}", result())
    assert one.suggest("t9") == one.FINISHED
    assert complete(study) == 9


def test_a_worker_gets_what_was_asked_for_ahead_before_its_last_result_is_written(
    study: optuna.Study, tmp_path: Path
) -> None:
    one = asking(study, tmp_path)
    for name in ("a", "b"):
        assert isinstance(one.suggest(name), dict)
        one.begins(name)
        if name == "a":
            one.on_trial_complete("a", result())
    one.look_ahead()  # with all at work
    assert (complete(study), running(study)) == (1, 2)
    one.on_trial_complete("b", result())
    one.write_soon()
    assert isinstance(one.suggest("c"), dict)
    one.write_soon()
    assert (complete(study), running(study)) == (1, 2)
    one.begins("c")
    one.write_soon()
    assert complete(study) == 2


def test_a_result_does_not_wait_for_long(study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = asking(study, tmp_path, workers=2)
    for name in ("a", "b"):
        one.suggest(name)
    one.begins("a")
    one.on_trial_complete("a", result())
    monkeypatch.setattr("nas.runner_ray.LATEST", 1e9)
    one.write_soon()  # `b` has not begun, nor may it for a long time
    assert complete(study) == 0
    monkeypatch.setattr("nas.runner_ray.LATEST", 0.0)
    one.write_soon()
    assert complete(study) == 1


def test_trials_that_are_cut_off_say_so(study: optuna.Study, tmp_path: Path) -> None:
    one = asking(study, tmp_path)
    one.suggest("a")
    one.on_trial_complete("a", error=True)
    one.write()
    (trial,) = study.trials
    assert (trial.state, trial.user_attrs["failure"]) == (TrialState.FAIL, "the worker died")


def test_a_worker_that_cannot_begin_ends_the_search(study: optuna.Study, tmp_path: Path) -> None:
    one = asking(study, tmp_path)
    one.suggest("a")
    one.on_trial_complete("a", result(unfit="no images"))
    one.write()
    with pytest.raises(StudyError, match="a worker cannot begin: no images"):
        one.check()
    (trial,) = study.trials
    assert trial.state == TrialState.RUNNING
