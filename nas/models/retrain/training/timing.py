"""How long an epoch of a network takes, from a few steps of its training. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings
from nas.models.retrain.training.networks import create_module
from nas.models.retrain.training.worker import RetrainWorker
from trainers.device import synchronise
from trainers.errors import TrainingInterrupted
from trainers.training.image_sizes import image_size_at
from trainers.training.recipe import RecipeTraining
from trainers.training.recipe_config import RecipeConfig

WARM_UP_STEPS = 2
"""Steps that are not timed: they allocate memory and choose kernels."""
MAX_STEPS = 20
MAX_TIMING_S = 1.0
"""Timing ends after this number of steps, or of seconds."""
VALIDATION_SHARE = 0.03
"""Of the steps' time, which validation takes besides (`trainers.training.evaluation`)."""


@dataclass(frozen=True)
class EpochTime:
    """The length of an epoch.

    Args:
        steps: of the optimizer.
        seconds: estimated, with validation.
    """

    steps: int
    seconds: float


def time_epochs(settings: RetrainSettings, jobs: Sequence[RetrainJob], device: str) -> list[EpochTime]:
    """Time a few steps of the network of each of `jobs`, one after the other, on `device`; nothing is written."""
    worker = RetrainWorker(settings, device)
    return [_time_epoch(worker, job) for job in jobs]


def _time_epoch(worker: RetrainWorker, job: RetrainJob) -> EpochTime:
    recipe, device = worker.settings.recipe, torch.device(worker.device)
    times: list[float] = []

    def is_enough() -> bool:
        synchronise(device)
        times.append(time.perf_counter())
        steps = len(times) - 1 - WARM_UP_STEPS
        return steps > 0 and (steps >= MAX_STEPS or times[-1] - times[WARM_UP_STEPS] > MAX_TIMING_S)

    training = RecipeTraining(
        create_module(job, worker.shape, recipe),
        worker.data,
        recipe.model_copy(update={"image_size_schedule": None, "epochs": recipe.epochs + MAX_STEPS}),
        seed=job.seed,
        teacher=worker.teacher,
        is_stop_requested=is_enough,
    )
    with suppress(TrainingInterrupted):
        for _ in training.epochs():
            pass
    step_s = (times[-1] - times[WARM_UP_STEPS]) / (len(times) - 1 - WARM_UP_STEPS)
    share = mean_pixels_share(recipe, worker.shape.size) * (1 + VALIDATION_SHARE)
    return EpochTime(training.steps_per_epoch, step_s * training.steps_per_epoch * share)


def mean_pixels_share(recipe: RecipeConfig, full: tuple[int, int]) -> float:
    """The mean number of pixels of an image over the epochs, as a share of that of the `full` size."""
    sizes = [
        image_size_at(epoch, recipe.epochs, full, recipe.image_size_schedule) for epoch in range(1, recipe.epochs + 1)
    ]
    return sum(height * width for height, width in sizes) / (len(sizes) * full[0] * full[1])
