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

from nas.analysis.expected_front import with_expected_front
from nas.analysis.front import Bounds, hypervolume
from nas.analysis.results import Results
from nas.errors import UsageError
from nas.models.retrain.subjects.subject import FrontSelection
from nas.sampler import ParetoSampler
from nas.study.config import StudyConfig
from nas.study.database.storage import DATABASE
from nas.study.layout import CONFIG
from search_space.costs import cost


def accuracy(macs: float) -> float:
    """The mean accuracy of the trainings of a network of `write_noisy_study`."""
    return 0.5 + 0.1 * math.log10(macs / 1e4)


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


def test_of_a_study_that_has_just_begun_it_is_the_front(tmp_path: Path, write_noisy_study: Callable[..., Path]) -> None:
    results = Results.load(write_noisy_study(tmp_path / "young", 3))
    assert front(with_expected_front(results)) == front(results) != set()


def test_a_study_of_another_version_is_an_error(tmp_path: Path, write_noisy_study: Callable[..., Path]) -> None:
    folder = write_noisy_study(tmp_path / "other", 3)
    with (folder / CONFIG).open("a") as file:
        file.write("energy: 3\n")
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
