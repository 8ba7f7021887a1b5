from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from trainers.data.config import DataConfig


def test_the_defaults_are_valid() -> None:
    assert DataConfig().source == "digits"


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
        ({"download": True}, "download: source 'digits' has no such option, found True"),
        ({"sede": 1}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_fields_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataConfig.model_validate(fields)
    assert said in str(caught.value)


def test_the_home_folder_is_expanded() -> None:
    assert DataConfig(source="folder", path=Path("~/pets")).path == Path.home() / "pets"


def test_json_round_trip() -> None:
    config = DataConfig(source="folder", path=Path("/data/pets"), image_size=32, limit=100)
    assert DataConfig.model_validate_json(config.model_dump_json()) == config
