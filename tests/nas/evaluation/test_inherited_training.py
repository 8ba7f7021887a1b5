"""Trainings of tiny networks that take over the weights of another trial: what they start from, end with and leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.networks import initial_network
from nas.evaluation.settings import EvaluationSettings
from nas.evaluation.training_plan import TrainingPlan
from nas.evaluation.trial_files import SharedTrialFiles
from nas.study.layout import CHECKPOINT, INHERITED_WEIGHTS, WEIGHTS, trial_folder
from nas.study.outcomes.inheritance import Inheritance, inherited_epochs
from nas.study.outcomes.records import Completed, Interrupted, Paused
from nas.study.outcomes.worker_tasks import TrialTask
from search_space import Architecture, SearchSpace
from trainers.data.config import DataConfig
from trainers.data.prepared import prepare
from trainers.training.checkpoint import load_weights
from trainers.training.config import TrainConfig

EPOCHS = 6
SPACE = SearchSpace.from_dict(
    {
        "stages": [{"mixer": {"conv": {"k": [3, 5]}}, "width": 8, "depth": [1, 2]}],
        "stem": {"patch": 2},
        "image_size": 8,
        "in_chans": 1,
    }
)
ARCHITECTURES = {
    (a.stages[0].depth, a.stages[0].mixer.k): a  # type: ignore[union-attr]
    for a in SPACE
}
PARENT, CHILD = ARCHITECTURES[(1, 3)], ARCHITECTURES[(2, 3)]
FROM_PARENT = Inheritance(3, WEIGHTS, inherited_epochs(EPOCHS))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=200), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def study(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which trial 3 was trained from scratch."""
    folder = tmp_path_factory.mktemp("study")
    assert isinstance(evaluator(digits).evaluate(task(folder, 3, PARENT)), Completed)
    return folder


def evaluator(digits: Path, files: SharedTrialFiles | None = None) -> Evaluator:
    return Evaluator(EvaluationSettings(digits, TrainConfig(epochs=EPOCHS, batch_size=32)), "cpu", files)


def task(study: Path, number: int, architecture: Architecture, **changes: Any) -> TrialTask:
    return replace(TrialTask(number, architecture.to_json(), 5, str(trial_folder(study, number))), **changes)


def inherited_task(study: Path, number: int = 4, inherited: Inheritance = FROM_PARENT) -> TrialTask:
    return task(study, number, CHILD, until=inherited.epochs, inherited=inherited)


def metrics(outcome: Any) -> list[tuple[float, ...]]:
    return [(epoch["train_loss"], epoch["lr"], epoch["val_accuracy"]) for epoch in outcome.trained.curve]


def test_a_training_starts_from_the_tensors_of_its_parent_and_draws_the_others_by_its_seed(
    digits: Path, study: Path
) -> None:
    network, fresh = initial_network(CHILD, 5), initial_network(CHILD, 5).state_dict()
    plan = TrainingPlan.of(inherited_task(study), network, TrainConfig(epochs=EPOCHS), SharedTrialFiles(digits))
    parent = load_weights(trial_folder(study, 3) / WEIGHTS)
    for name, value in network.state_dict().items():
        assert torch.equal(value, parent.get(name, fresh[name])), name
    copied = set(parent) & set(fresh)
    assert set(fresh) - copied  # the second block has none
    assert plan.config == TrainConfig(epochs=2)
    assert plan.inherited is not None
    assert plan.inherited.tensors == len(copied)
    sizes = {name: value.numel() for name, value in network.named_parameters()}
    assert plan.inherited.parameters == sum(n for name, n in sizes.items() if name in copied) / sum(sizes.values())


