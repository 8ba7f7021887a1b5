"""Small real data for the tests of training: the digits, prepared once."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers.data.config import DataConfig
from trainers.data.dataset import Dataset, load
from trainers.data.prepared import prepare


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared file of all digits."""
    return prepare(DataConfig(), tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def digits(digits_file: Path) -> Dataset:
    """All digits."""
    return load(digits_file)


@pytest.fixture(scope="session")
def few_digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared file of three hundred of the digits."""
    return prepare(DataConfig(limit=300), tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="session")
def few_digits(few_digits_file: Path) -> Dataset:
    """Three hundred of the digits, for tests that care about bits and not about accuracy."""
    return load(few_digits_file)
