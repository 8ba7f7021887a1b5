"""A search whose trials inherit weights, killed twice: nothing is lost, and each training is what an undisturbed one is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.settings import EvaluationSettings
from nas.fidelity.request import fidelity_study
from nas.study.config import StudyConfig
from nas.study.layout import trial_folder
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.worker_tasks import TrialTask
from nas.study.stored import StoredStudy
from nas.study.trials import is_trained, outcome_name
from search_space import Architecture

EXECUTOR = "local"
EPOCHS, TRIALS = 6, 8
KILLED_AT_STEP = 8  # of six an epoch
SPACE = (  # of architectures that share most tensors, so that many inherit weights and some of these are on the front
    "space.layout=isotropic",
    "space.num_stages=1",
    "space.stages=[{mixer: {conv: {k: [3, 5]}, pool: }, depth: [1, 2, 3, 4], width: 16}]",
)

# The command `nas`, whose worker kills it and all its processes between two steps of the first training that is of a kind: one of
# inherited weights, or one from scratch after it. A worker is spawned, and runs this file, too.
PROGRAM = f"""
import itertools, os, signal, sys
from nas.cli.main import main
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.trial_files import SharedTrialFiles

kind, train, is_stop_requested = os.environ["KIND"], Evaluator._train, SharedTrialFiles.is_stop_requested
steps = itertools.count(1)

def observed(self, network, task, plan, *rest):
    if kind == "inherited" and plan.inherited or kind == "scratch" and task.until == {EPOCHS}:
        SharedTrialFiles.is_stop_requested = killing
    return train(self, network, task, plan, *rest)

def killing(self):
    if next(steps) == {KILLED_AT_STEP}:
        os.killpg(0, signal.SIGKILL)
    return is_stop_requested(self)

Evaluator._train = observed
if __name__ == "__main__":
    main()
"""


def inherits(trial: FrozenTrial) -> bool:
    return "inherited" in trial.user_attrs


def is_inheriting(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and inherits(trial) and not trial.intermediate_values


def is_from_scratch(trial: FrozenTrial) -> bool:
    """Its inherited training is over, and the one from scratch runs."""
    return trial.state == TrialState.RUNNING and inherits(trial) and trial.user_attrs["until"] == EPOCHS


def test_killed_searches_go_on_from_the_same_weights(cli: Any, tmp_path: Path) -> None:
    options = ("objectives=[accuracy, macs]", f"train.epochs={EPOCHS}", f"trials={TRIALS}", "resources.workers=1")
    command = ("search", "small.yaml", "--out", "heirs", *options, *SPACE, "data.limit=600", "train.inherit=nearest")
    (cli.home / "killed.py").write_text(PROGRAM)
    parents: dict[int, Any] = {}
    for kind, moment in (("inherited", is_inheriting), ("scratch", is_from_scratch)):
        killed = subprocess.run(
            [sys.executable, "killed.py", *command],
            cwd=cli.home,
            env={**os.environ, "KIND": kind},
            capture_output=True,
            start_new_session=True,
            timeout=cli.patience_s,
        )
        assert killed.returncode == -signal.SIGKILL, killed
        assert 1 <= sum(map(moment, cli.trials("heirs"))) <= 2  # the one that trained, and one that was proposed ahead
        trials = {trial.number: trial for trial in cli.trials("heirs") if inherits(trial)}
        assert {n: trials[n].user_attrs["inherited"]["parent"] for n in parents} == parents
        parents = {number: trial.user_attrs["inherited"]["parent"] for number, trial in trials.items()}
    run = cli.read(*command)
    assert (run.returncode, run.stderr) == (0, "")
    study = StoredStudy.open(cli.home / "heirs")
    trained = [trial for trial in cli.trials("heirs") if is_trained(trial)]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == TRIALS
    assert {trial.number for trial in trained if inherits(trial)} == parents.keys()
    complete = {trial.number for trial in trained if outcome_name(trial) == "completed"}
    check_trainings(study, trained, tmp_path)
    judged = {training.architecture.id for training in fidelity_study(study.folder, []).inherited}
    assert judged == {trial.user_attrs["id"] for trial in trained if inherits(trial)}
    shown = cli.read("show", "heirs", min(parents), "--json")
    assert json.loads(shown.stdout)["inherited"]["parent"] == parents[min(parents)]
    assert f"from trial {parents[min(parents)]}, {EPOCHS // 3} epochs" in cli.read("show", "heirs", min(parents)).stdout
    for number in list(complete & parents.keys())[:1]:
        assert cli.read("export", "heirs", number, "--out", f"model-{number}").returncode == 0
    assert cli.read("doctor", "heirs").returncode == 0


def check_trainings(study: StoredStudy, trained: list[FrozenTrial], folder: Path) -> None:
    """Repeat each training undisturbed, in other folders, with the weights of its parent in the study."""
    data_file = next((study.folder / "data").glob("*.safetensors"))
    settings = EvaluationSettings(data_file, StudyConfig.model_validate(study.config).train.proxy)
    evaluator = Evaluator(settings, "cpu")
    for trial in trained:
        text = Architecture.from_dict(trial.user_attrs["architecture"]).to_json()
        own = trial_folder(folder, trial.number)
        scratch = TrialTask(trial.number, text, trial.user_attrs["seed"], str(own))
        if outcome_name(trial) == "completed":
            outcome: Any = evaluator.evaluate(scratch)
            assert outcome.trained.values["accuracy"] == (trial.values or [None])[0]
            assert losses(outcome.trained.curve) == losses(trial.user_attrs["curve"])
        if inherits(trial):
            inherited = Inheritance.from_attributes(trial.user_attrs)
            assert inherited is not None
            parent = trial_folder(folder, inherited.parent)
            parent.mkdir(parents=True, exist_ok=True)
            source = trial_folder(study.folder, inherited.parent) / inherited.file
            (parent / inherited.file).write_bytes(source.read_bytes())
            outcome = evaluator.evaluate(replace(scratch, until=inherited.epochs, inherited=inherited))
            assert outcome.trained.values["accuracy"] == trial.intermediate_values[inherited.epochs]
            assert outcome.inherited.to_dict() == trial.user_attrs["inherited"]


def losses(curve: Any) -> list[float]:
    return [epoch["train_loss"] for epoch in curve]


def test_what_does_not_go_together_is_one_line_and_nothing_is_written(cli: Any) -> None:
    for words, rule in (
        (("train.inherit=closest",), "train.inherit=closest: input should be 'none' or 'nearest', found closest"),
        (("train.inherit=nearest", "scheduler.name=halving"), "must be none with scheduler.name halving"),
    ):
        run = cli.read("search", "small.yaml", "--out", "refused", *words)
        assert run.returncode == 2
        assert rule in run.stderr
        assert len(run.stderr.strip().splitlines()) == 1
        assert not (cli.home / "refused" / "study.db").exists()
