"""Networks timed on a device that trainings keep busy, each in a process of its own (`nas bench throughput`)."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.synchronize
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from nas.errors import StudyError, UsageError
from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import Measuring
from nas.execution import environment
from nas.execution.processes import CONTEXT, deaf, end_with_parent
from nas.study import operator_table
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace, build
from trainers.data.dataset import Dataset, Split
from trainers.device_lock import DeviceLock
from trainers.errors import TrainingError
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.throughput import measure
from trainers.training.config import TrainConfig
from trainers.training.loop import ProxyTraining

if TYPE_CHECKING:
    from nas.bench.throughput import Wanted

IMAGES = 512  # random ones; what they show does not matter


def check_device(name: str) -> None:
    """Raise `UsageError` unless this machine has the device `name`."""
    kind, _, index = name.partition(":")
    there = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if kind not in there or (index and not index.isdecimal()):
        raise UsageError(f"--device: must be one of {', '.join(there)} here, found {name!r}")


@contextmanager
def trainings(space: SearchSpace, device: str, count: int, threads: int, yielding: bool) -> Iterator[None]:
    """`count` processes that train random architectures of `space` within this block, all of them begun when it begins.

    Args:
        space: what is trained.
        device: "cpu" or "cuda".
        count: of processes.
        threads: of each, on a CPU.
        yielding: they stand still for measurements, as the trainings of a study do.
    """
    environment.keep_memory()
    begun = [CONTEXT.Event() for _ in range(count)]
    processes = [
        CONTEXT.Process(target=train_on, args=(space, device, seed, threads, yielding, event), daemon=True)
        for seed, event in enumerate(begun)
    ]
    started: list[multiprocessing.process.BaseProcess] = []
    try:
        for process in processes:
            with deaf():
                process.start()
                started.append(process)
        for process, event in zip(processes, begun, strict=True):
            while not event.wait(1):
                if not process.is_alive():
                    raise StudyError("a training beside the measurements has ended before it began")
        yield
    finally:
        for one in started:
            one.kill()
            one.join()


def train_on(
    space: SearchSpace,
    device: str,
    seed: int,
    threads: int,
    yielding: bool,
    begun: multiprocessing.synchronize.Event,
) -> None:
    """Train one random architecture after another, for as long as the process that asked for it lives."""
    end_with_parent()
    torch.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    device_lock = DeviceLock(device) if yielding else None
    while True:
        architecture = space.sample(rng)
        data = images(architecture.in_chans, architecture.image_size, architecture.num_classes, seed).to(device)
        with suppress(TrainingError):
            training = ProxyTraining(
                build(architecture), data, TrainConfig(epochs=20), seed=seed, device_lock=device_lock
            )
            begun.set()
            for _ in training.epochs():
                pass


def images(in_chans: int, image_size: tuple[int, int], num_classes: int, seed: int) -> Dataset:
    """Random images with random labels."""
    generator = torch.Generator().manual_seed(seed)

    def split(count: int) -> Split:
        pixels = torch.randint(256, (count, in_chans, *image_size), generator=generator, dtype=torch.uint8)
        return Split(pixels, torch.randint(num_classes, (count,), generator=generator))

    return Dataset(
        name="random",
        class_names=tuple(map(str, range(num_classes))),
        train=split(IMAGES),
        val=split(64),
        test=split(1),
        mean=(0.5,) * in_chans,
        std=(0.3,) * in_chans,
        fingerprint=f"random {seed}",
        default_augment="none",
    )


def foretelling(space: SearchSpace, wanted: Wanted) -> OperatorTable | None:
    """What foretells the throughput of architectures of `space`; trainings that yield stand still while it is made."""
    if not wanted.operators_s:
        return None
    torch.set_num_threads(wanted.threads)
    measurer = Measurer(Measuring(batch_size=wanted.images), wanted.device, DeviceLock(wanted.device))
    operators = operator_table.wanted(space, wanted.seed)
    seconds = measurer.operators(operators, wanted.images, wanted.operators_s)
    return OperatorTable(operator_table.entries_of(operators, seconds), wanted.images)


def timings(
    architectures: Sequence[Architecture], wanted: Wanted, alone: bool
) -> Iterator[tuple[tuple[int, int], float, float, float]]:
    """(round, index), images per second against the reference, drift, and seconds of each measurement.

    Args:
        architectures: what is measured.
        wanted: how.
        alone: trainings that yield stand still meanwhile.
    """
    torch.set_num_threads(wanted.threads)
    device_lock, reference = DeviceLock(wanted.device), ReferenceNetwork(wanted.device)
    rng = np.random.default_rng([wanted.seed, alone])
    for round_ in range(wanted.rounds):
        for index in rng.permutation(len(architectures)):
            architecture = architectures[index]
            network = build(architecture)
            shape = (architecture.in_chans, *architecture.image_size)
            with device_lock.exclusive() if alone else nullcontext():
                begun = time.perf_counter()
                speed = measure(network, shape, device=wanted.device, batch_size=wanted.images, reference=reference)
                spent = time.perf_counter() - begun
            yield (round_, int(index)), speed.images_per_s, speed.drift, spent
