"""A searched study with trials in all states, which is only read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas import Study, StudyConfig, search
from nas.analysis.results import Results
from nas.study.database.storage import open_study
from trainers.data.description import DatasetInfo, describe

FAILED, STOPPED, RUNNING = 3, 4, 5
"""Numbers of the trials of `searched` that are not complete; 0, 1 and 2 are."""


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Path:
    """The folder of a study of three complete trials, a failed, a stopped and a running one; two workers."""
    file = small_study_writer(tmp_path_factory.mktemp("retrain"), trials=3)
    objectives = "objectives=[accuracy,macs,images_per_s]"
    config = StudyConfig.from_file(file, "resources.workers=2", objectives, "throughput.operators_s=0")
    study = Study.open_or_create(file.parent / "run", config)
    assert search(study).counts == {"complete": 3}
    architectures = [trial.user_attrs["architecture"] for trial in study.trials]
    stored = open_study(study.folder)
    for state in (TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING):
        attributes = {"architecture": architectures[0], "id": f"copy-{state.name}"}
        stored.add_trial(optuna.trial.create_trial(state=state, user_attrs=attributes))
    return study.folder


@pytest.fixture
def copy(searched: Path, tmp_path: Path) -> Path:
    """A copy of `searched` that may be changed."""
    return Path(shutil.copytree(searched, tmp_path / "study"))


@pytest.fixture(scope="session")
def results(searched: Path) -> Results:
    """Those of `searched`."""
    return Results.load(searched)


@pytest.fixture(scope="session")
def images(searched: Path) -> DatasetInfo:
    """The images of `searched`: 8x8, grey, 10 classes."""
    return describe(Study.open(searched).images())
