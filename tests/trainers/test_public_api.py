"""The names that `trainers` exports, and what an import costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import trainers

SLOW = {"torch", "timm", "torchvision", "sklearn", "ray", "pandas", "scipy"}


def test_exported_names() -> None:
    assert trainers.__all__ == [
        "DataConfig", "DataError", "Dataset", "DatasetInfo", "DeviceLock", "Effort", "Epoch", "ProxyTraining",
        "RecipeConfig", "RecipeError", "RecipeTraining", "ReferenceNetwork", "Source", "Split", "ThroughputMeasurement",
        "TrainConfig", "TrainerError", "TrainingError", "describe", "evaluate", "load", "measure", "peak_memory_bytes", "prepare", "register", "train",
    ]  # fmt: skip
    assert set(trainers.__all__) <= set(dir(trainers))


@pytest.mark.parametrize("name", trainers.__all__)
def test_each_name_is_the_documented_object_of_its_module(name: str) -> None:
    value = getattr(trainers, name)
    assert value.__name__ == name
    assert value.__module__.startswith("trainers.")
    assert value.__doc__
    assert getattr(sys.modules[value.__module__], name) is value


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trainers' has no attribute 'fit'"):
        trainers.fit  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import trainers",
        "from trainers import DataConfig, TrainConfig, Effort, DataError, prepare, describe",
        "import trainers.data.config",
        "import trainers.training.config",
        "from trainers import RecipeConfig, RecipeError; RecipeConfig(optimizer='lamb').digest()",
        "import trainers.measuring.effort",
    ],
)
def test_values_import_no_torch_and_nothing_slow(code: str) -> None:
    program = f"import sys; {code}; slow = {SLOW} & set(sys.modules); sys.exit(f'imported {{slow}}' if slow else 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
