"""The learning rate of a recipe at each step: ours, timm's by name, or "plateau".

Each is a function of the step and of the epochs before it, so that no checkpoint needs to hold a schedule's state. timm's own
"plateau" is deprecated, because its state is lost when a training is resumed; ours computes it from the history each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from trainers.errors import RecipeError
from trainers.training.epoch import Epoch
from trainers.training.recipe_config import TIMM_PREFIX, RecipeConfig
from trainers.training.schedule import lr_at

Schedule = Callable[[int, Sequence[Epoch]], float]
"""The learning rate of a step, counted from 0 over the whole training, after the epochs that are finished."""

PLATEAU_DECAY_RATE = 0.1  # this and the patience: as in timm and torch
PLATEAU_PATIENCE_EPOCHS = 10
PLATEAU_THRESHOLD = 1e-4  # what counts as better, as a share of the best


def create_schedule(config: RecipeConfig, steps_per_epoch: int) -> Schedule:
    """The schedule of `config`.

    Raises:
        RecipeError: the options do not fit the schedule, or the installed timm has no such schedule.
    """
    if config.schedule in ("cosine", "onecycle"):
        return lambda step, history: lr_at(step, steps_per_epoch, config)
    if config.schedule == "plateau":
        return lambda step, history: plateau_lr_at(step, steps_per_epoch, config, history)
    return TimmSchedule(config, steps_per_epoch)


class TimmSchedule:
    """A schedule of timm's, step by step.

    Args:
        config: the name, the options and the length.
        steps_per_epoch: number of steps of an epoch.

    Raises:
        RecipeError: the options do not fit the schedule, or the installed timm has no such schedule.
    """

    def __init__(self, config: RecipeConfig, steps_per_epoch: int) -> None:
        from timm.scheduler import create_scheduler_v2

        # timm's schedules write into the groups of an optimizer: this one has a single group, and is never stepped.
        self._optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.lr)
        try:
            self._scheduler: Any = create_scheduler_v2(
                self._optimizer,
                sched=config.schedule.removeprefix(TIMM_PREFIX),
                num_epochs=config.epochs,
                warmup_epochs=min(config.warmup_epochs, config.epochs / 2),
                step_on_epochs=False,
                updates_per_epoch=steps_per_epoch,
                **_given(config),
            )[0]
        except (TypeError, ValueError, AssertionError) as error:
            rule = f"must be options of the schedule {config.schedule!r} ({' '.join(str(error).split())})"
            raise RecipeError("schedule_options", rule, _given(config)) from error

    def __call__(self, step: int, history: Sequence[Epoch]) -> float:
        """The learning rate of `step`."""
        self._scheduler.step_update(step)
        lr: float = self._optimizer.param_groups[0]["lr"]
        return lr


def plateau_lr_at(step: int, steps_per_epoch: int, config: RecipeConfig, history: Sequence[Epoch]) -> float:
    """The rate falls whenever the validation accuracy has not become better for some epochs; before, it rises linearly.

    Args:
        step: counted from 0 over the whole training.
        steps_per_epoch: number of steps of an epoch.
        config: the peak rate `lr`, the warm-up and the options.
        history: the epochs before that of `step`, all validated.
    """
    warmup = min(round(config.warmup_epochs * steps_per_epoch), config.epochs * steps_per_epoch // 2)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    options = config.schedule_options
    factor = PLATEAU_DECAY_RATE if options.decay_rate is None else options.decay_rate
    patience = PLATEAU_PATIENCE_EPOCHS if options.patience_epochs is None else options.patience_epochs
    lr, best, epochs_without = config.lr, -1.0, 0
    for epoch in history:
        if epoch.epoch * steps_per_epoch <= warmup or epoch.val_accuracy is None:
            continue
        is_better = epoch.val_accuracy > best * (1 + PLATEAU_THRESHOLD)
        best, epochs_without = (epoch.val_accuracy, 0) if is_better else (best, epochs_without + 1)
        if epochs_without > patience:
            lr, epochs_without = max(lr * factor, options.min_lr or 0.0), 0
    return lr


def _given(config: RecipeConfig) -> dict[str, Any]:
    """The options that are set, by timm's names."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in config.schedule_options.model_dump(exclude_none=True).items()
    }
