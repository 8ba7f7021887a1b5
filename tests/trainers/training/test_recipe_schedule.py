"""Schedules by name are timm's at each step, in any order of steps; "plateau" is torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.scheduler import create_scheduler_v2

from trainers.training.config import TrainConfig
from trainers.training.epoch import Epoch
from trainers.training.recipe_config import RecipeConfig
from trainers.training.recipe_schedule import create_schedule
from trainers.training.schedule import lr_at

STEPS = 7
EPOCHS = 12


def recipe(**fields: Any) -> RecipeConfig:
    """A recipe of `EPOCHS` epochs."""
    return RecipeConfig.model_validate({"epochs": EPOCHS, "lr": 0.5, "warmup_epochs": 2, **fields})


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)


def validated(epoch: int, accuracy: float) -> Epoch:
    return Epoch(epoch, 1.0, 1.0, accuracy, 0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("step", {"decay_epochs": 3, "decay_rate": 0.5}),
        ("multistep", {"decay_milestones": [4, 9], "decay_rate": 0.1}),
        ("poly", {"decay_rate": 2.0, "min_lr": 0.01}),
        ("tanh", {"min_lr": 0.01, "warmup_lr": 0.002}),
        ("timm:cosine", {"min_lr": 0.01, "k_decay": 1.5, "noise": [0.3, 0.9], "noise_seed": 3}),
        ("wsd", {"decay_epochs": 4, "decay_fn": "linear"}),
        ("rsqrt", {"stable_timescale": 3}),
        ("constant", {}),
    ],
)
def test_schedules_of_timm(name: str, options: dict[str, Any]) -> None:
    groups = optimizer()
    theirs, _ = create_scheduler_v2(
        groups,
        sched=name.removeprefix("timm:"),
        num_epochs=EPOCHS,
        warmup_epochs=2,
        step_on_epochs=False,
        updates_per_epoch=STEPS,
        **options,
    )
    assert theirs is not None
    expected = [groups.param_groups[0]["lr"]]
    for update in range(1, EPOCHS * STEPS):  # as in timm's train.py
        theirs.step_update(num_updates=update)
        expected.append(groups.param_groups[0]["lr"])
    schedule = create_schedule(recipe(schedule=name, schedule_options=options), STEPS)
    assert [schedule(step, ()) for step in range(EPOCHS * STEPS)] == expected
    assert [schedule(step, ()) for step in (40, 3, 77)] == [expected[step] for step in (40, 3, 77)]
    assert (len(set(expected)) > 3) or name == "constant"


@pytest.mark.parametrize("name", ["cosine", "onecycle"])
def test_schedules_of_ours(name: str) -> None:
    schedule = create_schedule(recipe(schedule=name), STEPS)
    proxy = TrainConfig.model_validate({"epochs": EPOCHS, "lr": 0.5, "warmup_epochs": 2, "schedule": name})
    assert [schedule(step, ()) for step in range(EPOCHS * STEPS)] == [
        lr_at(step, STEPS, proxy) for step in range(EPOCHS * STEPS)
    ]


@pytest.mark.parametrize(("patience", "minimum"), [(0, 0.0), (1, 0.02), (2, 0.0)])
def test_plateau(patience: int, minimum: float) -> None:
    options = {"patience_epochs": patience, "decay_rate": 0.4, "min_lr": minimum}
    schedule = create_schedule(recipe(schedule="plateau", warmup_epochs=0, schedule_options=options), STEPS)
    groups = optimizer()
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        groups, mode="max", factor=0.4, patience=patience, threshold=1e-4, min_lr=minimum
    )
    accuracies = [0.1, 0.5, 0.5, 0.50001, 0.4, 0.6, 0.6, 0.5, 0.4, 0.3, 0.2, 0.7]
    history: list[Epoch] = []
    rates = []
    for epoch, accuracy in enumerate(accuracies, 1):
        for step in range(STEPS):
            assert schedule((epoch - 1) * STEPS + step, history) == pytest.approx(groups.param_groups[0]["lr"])
        rates.append(groups.param_groups[0]["lr"])
        reference.step(accuracy)
        history.append(validated(epoch, accuracy))
    assert len(set(rates)) > 1


def test_plateau_rises_before() -> None:
    schedule = create_schedule(recipe(schedule="plateau"), STEPS)
    assert [schedule(step, ()) for step in range(2 * STEPS + 1)] == pytest.approx(
        [0.5 * (step + 1) / (2 * STEPS) for step in range(2 * STEPS)] + [0.5]
    )
