"""The learning rate at each step: a pure function of the step, so that no checkpoint needs to hold it."""

from __future__ import annotations

import math
from typing import Protocol

ONECYCLE_RISE = 0.3  # share of the steps in which the rate rises; all three as in fastai and torch
ONECYCLE_START = 1 / 25  # first rate, as a share of the peak
ONECYCLE_END = 1e-4 * ONECYCLE_START  # last rate, as a share of the peak


class ScheduleConfig(Protocol):
    """The fields of a configuration that describe a schedule."""

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        ...

    @property
    def lr(self) -> float:
        """The highest learning rate."""
        ...

    @property
    def schedule(self) -> str:
        """Its name: "onecycle", or "cosine"."""
        ...

    @property
    def warmup_epochs(self) -> float:
        """Epochs in which the rate rises."""
        ...


def lr_at(step: int, steps_per_epoch: int, config: ScheduleConfig) -> float:
    """The learning rate of `step`, counted from 0 over the whole training.

    cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983): rises linearly from `lr / w` at the
    first of w warm-up steps to `lr` at the last of them, then falls along half a cosine that would reach 0 one step after the
    end.

    onecycle (Smith and Topin, 2018, arXiv:1708.07120): rises from `lr / 25` along half a cosine over the first 30 % of the
    steps, and falls along another to `lr / 250000` at the last step.

    Args:
        step: from 0 to `config.epochs * steps_per_epoch - 1`.
        steps_per_epoch: number of steps of an epoch.
        config: the peak rate `lr`, the schedule, the epochs and the warm-up.
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "onecycle":
        peak = ONECYCLE_RISE * (total - 1)
        if step < peak:
            return config.lr * _half_cosine(ONECYCLE_START, 1.0, step / peak)
        return config.lr * _half_cosine(1.0, ONECYCLE_END, (step - peak) / (total - 1 - peak) if total > 1 else 0.0)
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total // 2)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    return config.lr * _half_cosine(1.0, 0.0, (step - warmup) / (total - warmup))


def _half_cosine(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at progress 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
