"""A small study and the export of its best trial, which the tests only read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nas import Study, StudyConfig, export, search


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Path:
    """The folder of a searched study of three trials, whose front was tested."""
    file = small_study_writer(tmp_path_factory.mktemp("exported"), trials=3)
    study = Study.open_or_create(file.parent / "run", StudyConfig.from_file(file))
    assert search(study).counts == {"complete": 3}
    study.report()
    return study.folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, small_study: Path) -> Path:
    """The exported best trial."""
    out = tmp_path_factory.mktemp("models") / "best"
    export(Study.open(small_study), "best", out)
    return out
