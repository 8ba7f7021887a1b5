from __future__ import annotations

import pytest
from pydantic import ValidationError

from trainers.training.config import TrainConfig


def test_the_defaults_are_valid() -> None:
    assert TrainConfig().epochs == 20


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
        ({"cutmix": float("inf")}, "cutmix\n  Input should be a finite number"),
        ({"cutmix": 101.0}, "cutmix\n  Input should be less than or equal to 100"),
        ({"ema": 0.0}, "ema\n  Input should be greater than 0"),
        ({"ema": 1.0}, "ema\n  Input should be less than 1"),
        ({"warmup": 1}, "warmup"),
    ],
)
def test_invalid_fields_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate(fields)
    assert said in str(caught.value)


def test_it_is_frozen() -> None:
    with pytest.raises(ValidationError):
        TrainConfig().epochs = 3  # type: ignore[misc]