def test_it_pauses_with_weights_that_others_can_take_over_and_is_then_trained_from_scratch(
    digits: Path, study: Path
) -> None:
    outcome = evaluator(digits).evaluate(inherited_task(study))
    assert isinstance(outcome, Paused)
    assert (outcome.epoch, len(outcome.trained.curve)) == (2, 2)
    assert outcome.trained.curve[-1]["lr"] < outcome.trained.curve[0]["lr"]  # a whole schedule
    inherited = Inheritance.from_attributes(outcome.to_attributes())
    assert inherited is not None
    assert replace(inherited, tensors=None, parameters=None) == FROM_PARENT
    folder = trial_folder(study, 4)
    assert (folder / INHERITED_WEIGHTS).is_file()
    assert not (folder / WEIGHTS).exists()
    grandchild = Inheritance(4, INHERITED_WEIGHTS, 2)
    second = evaluator(digits).evaluate(inherited_task(study, 5, grandchild))
    assert isinstance(second, Paused)
    assert second.inherited is not None
    assert second.inherited.parameters == 1.0
    scratch = evaluator(digits).evaluate(task(study, 4, CHILD, until=EPOCHS))
    undisturbed = evaluator(digits).evaluate(task(study, 6, CHILD))
    assert isinstance(scratch, Completed)
    assert metrics(scratch) == metrics(undisturbed)
    assert len(scratch.trained.curve) == EPOCHS


def test_an_interrupted_training_ends_as_an_undisturbed_one_and_is_not_repeated(
    digits: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = evaluator(digits).evaluate(inherited_task(study, 10))

    class Stopping(SharedTrialFiles):
        steps = 0

        def is_stop_requested(self) -> bool:
            self.steps += 1
            return self.steps > 6  # within the second epoch

    assert isinstance(evaluator(digits, Stopping(digits)).evaluate(inherited_task(study, 11)), Interrupted)
    assert (trial_folder(study, 11) / CHECKPOINT).is_file()
    resumed = evaluator(digits).evaluate(inherited_task(study, 11))
    assert isinstance(resumed, Paused)
    assert metrics(resumed) == metrics(undisturbed)
    weights = [load_weights(trial_folder(study, number) / INHERITED_WEIGHTS) for number in (10, 11)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    monkeypatch.setattr("nas.evaluation.evaluator.ProxyTraining", None)  # no training may start
    again = evaluator(digits).evaluate(inherited_task(study, 11))
    assert isinstance(again, Paused)
    assert (again.trained.curve, again.inherited) == (resumed.trained.curve, resumed.inherited)


def test_a_checkpoint_and_weights_are_not_those_of_a_training_with_another_parent(digits: Path, study: Path) -> None:
    first = evaluator(digits).evaluate(inherited_task(study, 12))
    other = Inheritance(12, INHERITED_WEIGHTS, 2)
    second = evaluator(digits).evaluate(inherited_task(study, 13, other))
    (trial_folder(study, 14)).mkdir()
    for name in (INHERITED_WEIGHTS,):
        (trial_folder(study, 14) / name).write_bytes((trial_folder(study, 12) / name).read_bytes())
    third = evaluator(digits).evaluate(inherited_task(study, 14, other))
    assert metrics(third) == metrics(second) != metrics(first)


@pytest.mark.parametrize("damage", ["missing", "cut off", "flipped"])
def test_without_the_weights_of_its_parent_it_starts_from_its_own_and_says_so(
    digits: Path, study: Path, damage: str
) -> None:
    number = {"missing": 20, "cut off": 21, "flipped": 22}[damage]
    folder = trial_folder(study, number)
    content = bytearray((trial_folder(study, 3) / WEIGHTS).read_bytes())
    content[-5] ^= 1
    if damage != "missing":
        folder.mkdir()
        (folder / WEIGHTS).write_bytes(bytes(content[: 100 if damage == "cut off" else None]))
    outcome = evaluator(digits).evaluate(inherited_task(study, number + 10, Inheritance(number, WEIGHTS, 2)))
    assert isinstance(outcome, Paused)
    assert outcome.inherited is not None
    assert (outcome.inherited.tensors, outcome.inherited.parameters) == (0, 0.0)
    short = Evaluator(EvaluationSettings(digits, TrainConfig(epochs=2, batch_size=32)), "cpu")
    assert metrics(outcome) == metrics(short.evaluate(task(study, number + 20, CHILD)))
