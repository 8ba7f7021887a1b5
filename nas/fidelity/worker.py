"""The worker of a fidelity run: a training with its curve, or the training-free scores of an untrained network.

Smaller images are means of the pixels they cover, and fewer images are drawn from each class alike, by their content; the
validation split is the same for all. So budgets differ in nothing but what their names say.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.errors import reason
from nas.evaluation.evaluator import initial_network
from nas.fidelity.plan import Budget, Job
from nas.fidelity.settings import FidelitySettings
from search_space import Architecture
from trainers.augment import normalise
from trainers.data.dataset import Dataset, Split, load
from trainers.measuring import training_free as scores
from trainers.training.loop import ProxyTraining

logger = logging.getLogger(__name__)

SCORE_BATCH_IMAGES = 64  # images that a score looks at, at a time
CHUNK_IMAGES = 1024  # images that are looked at as floats, at a time
ZICO_BATCHES = 2  # of ZiCo: as many as its authors found enough


class FidelityWorker:
    """Runs jobs on one device; the data are loaded once."""

    def __init__(self, settings: FidelitySettings, device: str) -> None:
        torch.set_num_threads(settings.threads)
        self.train = settings.train
        self.device = device
        self.data = load(settings.data_file, device)
        self.reduced = lru_cache(maxsize=1)(self._reduced)  # copies of the images: one at a time
        self.warm = False

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a job, from `job` (`Job.to_dict`) and `checkpoint`, the file of its checkpoint."""
        return self.run_job(Job.from_dict(payload["job"]), Path(payload["checkpoint"]))

    def run_job(self, job: Job, checkpoint: Path) -> dict[str, Any]:
        """The record of `job`: `curve`, a [validation accuracy, seconds] per epoch, or `scores`, name -> [value, seconds].

        An exception becomes the record's `failure`. A training that was cut off continues from the file `checkpoint`, which is
        removed at the end.
        """
        record: dict[str, Any] = {"id": job.id, "seed": job.seed, "device": self.device}
        try:
            budget = job.budget
            result = self._scores(job) if budget is None else self._train(job, budget, checkpoint)
        except Exception as error:  # whatever it is, it belongs to this job
            logger.info("job %s failed", job.id, exc_info=True)
            result = {"failure": reason(error)}
        finally:
            if self.device != "cpu":
                _free_gpu_memory()
        checkpoint.unlink(missing_ok=True)
        return record | result

    def _train(self, job: Job, budget: Budget, checkpoint: Path) -> dict[str, Any]:
        network = initial_network(Architecture.from_json(job.architecture), job.seed)
        data = self.reduced(budget.images, budget.pixels)
        config = self.train.model_copy(update={"epochs": budget.epochs, "validate_every": 1})
        training = ProxyTraining(network, data, config, seed=job.seed, checkpoint=checkpoint)
        for _ in training.epochs():
            pass
        curve = [[epoch.val_accuracy, epoch.wall_s] for epoch in training.history]
        return {"epochs": budget.epochs, "images": budget.images, "pixels": budget.pixels, "curve": curve}

    def _reduced(self, images: int, pixels: int) -> Dataset:
        return reduce_pixels(reduce_images(self.data, images), pixels)

    def _scores(self, job: Job) -> dict[str, Any]:
        """Each score with its seconds, or the reason why there is none."""
        architecture = Architecture.from_json(job.architecture)
        network = initial_network(architecture, job.seed).to(self.device)
        batches = draw_batches(self.data, job.seed)
        of: dict[str, Callable[[], float]] = {
            "naswot": lambda: scores.naswot(network, drop_duplicates(batches[0][0])),
            "synflow": lambda: scores.synflow(network, (architecture.in_chans, *architecture.image_size)),
            "zico": lambda: scores.zico(network, batches),
        }
        if not self.warm:  # what a process does once, such as loading kernels, is no part of a score's time
            for score in of.values():
                time_score(score)
            self.warm = True
        return {"scores": {name: time_score(score) for name, score in of.items()}}


def _free_gpu_memory() -> None:
    """Leave the GPU's memory to the next job. Where the GPU refuses even that, it is lost to this process: another takes over."""
    try:
        torch.cuda.empty_cache()
    except RuntimeError:
        os._exit(1)


def time_score(score: Callable[[], float]) -> list[Any]:
    """[value, seconds], or [reason, seconds] of a score that there is none of."""
    start = time.perf_counter()
    value: float | str
    try:
        value = score()
        if not math.isfinite(value):
            value = f"it is {value}"
    except Exception as error:  # a score that fails is its own; the others go on
        value = reason(error)
    return [value, time.perf_counter() - start]


def draw_batches(data: Dataset, seed: int) -> list[scores.Batch]:
    """Batches of training images, no image in two of them, normalised, drawn by `seed`; smaller ones of few images."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    size = min(SCORE_BATCH_IMAGES, len(order) // ZICO_BATCHES)
    picked = [
        data.train.pick(order[i * size : (i + 1) * size].to(data.train.images.device)) for i in range(ZICO_BATCHES)
    ]
    return [(normalise(images, data.mean, data.std), labels) for images, labels in picked]


def drop_duplicates(images: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B', C, H, W)`: each image once, of those that are alike."""
    return torch.unique(images.flatten(1), dim=0).view(-1, *images.shape[1:])


def reduce_images(data: Dataset, divisor: int) -> Dataset:
    """`data` with one in `divisor` images of each class to train on, one at least; the rest of it as it is."""
    if divisor == 1:
        return data
    train = data.train  # in the order of digests: the first ones of a class are as good as drawn
    kept: list[Tensor] = []
    for label in train.labels.unique():
        members = torch.nonzero(train.labels == label).flatten()
        kept.append(members[: math.ceil(len(members) / divisor)])
    rows = torch.cat(kept).sort().values
    part = Split(train.images[rows.to(train.images.device)], train.labels[rows])
    return replace(data, train=part, fingerprint=f"{data.fingerprint} /{divisor}")


def reduce_pixels(data: Dataset, divisor: int) -> Dataset:
    """`data` with images of sides divided by `divisor`, each pixel the mean of those that it covers, normalised anew."""
    if divisor == 1:
        return data
    height, width = (side // divisor for side in data.image_size)
    whole = (data.train, data.val, data.test)
    train, val, test = (Split(average_pixels(split.images, (height, width)), split.labels) for split in whole)
    mean, std = channel_statistics(train.images)
    fingerprint = f"{data.fingerprint} {height}x{width}"
    return replace(data, train=train, val=val, test=test, mean=mean, std=std, fingerprint=fingerprint)


def average_pixels(images: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 `(N, C, H, W)` as uint8 `(N, C, *size)`; a chunk at a time, for floats take four times the memory."""
    chunks = images.split(CHUNK_IMAGES)
    return torch.cat([F.interpolate(chunk.float(), size, mode="area").round().byte() for chunk in chunks])


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 `(N, C, H, W)`, pixels taken as 0..1.

    From counts of the 256 values; a channel of one value gets a deviation of one grey level, for it is divided by.
    """
    found = []
    values = torch.arange(256, dtype=torch.float64) / 255
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for chunk in images.split(CHUNK_IMAGES):
            counts += torch.bincount(chunk[:, channel].flatten().long(), minlength=256).cpu()
        mean = float((counts * values).sum() / counts.sum())
        variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
        found.append((mean, max(math.sqrt(variance), 1 / 255)))
    return tuple(mean for mean, _ in found), tuple(deviation for _, deviation in found)
