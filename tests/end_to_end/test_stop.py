"""Searches that are asked to stop: trainings write a checkpoint between two steps and go on there; stopped ones lose nothing."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.study.segments import segments_of

WORDS = ("search", "small.yaml", "train.epochs=300", "resources.executor=local", "resources.workers=2", "trials=2")


def values_of(cli: Any, study: str) -> dict[str, Any]:
    return {trial.user_attrs["id"]: trial.values[:2] for trial in cli.complete(study)}


@pytest.fixture(scope="module")
def undisturbed(cli: Any) -> dict[str, Any]:
    """Id of an architecture -> accuracy and MACs, of a search that nobody disturbs."""
    run = cli.read(*WORDS, "--out", "whole")
    assert run.returncode == 0, run.stderr
    return values_of(cli, "whole")


def folders(cli: Any, study: str, file: str) -> list[int]:
    return [int(path.parent.name) for path in (cli.home / study / "trials").glob(f"*/{file}")]


def test_a_search_that_is_asked_to_stop_goes_on_where_it_was(cli: Any, undisturbed: dict[str, Any]) -> None:
    study = "stopped"
    driver = cli.start(*WORDS, "--out", study)
    cli.wait_until(lambda: sum(map(has_started, cli.trials(study))) == 2, driver)
    errors = cli.stop(driver, signal.SIGHUP)
    assert driver.returncode == 130, errors
    assert "stopping: the trainings write their checkpoints" in errors
    running = [trial for trial in cli.trials(study) if trial.state == TrialState.RUNNING]
    assert [segments_of(trial.user_attrs)[-1].outcome for trial in running] == ["interrupted"] * len(running)
    with_checkpoint = set(folders(cli, study, "checkpoint.pt"))  # one that was being measured has none yet
    assert with_checkpoint <= {trial.number for trial in running}
    last = cli.read(*WORDS, "--out", study)
    assert last.returncode == 0, last.stderr
    assert values_of(cli, study) == undisturbed
    assert not folders(cli, study, "stacks.txt")


def has_started(trial: Any) -> bool:
    return bool(segments_of(trial.user_attrs))


def test_stopped_processes_lose_nothing(cli: Any, undisturbed: dict[str, Any]) -> None:
    driver = cli.start(*WORDS, "--out", "frozen")
    cli.wait_until(lambda: sum(map(has_started, cli.trials("frozen"))) == 2, driver)
    workers = {
        int(segments_of(trial.user_attrs)[-1].worker.split("/")[-1])
        for trial in cli.trials("frozen")
        if has_started(trial)
    }
    for pid in (driver.pid, *workers):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    for pid in (*workers, driver.pid):
        os.kill(pid, signal.SIGCONT)
    _, errors = driver.communicate(timeout=cli.patience_s)
    assert driver.returncode == 0, errors
    assert values_of(cli, "frozen") == undisturbed
