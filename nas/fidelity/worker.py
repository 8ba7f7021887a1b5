"""The worker of a fidelity run: a training with its curve, or the training-free scores of an untrained network.

Smaller images are means of the pixels they cover. Fewer images are the same share of each class, chosen by their content. The
validation split is the same for all budgets. So budgets differ only in what their names say.
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
from nas.evaluation.failures import Cause, cause_of
from nas.evaluation.networks import initial_network
from nas.evaluation.work_folder import create_work_folder
from nas.fidelity.plan import Budget, Job
from nas.fidelity.settings import FidelitySettings
from search_space import Architecture
from trainers.augment import normalise
from trainers.data.dataset import Dataset, Split, load
from trainers.device import use_device
from trainers.measuring import training_free as scores
from trainers.training.loop import ProxyTraining

logger = logging.getLogger(__name__)

SCORE_BATCH_IMAGES = 64  # images of a batch of a score
CHUNK_IMAGES = 1024  # images that are converted to floats at a time
ZICO_BATCHES = 2  # the number that the authors of ZiCo use


class FidelityWorker:
    """Runs jobs on one device; the data are loaded once."""

    def __init__(self, settings: FidelitySettings, device: str) -> None:
        torch.set_num_threads(settings.threads)
        self.train = settings.train
        self.device = device
        share = settings.gpus or 1.0  # of a GPU
        use_device(torch.device(device), share)
        self.data = load(settings.data_file, device, share / 2)
        self.reduce_data = lru_cache(maxsize=1)(self._reduce_data)  # one copy of the images at a time
        self.is_warm = False
        self._work_folder: Path | None = None  # of this process, on a machine that does not see the folder of the run

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Run a job and return its record; `payload` has `job` (`Job.to_dict`) and `checkpoint` (a file name)."""
        return self.run_job(Job.from_dict(payload["job"]), self._local(Path(payload["checkpoint"])))

    def _local(self, checkpoint: Path) -> Path:
        """The file for a checkpoint on this machine, which may not see the folder of the run."""
        if checkpoint.parent.is_dir():
            return checkpoint
        self._work_folder = self._work_folder or create_work_folder()
        return self._work_folder / checkpoint.name

    def run_job(self, job: Job, checkpoint: Path) -> dict[str, Any]:
        """Run `job` and return its record.

        The record has `curve`, a [validation accuracy, seconds] per epoch, or `scores`, name -> [value, seconds].

        An exception becomes the `failure` of the record, and `cause` says what is at fault if it may be the machine ("machine" or
        "either", `nas.evaluation.failures`). An interrupted training continues from the file `checkpoint`, which is
        removed at the end.
        """
        record: dict[str, Any] = {"id": job.id, "seed": job.seed, "device": self.device}
        try:
            budget = job.budget
            result = self._scores(job) if budget is None else self._train(job, budget, checkpoint)
        except Exception as error:  # any failure is that of the job
            logger.info("job %s failed", job.id, exc_info=True)
            cause = cause_of(error, self.device)
            result = {"failure": reason(error)} | ({} if cause is Cause.ARCHITECTURE else {"cause": cause.value})
            if cause is Cause.MACHINE:
                return record | result  # the next run continues from the checkpoint
        finally:
            if self.device != "cpu":
                _free_gpu_memory()
        checkpoint.unlink(missing_ok=True)
        return record | result

    def _train(self, job: Job, budget: Budget, checkpoint: Path) -> dict[str, Any]:
        network = initial_network(Architecture.from_json(job.architecture), job.seed)
        data = self.reduce_data(budget.images, budget.pixels)
        config = self.train.model_copy(update={"epochs": budget.epochs, "validate_every": 1})
        training = ProxyTraining(network, data, config, seed=job.seed, checkpoint=checkpoint)
        for _ in training.epochs():
            pass
        curve = [[epoch.val_accuracy, epoch.wall_s] for epoch in training.history]
        return {"epochs": budget.epochs, "images": budget.images, "pixels": budget.pixels, "curve": curve}

    def _reduce_data(self, images: int, pixels: int) -> Dataset:
        return reduce_pixels(reduce_images(self.data, images), pixels)

    def _scores(self, job: Job) -> dict[str, Any]:
        """Compute each score, with its seconds; a failed score becomes its reason."""
        architecture = Architecture.from_json(job.architecture)
        network = initial_network(architecture, job.seed).to(self.device)
        batches = draw_batches(self.data, job.seed)
        functions: dict[str, Callable[[], float]] = {
            "naswot": lambda: scores.naswot(network, drop_duplicates(batches[0][0])),
            "synflow": lambda: scores.synflow(network, (architecture.in_chans, *architecture.image_size)),
            "zico": lambda: scores.zico(network, batches),
        }
        if not self.is_warm:  # one-time work, such as loading kernels, is not part of the time of a score
            for score in functions.values():
                time_score(score)
            self.is_warm = True
        return {"scores": {name: time_score(score) for name, score in functions.items()}}


