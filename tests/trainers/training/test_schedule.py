"""Learning rates worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from trainers.training.config import TrainConfig
from trainers.training.schedule import lr_at


def rates(steps_per_epoch: int, **fields: object) -> list[float]:
    """The learning rate of each step."""
    config = TrainConfig.model_validate(fields)
    return [lr_at(step, steps_per_epoch, config) for step in range(config.epochs * steps_per_epoch)]


def test_cosine_by_hand() -> None:
    # 4 steps of warm-up (one epoch), then 4 steps of half a cosine: 1, (1 + cos 45°) / 2, 1 / 2, (1 - cos 45°) / 2.
    eighth = math.sqrt(0.5) / 2
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 0.5 + eighth, 0.5, 0.5 - eighth]
    assert rates(4, epochs=2, lr=1.0, warmup_epochs=1) == pytest.approx(expected, abs=1e-12)


def test_a_fraction_of_an_epoch_warms_up() -> None:
    assert rates(4, epochs=2, lr=1.0, warmup_epochs=0.5)[:3] == pytest.approx([0.5, 1.0, 1.0])


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert rates(2, epochs=1, lr=0.1, warmup_epochs=0) == pytest.approx([0.1, 0.05])


def test_warm_up_is_half_of_a_short_training_at_most() -> None:
    assert rates(4, epochs=1, lr=1.0, warmup_epochs=5) == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_one_cycle_by_hand() -> None:
    # 11 steps: the peak is at step 0.3 * 10 = 3; START = 0.04 there to 1; the end is 4e-6.
    values = rates(11, epochs=1, lr=1.0, schedule="onecycle")
    assert values[0] == pytest.approx(0.04)
    assert values[1] == pytest.approx(0.04 + 0.96 * (1 - math.cos(math.pi / 3)) / 2)
    assert values[3] == 1.0
    assert values[10] == pytest.approx(4e-6)


@pytest.mark.parametrize("epochs", [3, 10])
def test_one_cycle_is_that_of_torch(epochs: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    peer = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=10 * epochs, cycle_momentum=False)
    expected = []
    for _ in range(10 * epochs):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 10 * epochs:
            peer.step()
    # Torch's peak is at step 0.3 * total - 1, ours at 0.3 * (total - 1): they agree to a step.
    ours = rates(10, epochs=epochs, lr=0.02, schedule="onecycle")
    neighbours = [(expected[max(0, i - 1)], expected[min(i + 1, len(expected) - 1)]) for i in range(len(expected))]
    for value, exact, around in zip(ours, expected, neighbours, strict=True):
        assert min(*around, exact) - 1e-9 <= value <= max(*around, exact) + 1e-9


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
@pytest.mark.parametrize("epochs", [1, 2, 7])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_rates_are_positive_and_at_most_lr(schedule: str, epochs: int, steps: int) -> None:
    values = rates(steps, epochs=epochs, lr=0.5, schedule=schedule)
    assert all(0 < value <= 0.5 for value in values)
    peak = values.index(max(values))
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
