"""A search whose trials inherit weights, killed twice: nothing is lost, and each training is what an undisturbed one is."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.settings import EvaluationSettings
from nas.fidelity.run import fidelity_study
from nas.study.config import StudyConfig
from nas.study.inheritance import Inheritance
from nas.study.layout import trial_folder
from nas.study.records import TrialTask
from nas.study.stored import StoredStudy
from nas.study.trials import is_trained, outcome_name
from search_space import Architecture

EXECUTOR = "local"
EPOCHS, TRIALS = 12, 8
SPACE = (  # of architectures that share most tensors, so that many inherit weights and some of these are on the front
    "space.layout=isotropic",
    "space.num_stages=1",
    "space.stages=[{mixer: {conv: {k: [3, 5]}, pool: }, depth: [1, 2, 3, 4], width: 16}]",
)


def inherits(trial: FrozenTrial) -> bool:
    return "inherited" in trial.user_attrs


def is_inheriting(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and inherits(trial) and not trial.intermediate_values


def is_from_scratch(trial: FrozenTrial) -> bool:
    """Its inherited training is over, and the one from scratch runs."""
    return trial.state == TrialState.RUNNING and inherits(trial) and trial.user_attrs["until"] == EPOCHS


def at(moment: Callable[[FrozenTrial], bool], cli: Any) -> bool:
    """True if a trial of the search is at that moment."""
    return any(map(moment, cli.trials("heirs")))


def test_killed_searches_go_on_from_the_same_weights(cli: Any, tmp_path: Path) -> None:
    options = ("objectives=[accuracy, macs]", f"train.epochs={EPOCHS}", f"trials={TRIALS}", "resources.workers=1")
    command = ("search", "small.yaml", "--out", "heirs", *options, *SPACE, "data.limit=600", "train.inherit=nearest")
    parents: dict[int, Any] = {}
    kills = 0
    for moment in (is_inheriting, is_from_scratch):
        driver = cli.start(*command)
        cli.wait_until(lambda moment=moment, driver=driver: driver.poll() is not None or at(moment, cli))
        if driver.poll() is None:  # on a busy machine the moment may have passed unseen
            os.killpg(driver.pid, signal.SIGKILL)
            kills += 1
        driver.communicate()
        trials = {trial.number: trial for trial in cli.trials("heirs") if inherits(trial)}
        assert {n: trials[n].user_attrs["inherited"]["parent"] for n in parents} == parents
        parents = {number: trial.user_attrs["inherited"]["parent"] for number, trial in trials.items()}
    assert kills > 0
    run = cli.run(*command)
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
            assert outcome.inherited == trial.user_attrs["inherited"]


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