def _free_gpu_memory() -> None:
    """Free the GPU memory for the next job; if that fails, this process cannot use the GPU, and another one takes over."""
    try:
        torch.cuda.empty_cache()
    except RuntimeError:
        os._exit(1)


def time_score(score: Callable[[], float]) -> list[Any]:
    """Compute and time `score`: [value, seconds], or [reason, seconds] if it fails or is not finite."""
    start = time.perf_counter()
    value: float | str
    try:
        value = score()
        if not math.isfinite(value):
            value = f"it is {value}"
    except Exception as error:  # the other scores are still computed
        value = reason(error)
    return [value, time.perf_counter() - start]


def draw_batches(data: Dataset, seed: int) -> list[scores.Batch]:
    """Draw disjoint batches of normalised training images by `seed`; the batches are smaller if there are few images."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    size = min(SCORE_BATCH_IMAGES, len(order) // ZICO_BATCHES)
    batches = [
        data.train.pick(order[i * size : (i + 1) * size].to(data.train.images.device)) for i in range(ZICO_BATCHES)
    ]
    return [(normalise(images, data.mean, data.std), labels) for images, labels in batches]


def drop_duplicates(images: Tensor) -> Tensor:
    """`(B, C, H, W)` -> `(B', C, H, W)`: drop images that equal another one."""
    return torch.unique(images.flatten(1), dim=0).view(-1, *images.shape[1:])


def reduce_images(data: Dataset, divisor: int) -> Dataset:
    """Reduce the training images of `data` to one in `divisor` of each class, rounded up; other splits are unchanged."""
    if divisor == 1:
        return data
    train = data.train  # sorted by digest, so that the first images of a class are a random sample
    kept: list[Tensor] = []
    for label in train.labels.unique():
        members = torch.nonzero(train.labels == label).flatten()
        kept.append(members[: math.ceil(len(members) / divisor)])
    rows = torch.cat(kept).sort().values
    part = Split(train.images[rows.to(train.images.device)], train.labels[rows])
    return replace(data, train=part, fingerprint=f"{data.fingerprint} /{divisor}")


def reduce_pixels(data: Dataset, divisor: int) -> Dataset:
    """Divide the sides of all images of `data` by `divisor`, by averaging pixels; mean and standard deviation are recomputed."""
    if divisor == 1:
        return data
    height, width = (side // divisor for side in data.image_size)
    splits = (data.train, data.val, data.test)
    train, val, test = (Split(average_pixels(split.images, (height, width)), split.labels) for split in splits)
    mean, std = channel_statistics(train.images)
    fingerprint = f"{data.fingerprint} {height}x{width}"
    return replace(data, train=train, val=val, test=test, mean=mean, std=std, fingerprint=fingerprint)


def average_pixels(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Average pixels: uint8 `(N, C, H, W)` -> uint8 `(N, C, *size)`; in chunks, since floats take four times the memory."""
    chunks = images.split(CHUNK_IMAGES)
    return torch.cat([F.interpolate(chunk.float(), size, mode="area").round().byte() for chunk in chunks])


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 `(N, C, H, W)`, pixels taken as 0..1.

    Computed from the counts of the 256 values. A constant channel gets a deviation of one grey level, since images are divided
    by it.
    """
    statistics = []
    values = torch.arange(256, dtype=torch.float64) / 255
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for chunk in images.split(CHUNK_IMAGES):
            counts += torch.bincount(chunk[:, channel].flatten().long(), minlength=256).cpu()
        mean = float((counts * values).sum() / counts.sum())
        variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
        statistics.append((mean, max(math.sqrt(variance), 1 / 255)))
    return tuple(mean for mean, _ in statistics), tuple(deviation for _, deviation in statistics)
