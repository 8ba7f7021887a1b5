"""The learning rate at each step: a pure function of the step, so that nothing about it needs to be saved."""

from __future__ import annotations

import math

from trainers.training.config import TrainConfig

RISE = 0.3  # the share of a one-cycle that rises, as in fastai and torch
START = 1 / 25  # of the peak, where a one-cycle begins; same
END = 1e-4 * START  # of the peak, where a one-cycle ends; same


def lr_at(step: int, steps_per_epoch: int, config: TrainConfig) -> float:
    """The learning rate of `step`, counted from 0 over the whole training.

    cosine: rises linearly from `lr / w` at the first of w warm-up steps to `lr` at the last of them, then falls along
    half a cosine that would reach 0 one step after the end. onecycle: from `lr / 25` up along half a cosine over the
    first 30 %, down along another to `lr / 250000` at the last step (Smith and Topin, 2018, arXiv:1708.07120).
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "onecycle":
        peak = RISE * (total - 1)
        if step < peak:
            return config.lr * _half_cosine(START, 1.0, step / peak)
        return config.lr * _half_cosine(1.0, END, (step - peak) / (total - 1 - peak) if total > 1 else 0.0)
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total // 2)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    return config.lr * _half_cosine(1.0, 0.0, (step - warmup) / (total - warmup))


def _half_cosine(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at progress 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
