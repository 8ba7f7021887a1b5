"""What happens between two trials, in order; the trials themselves are run by the end-to-end tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas import objectives
from nas.driver.ask_tell import Searcher
from nas.driver.dispatch import Dispatch
from nas.errors import StudyError
from nas.execution.interrupts import Interrupts
from nas.study.trials import Proposal
from nas.terminal.progress import Tally
from search_space import SearchSpace

SPACE = SearchSpace.from_dict({"stages": [{"mixer": "pool", "depth": [1, 2, 3], "width": [8, 16, 32]}]})
WALL_S = 1e-9  # so short that the next is always asked for ahead


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))


def dispatch(study: optuna.Study, folder: Path, workers: int = 1) -> Dispatch:
    chosen = [objectives.get(name) for name in ("accuracy", "macs")]
    searcher = Searcher(study, SPACE, chosen, trials=9, limits={}, seed=0)
    return Dispatch(searcher, lambda number: folder / str(number), workers, Tally(searcher, workers), Interrupts())


def result(**changes: Any) -> dict[str, Any]:
    return {"accuracy": 0.5, "wall_s": WALL_S, **changes}


def complete(study: optuna.Study) -> int:
    return len(study.get_trials(states=[TrialState.COMPLETE]))


def running(study: optuna.Study) -> int:
    return len(study.get_trials(states=[TrialState.RUNNING]))


def test_what_came_of_a_trial_is_known_when_the_next_is_asked_for(study: optuna.Study, tmp_path: Path) -> None:
    one = dispatch(study, tmp_path)
    for done in range(9):
        assert isinstance(one.hand_out(f"t{done}"), Proposal)
        assert complete(study) == done
        one.begun(f"t{done}")
        one.done(f"t{done}", result())
    assert one.hand_out("t9") is None
    assert not one.waits
    assert complete(study) == 9


def test_a_worker_gets_what_was_asked_for_ahead_before_its_last_result_is_written(
    study: optuna.Study, tmp_path: Path
) -> None:
    one = dispatch(study, tmp_path)
    for name in ("a", "b"):
        assert isinstance(one.hand_out(name), Proposal)
        one.begun(name)
        if name == "a":
            one.done("a", result())
    one.look_ahead()  # with all at work
    assert (complete(study), running(study)) == (1, 2)
    one.done("b", result())
    one.write_soon()
    assert isinstance(one.hand_out("c"), Proposal)
    one.write_soon()
    assert (complete(study), running(study)) == (1, 2)
    one.begun("c")
    one.write_soon()
    assert complete(study) == 2


def test_a_result_does_not_wait_for_long(study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = dispatch(study, tmp_path, workers=2)
    for name in ("a", "b"):
        one.hand_out(name)
    one.begun("a")
    one.done("a", result())
    monkeypatch.setattr("nas.driver.dispatch.LATEST", 1e9)
    one.write_soon()  # `b` has not begun, nor may it for a long time
    assert complete(study) == 0
    monkeypatch.setattr("nas.driver.dispatch.LATEST", 0.0)
    one.write_soon()
    assert complete(study) == 1


def test_trials_that_are_cut_off_say_so(study: optuna.Study, tmp_path: Path) -> None:
    one = dispatch(study, tmp_path)
    one.hand_out("a")
    one.done("a", None)
    one.write()
    (trial,) = study.trials
    assert (trial.state, trial.user_attrs["failure"]) == (TrialState.FAIL, "the worker died")


def test_a_worker_that_cannot_begin_ends_the_search(study: optuna.Study, tmp_path: Path) -> None:
    one = dispatch(study, tmp_path)
    one.hand_out("a")
    one.done("a", result(unfit="no images"))
    one.write()
    with pytest.raises(StudyError, match="a worker cannot begin: no images"):
        one.check()
    (trial,) = study.trials
    assert trial.state == TrialState.RUNNING
