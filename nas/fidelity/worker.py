"""A job done, in a process that keeps its data: a training with its curve, or the training-free scores of a fresh network.

Smaller images are means of the pixels they cover, and fewer images are drawn from each class alike, by their content; the
validation split is the same for all. So budgets differ in what they say they differ in.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.errors import reason
from nas.evaluation.evaluator import initial
from nas.fidelity.plan import Budget, Job
from search_space import Architecture
from trainers.augment import normalise
from trainers.data.dataset import Dataset, Split, load
from trainers.measuring import training_free as scores
from trainers.training.config import TrainConfig
from trainers.training.loop import ProxyTraining

BATCH = 64  # images that a score looks at, at a time
CHUNK = 1024  # images that are looked at as floats, at a time
BATCHES = 2  # of ZiCo: as many as its authors found enough


@dataclass
class Worker:
    """What a process keeps: the data, and how all jobs train.

    Args:
        data_file: the decoded images.
        train: the study's training; a job's budget replaces its epochs.
        device: as torch names it.
    """

    data_file: Path
    train: TrainConfig
    device: str
    data: Dataset = field(init=False)
    warm: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.data = load(self.data_file, self.device)
        self.reduced = lru_cache(maxsize=1)(self._reduced)  # copies of the images: one at a time

    def run(self, job: Job, checkpoint: Path) -> dict[str, Any]:
        """The record of `job`: `curve`, a [validation accuracy, seconds] an epoch, or `scores`, name -> [value, seconds].

        Whatever it raises becomes its `failure`. A training that was cut off goes on from the file `checkpoint`, which is
        removed at the end.
        """
        record: dict[str, Any] = {"id": job.id, "seed": job.seed, "device": self.device}
        try:
            budget = job.budget
            found = self._scores(job) if budget is None else self._train(job, budget, checkpoint)
        except Exception as error:  # whatever it is, it is this job's own
            found = {"failure": reason(error)}
        finally:
            if self.device != "cpu":
                _tidy()
        checkpoint.unlink(missing_ok=True)
        return record | found

    def _train(self, job: Job, budget: Budget, checkpoint: Path) -> dict[str, Any]:
        network = initial(Architecture.from_json(job.architecture), job.seed)
        data = self.reduced(budget.images, budget.pixels)
        config = self.train.model_copy(update={"epochs": budget.epochs, "validate_every": 1})
        training = ProxyTraining(network, data, config, seed=job.seed, checkpoint=checkpoint)
        for _ in training.epochs():
            pass
        curve = [[epoch.val_accuracy, epoch.wall_s] for epoch in training.history]
        return {"epochs": budget.epochs, "images": budget.images, "pixels": budget.pixels, "curve": curve}

    def _reduced(self, images: int, pixels: int) -> Dataset:
        return smaller(fewer(self.data, images), pixels)

    def _scores(self, job: Job) -> dict[str, Any]:
        """Each score with its seconds, or the reason why there is none."""
        architecture = Architecture.from_json(job.architecture)
        network = initial(architecture, job.seed).to(self.device)
        batches = some_batches(self.data, job.seed)
        of: dict[str, Callable[[], float]] = {
            "naswot": lambda: scores.naswot(network, different(batches[0][0])),
            "synflow": lambda: scores.synflow(network, (architecture.in_chans, *architecture.image_size)),
            "zico": lambda: scores.zico(network, batches),
        }
        if not self.warm:  # what a process does once, such as loading kernels, is no part of a score's time
            for score in of.values():
                timed(score)
            self.warm = True
        return {"scores": {name: timed(score) for name, score in of.items()}}


def _tidy() -> None:
    """Leave the GPU's memory to the next job. Where the GPU refuses even that, it is lost to this process: another takes over."""
    try:
        torch.cuda.empty_cache()
    except RuntimeError:
        os._exit(1)


def timed(score: Callable[[], float]) -> list[Any]:
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


def some_batches(data: Dataset, seed: int) -> list[scores.Batch]:
    """Batches of training images, no image in two of them, normalised, drawn by `seed`; smaller ones of few images."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    size = min(BATCH, len(order) // BATCHES)
    picked = [data.train.pick(order[i * size : (i + 1) * size].to(data.train.images.device)) for i in range(BATCHES)]
    return [(normalise(images, data.mean, data.std), labels) for images, labels in picked]


def different(images: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B', C, H, W)`: each image once, of those that are alike."""
    return torch.unique(images.flatten(1), dim=0).view(-1, *images.shape[1:])


def fewer(data: Dataset, divisor: int) -> Dataset:
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


def smaller(data: Dataset, divisor: int) -> Dataset:
    """`data` with images of sides divided by `divisor`, each pixel the mean of those that it covers, normalised anew."""
    if divisor == 1:
        return data
    height, width = (side // divisor for side in data.image_size)
    whole = (data.train, data.val, data.test)
    train, val, test = (Split(means(split.images, (height, width)), split.labels) for split in whole)
    mean, std = moments(train.images)
    fingerprint = f"{data.fingerprint} {height}x{width}"
    return replace(data, train=train, val=val, test=test, mean=mean, std=std, fingerprint=fingerprint)


def means(images: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 `(N, C, H, W)` as uint8 `(N, C, *size)`; a chunk at a time, for floats take four times the memory."""
    chunks = images.split(CHUNK)
    return torch.cat([F.interpolate(chunk.float(), size, mode="area").round().byte() for chunk in chunks])


def moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 `(N, C, H, W)`, pixels taken as 0..1.

    From counts of the 256 values; a channel of one value gets a deviation of one grey level, for it is divided by.
    """
    found = []
    values = torch.arange(256, dtype=torch.float64) / 255
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for chunk in images.split(CHUNK):
            counts += torch.bincount(chunk[:, channel].flatten().long(), minlength=256).cpu()
        mean = float((counts * values).sum() / counts.sum())
        variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
        found.append((mean, max(math.sqrt(variance), 1 / 255)))
    return tuple(mean for mean, _ in found), tuple(deviation for _, deviation in found)
