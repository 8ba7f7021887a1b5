"""Each invariant can fail: a real study, doctored in its database or its files, breaks it, and as it was it breaks none."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from damage import change_tensors
from disturbance import leftovers
from evidence import Evidence
from invariants import INVARIANTS, violations
from processes import MARKER, kill_all, marked_processes
from reference import References
from study import STUDY, StudySetup, StudyUnderTest

from nas.driver.run import run_search
from nas.execution.base import Executor, Result, Task, TaskSource, WorkerFactory, WorkerSite
from nas.execution.resources import Allocation
from nas.study.config import StudyConfig

OVERRIDES = ("trials=6", "train.epochs=3", "scheduler.name=halving", "data.limit=100", "throughput.operators_s=0")


class InThisProcess(Executor):
    """Runs one task after the other."""

    allocation = Allocation(1, 1, 0.0)

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        worker = make_worker(WorkerSite("cpu"))
        while isinstance(task := source.next_task(), Task):
            source.on_started(task)
            source.on_ended(task, worker.run(task.payload))

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        return function(*arguments, "cpu")


class DoctoredStudy:
    """A copy of a study, to be changed.

    Args:
        folder: the folder of the copy.
        references: the undisturbed trainings.
    """

    def __init__(self, folder: Path, references: References) -> None:
        self.folder = folder
        self.references = references

    @property
    def evidence(self) -> Evidence:
        """What is known of it now."""
        return Evidence.of(self.folder, self.references.of)

    def broken(self, evidence: Evidence | None = None) -> set[str]:
        """The names of the invariants that it breaks."""
        return {violation.invariant for violation in violations(evidence or self.evidence)}

    def execute(self, statement: str, *values: object) -> None:
        """Change its database."""
        with closing(sqlite3.connect(self.folder / "study.db")) as connection, connection:
            assert connection.execute(statement, values).rowcount > 0

    def set_attribute(self, number: int, name: str, value: object) -> None:
        """Change a user attribute of a trial."""
        of_trial = "trial_id = (SELECT trial_id FROM trials WHERE number = ?)"
        statement = f"UPDATE trial_user_attributes SET value_json = ? WHERE key = ? AND {of_trial}"
        self.execute(statement, json.dumps(value), name, number)

    def complete(self, index: int) -> int:
        """The number of one of its complete trials."""
        return self.evidence.complete[index].number

    def weights(self, index: int) -> Path:
        """The weights of one of its complete trials."""
        return self.evidence.folder_of(self.evidence.complete[index]) / "model.safetensors"


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, References]:
    """A study with rungs, and its undisturbed trainings."""
    home = tmp_path_factory.mktemp("halved")
    (home / "study.yaml").write_text(STUDY)
    config = StudyConfig.from_file(home / "study.yaml", *OVERRIDES)
    run_search(config, home / "runs", open_with=lambda: nullcontext(InThisProcess()))
    return home / "runs", References(config, home / "cache")


@pytest.fixture
def study(halved: tuple[Path, References], tmp_path: Path) -> DoctoredStudy:
    """A copy of that study."""
    shutil.copytree(halved[0], tmp_path / "copy")
    return DoctoredStudy(tmp_path / "copy", halved[1])


def test_a_study_without_faults_breaks_no_invariant(study: DoctoredStudy) -> None:
    assert violations(study.evidence) == []
    assert len(study.evidence.trained) == 6
    assert 2 <= len(study.evidence.complete) < 6


def test_a_trial_that_is_missing(study: DoctoredStudy) -> None:
    study.execute("DELETE FROM trials WHERE number = 2")
    assert "no_trial_is_lost" in study.broken()


def test_a_damaged_database(study: DoctoredStudy) -> None:
    study.execute("DELETE FROM trials WHERE number = 5")
    trials = [trial for trial in study.evidence.trials if trial.number != 3]
    assert "database_is_whole" in study.broken(replace(study.evidence, trials=trials))


def test_a_trial_that_failed_by_a_fault(study: DoctoredStudy) -> None:
    number = study.evidence.trained[-1].number
    study.execute("UPDATE trials SET state = 'FAIL' WHERE number = ?", number)
    study.set_attribute(number, "outcome", "failed")
    assert "no_trial_is_lost" in study.broken()


def test_a_trial_that_is_left_running(study: DoctoredStudy) -> None:
    study.execute("UPDATE trials SET state = 'RUNNING' WHERE number = 1")
    assert {"no_trial_is_open", "no_trial_is_lost"} <= study.broken()


def test_an_outcome_that_contradicts_the_state(study: DoctoredStudy) -> None:
    study.set_attribute(study.complete(0), "outcome", "refused")
    assert "no_trial_is_open" in study.broken()


def test_an_architecture_that_two_trials_have_trained(study: DoctoredStudy) -> None:
    first, second = study.evidence.trained[:2]
    study.set_attribute(second.number, "id", first.user_attrs["id"])
    assert "no_architecture_is_trained_twice" in study.broken()


def test_weights_that_were_written_twice(study: DoctoredStudy) -> None:
    evidence = replace(study.evidence, weights_written={study.complete(0): 2})
    assert study.broken(evidence) == {"no_architecture_is_trained_twice"}


def test_a_curve_of_another_training(study: DoctoredStudy) -> None:
    trial = study.evidence.complete[0]
    curve = trial.user_attrs["curve"]
    curve[0]["train_loss"] += 1e-12
    study.set_attribute(trial.number, "curve", curve)
    assert study.broken() == {"values_are_those_of_an_undisturbed_training"}


def test_an_accuracy_that_is_not_in_the_curve(study: DoctoredStudy) -> None:
    of_trial = "trial_id = (SELECT trial_id FROM trials WHERE number = ?)"
    study.execute(f"UPDATE trial_values SET value = 0.123 WHERE objective = 0 AND {of_trial}", study.complete(0))
    assert "values_are_those_of_an_undisturbed_training" in study.broken()


def test_a_missing_epoch(study: DoctoredStudy) -> None:
    trial = study.evidence.complete[0]
    study.set_attribute(trial.number, "curve", trial.user_attrs["curve"][:-1])
    assert "values_are_those_of_an_undisturbed_training" in study.broken()


def test_costs_of_another_architecture(study: DoctoredStudy) -> None:
    study.set_attribute(study.complete(0), "params", 7)
    assert study.broken() == {"costs_and_seeds_belong_to_the_architecture"}


@pytest.mark.parametrize("damage", ["exchanged", "changed", "removed"])
def test_wrong_weights(study: DoctoredStudy, damage: str) -> None:
    file = study.weights(0)
    if damage == "exchanged":
        shutil.copy(study.weights(1), file)
    elif damage == "changed":
        change_tensors(file, Random(0))
    else:
        file.unlink()
    assert study.broken() == {"weights_belong_to_their_trial"}


def test_another_front(study: DoctoredStudy) -> None:
    evidence = study.evidence
    least = min(evidence.complete, key=lambda trial: (trial.values[0], -trial.values[1]))  # not alone on the front
    best = [1.0, 0.0, 1e9]
    trials = [replace(trial, values=best) if trial.number == least.number else trial for trial in evidence.trials]
    assert "front_is_that_of_the_values" in study.broken(replace(evidence, trials=trials))


def test_more_promotions_than_the_share(study: DoctoredStudy) -> None:
    scheduler = study.evidence.config.scheduler.model_copy(update={"reduction": 20, "first_epochs": 1})
    config = study.evidence.config.model_copy(update={"scheduler": scheduler})
    broken = violations(replace(study.evidence, config=config))
    assert {violation.invariant for violation in broken} == {"rungs_are_consistent"}


def test_a_promotion_from_a_rung_that_was_not_reached(study: DoctoredStudy) -> None:
    of_trial = "trial_id = (SELECT trial_id FROM trials WHERE number = ?)"
    study.execute(f"DELETE FROM trial_intermediate_values WHERE {of_trial}", study.complete(0))
    assert "rungs_are_consistent" in study.broken()


def test_a_segment_that_is_open(study: DoctoredStudy) -> None:
    trial = study.evidence.complete[0]
    segments = trial.user_attrs["segments"]
    segments[-1].update(end=None, outcome=None)
    study.set_attribute(trial.number, "segments", segments)
    assert study.broken() == {"segments_are_closed"}


@pytest.mark.parametrize(
    "name", ["trials/00000/checkpoint.pt", "trials/00001/.model.safetensors.7.tmp", "workers/a.json"]
)
def test_a_file_that_is_left_behind(study: DoctoredStudy, name: str) -> None:
    (study.folder / name).parent.mkdir(exist_ok=True)
    (study.folder / name).write_text("left")
    assert study.broken() == {"no_file_is_left_behind"}


def test_a_process_and_a_temporary_file_that_are_left(study: DoctoredStudy, tmp_path: Path) -> None:
    running = StudyUnderTest(tmp_path, StudySetup("local"), f"marker of {tmp_path}")
    running.temporary.mkdir()
    assert leftovers(running, patience_s=0) == []
    (running.temporary / "nas-ray-abc").mkdir()
    environment = {**os.environ, MARKER: running.marker}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment) as process:
        left = leftovers(running, patience_s=0.1)
        assert [f"process {process.pid}: " in left[0], left[1:]] == [True, ["temporary file nas-ray-abc"]]
        assert study.broken(replace(study.evidence, leftovers=left)) == {"nothing_is_left_running"}
        kill_all(running.marker)
        process.wait()
    assert marked_processes(running.marker) == []


def test_every_invariant_has_a_docstring_and_a_test() -> None:
    tests = Path(__file__).read_text()
    for name, check in INVARIANTS.items():
        assert check.__doc__
        assert f'"{name}"' in tests


def test_a_segment_end_and_weights_are_seen_from_outside(tmp_path: Path) -> None:
    running = StudyUnderTest(tmp_path, StudySetup("local"), "none")
    script = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_SH); print(flush=True);"
        "sys.stdin.readline()"
    )
    running.probe.lock_file.parent.mkdir(parents=True)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", script, str(running.probe.lock_file)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        running.probe.look()
        assert running.probe.pids == {process.pid}
        process.communicate("\n")
    running.probe.look()
    assert (running.probe.pids, running.probe.segment_ends) == (frozenset(), 1)
    weights = running.folder / "trials" / "00003" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text("first")
    running.probe.look()
    time.sleep(0.01)
    weights.write_text("second")
    running.probe.look()
    assert running.probe.writes() == {3: 2}
    running.probe.excuse(3)
    assert running.probe.writes() == {3: 0}
