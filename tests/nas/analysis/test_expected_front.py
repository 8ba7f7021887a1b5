"""The front that a model expects of a stored study."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import optuna
import pytest

from nas import objectives
from nas.analysis.expected_front import with_expected_front
from nas.analysis.front import Bounds, hypervolume
from nas.analysis.results import Results
from nas.errors import UsageError
from nas.models.retrain.subjects import FrontSelection
from nas.sampler import ParetoSampler
from nas.study.config import StudyConfig
from nas.study.layout import CONFIG
from nas.study.storage import DATABASE
from search_space.costs import cost

STUDY = """\
data: {source: digits}
space:
  stages: [{mixer: {conv: {k: [3, 5, 7]}, pool: null}, depth: [1, 2, 3, 4], width: [8, 16, 24, 32, 48, 64]}]
objectives: [accuracy, macs]
sampler: {name: random}
"""
DATASET = {"name": "digits", "image_size": [8, 8], "in_chans": 1, "num_classes": 10}
NOISE = 0.02  # standard deviation of the accuracy of one training


def accuracy(macs: float) -> float:
    """The mean accuracy of the trainings of a network."""
    return 0.5 + 0.1 * math.log10(macs / 1e4)


def write(folder: Path, trials: int) -> Path:
    """A study of random architectures whose accuracy grows with the MACs, but for the noise of a training."""
    folder.mkdir()
    (folder / CONFIG).write_text(STUDY)
    config = StudyConfig.from_file(folder / CONFIG)
    space, noise = config.space_on((8, 8), 1, 10), np.random.default_rng(0)
    # In memory first, since SQLite syncs each write.
    memory = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=5))
    for _ in range(trials):
        trial = memory.ask()
        architecture = space.suggest(trial)
        macs = cost(architecture).macs
        trial.set_user_attr("architecture", architecture.to_dict())
        trial.set_user_attr("id", architecture.id)
        memory.tell(trial, (accuracy(macs) + NOISE * noise.normal(), macs))
    study = optuna.create_study(
        study_name="noisy", storage=f"sqlite:///{folder / DATABASE}", directions=memory.directions
    )
    study.set_user_attr("objectives", [objectives.get(name).to_dict() for name in config.objectives])
    study.set_user_attr("config", config.model_dump(mode="json"))
    study.set_user_attr("dataset", DATASET)
    study.add_trials(memory.trials)
    return folder


@pytest.fixture(scope="module")
def noisy_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("studies") / "noisy", 40)


def front(results: Results) -> set[int]:
    return set(results.front["trial"])


def test_it_hides_fewer_good_networks(noisy_study: Path) -> None:
    results = Results.load(noisy_study)
    means = np.array([(accuracy(macs), macs) for macs in results.complete["macs"]])
    bounds = Bounds.of(means, results.objectives)

    def missing(members: Results) -> float:
        chosen = means[np.isin(results.complete["trial"], list(front(members)))]
        return hypervolume(means, results.objectives, bounds) - hypervolume(chosen, results.objectives, bounds)

    assert missing(with_expected_front(results)) < 0.5 * missing(results)


def test_it_is_what_the_sampler_of_the_study_expects(noisy_study: Path) -> None:
    results = Results.load(noisy_study)
    space = StudyConfig.from_file(noisy_study / CONFIG).space_on((8, 8), 1, 10)
    study = optuna.load_study(study_name="noisy", storage=f"sqlite:///{noisy_study / DATABASE}")
    sampler = ParetoSampler(
        space, {1: lambda network: cost(network).macs}, features=[lambda network: cost(network).params], log=[1],
        key_attribute="id",
    )  # fmt: skip
    assert front(with_expected_front(results)) == {trial.number for trial in sampler.expected_front(study)}


def test_values_and_other_trials_stay(noisy_study: Path) -> None:
    results = Results.load(noisy_study)
    expected = with_expected_front(results)
    assert expected.summary.drop(columns="on_front").equals(results.summary.drop(columns="on_front"))
    assert expected.hypervolume == results.hypervolume


def test_of_a_study_that_has_just_begun_it_is_the_front(tmp_path: Path) -> None:
    results = Results.load(write(tmp_path / "young", 3))
    assert front(with_expected_front(results)) == front(results) != set()


def test_a_study_of_another_version_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "other", 3)
    (folder / CONFIG).write_text(STUDY + "energy: 3\n")
    with pytest.raises(UsageError, match=r"study.yaml:6:1: energy: no such key"):
        with_expected_front(Results.load(folder))


def test_the_command_and_full_trainings_use_it(noisy_study: Path, nas: Callable[..., CompletedProcess[str]]) -> None:
    results = Results.load(noisy_study)
    expected = front(with_expected_front(results))
    printed = nas("front", noisy_study, "--expected", "--json")
    assert {record["trial"] for record in json.loads(printed.stdout)} == expected
    assert nas("front", noisy_study, "--expected").stdout.startswith("Expected front of noisy")
    assert {row["trial"] for row in FrontSelection(is_expected=True).rows(results)} == expected
    assert {row["trial"] for row in FrontSelection().rows(results)} == front(results)
