import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from trainers.config import DataConfig, TrainConfig


def test_defaults_are_valid() -> None:
    assert DataConfig().source == "digits"
    assert TrainConfig().epochs == 20


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source": "cifr10"}, "did you mean cifar10 or cifar100"),
        ({"source": "folder"}, "path: source 'folder' reads from a folder, so its path has to be given"),
        ({"source": "cifar10"}, "path: source 'cifar10' reads from a folder"),
        ({"source": "digits", "path": "/data"}, "reads from no folder, found '/data'"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "must leave images to train on, so be below 1, found 1"),
        ({"val_fraction": 0.0}, "greater than 0"),
        ({"image_size": 2}, "greater than or equal to 4"),
        ({"limit": 5}, "greater than or equal to 6"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"on_error": "ignore"}, "'fail' or 'skip'"),
        ({"download": True}, "download: source 'digits' has none to choose, found True"),
        ({"sede": 1}, "Extra inputs are not permitted"),
    ],
)
def test_data_config_refuses(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataConfig.model_validate(fields)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"lr": 0.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"schedule": "step"}, "schedule"),
        ({"augment": "heavy"}, "augment"),
        ({"grad_clip": 0.0}, "grad_clip"),
        ({"mixup": -0.1}, "mixup\n  Input should be greater than or equal to 0"),
        ({"cutmix": float("nan")}, "cutmix\n"),
        ({"cutmix": float("inf")}, "cutmix\n  Input should be less than or equal to 100"),
        ({"ema": 0.0}, "ema\n  Input should be greater than 0"),
        ({"ema": 1.0}, "ema\n  Input should be less than 1"),
        ({"warmup": 1}, "warmup"),
    ],
)
def test_train_config_refuses(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate(fields)
    assert said in str(caught.value)


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError):
        TrainConfig().epochs = 3  # type: ignore[misc]


def test_the_home_folder_is_expanded() -> None:
    assert DataConfig(source="folder", path=Path("~/pets")).path == Path.home() / "pets"


def test_json_round_trip() -> None:
    config = DataConfig(source="folder", path=Path("/data/pets"), image_size=32, limit=100)
    assert DataConfig.model_validate_json(config.model_dump_json()) == config


def test_config_imports_no_torch_and_nothing_slow() -> None:
    code = (
        "import sys, trainers.config; "
        "slow = {'torch', 'timm', 'torchvision', 'sklearn', 'ray'} & set(sys.modules); "
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
