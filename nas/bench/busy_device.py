"""Times networks on a device on which trainings run in other processes (`nas bench throughput`)."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.synchronize
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

import numpy as np
import torch

from nas.bench.throughput_plan import ThroughputPlan
from nas.errors import StudyError
from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import MeasuringSettings
from nas.execution import environment
from nas.execution.processes import CONTEXT, block_sigint, end_with_parent
from nas.study.operator_table import OperatorTable, operator_times, operators_to_time
from search_space import Architecture, SearchSpace, build
from trainers.data.dataset import Dataset, Split
from trainers.device_lock import DeviceLock
from trainers.errors import TrainingError
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.throughput import measure
from trainers.training.config import TrainConfig
from trainers.training.loop import ProxyTraining

TRAIN_IMAGES = 512  # random pixels; the content does not affect the time


@contextmanager
def run_trainings(
    space: SearchSpace, device: str, count: int, threads: int, pause_for_measurements: bool
) -> Iterator[None]:
    """A context in which `count` processes train random architectures of `space`; all have started when it is entered.

    Args:
        space: the search space of the architectures.
        device: "cpu" or "cuda".
        count: number of processes.
        threads: CPU threads of each process.
        pause_for_measurements: True if trainings pause during measurements, as those of a study do.

    Raises:
        StudyError: a process ended before its training started.
    """
    environment.keep_memory()
    events = [CONTEXT.Event() for _ in range(count)]
    processes = [
        CONTEXT.Process(
            target=train_random, args=(space, device, seed, threads, pause_for_measurements, event), daemon=True
        )
        for seed, event in enumerate(events)
    ]
    started: list[multiprocessing.process.BaseProcess] = []
    try:
        for process in processes:
            with block_sigint():
                process.start()
                started.append(process)
        for process, event in zip(processes, events, strict=True):
            while not event.wait(1):
                if not process.is_alive():
                    raise StudyError("a training process ended before its training started")
        yield
    finally:
        for running in started:
            running.kill()
            running.join()


def train_random(
    space: SearchSpace,
    device: str,
    seed: int,
    threads: int,
    pause_for_measurements: bool,
    has_started: multiprocessing.synchronize.Event,
) -> None:
    """Train one random architecture after another, until the parent process ends."""
    end_with_parent()
    torch.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    lock = DeviceLock(device) if pause_for_measurements else None
    while True:
        architecture = space.sample(rng)
        data = random_images(architecture.in_chans, architecture.image_size, architecture.num_classes, seed).to(device)
        with suppress(TrainingError):
            training = ProxyTraining(build(architecture), data, TrainConfig(epochs=20), seed=seed, device_lock=lock)
            has_started.set()
            for _ in training.epochs():
                pass


def random_images(in_chans: int, image_size: tuple[int, int], num_classes: int, seed: int) -> Dataset:
    """Random images with random labels."""
    generator = torch.Generator().manual_seed(seed)

    def split(count: int) -> Split:
        pixels = torch.randint(256, (count, in_chans, *image_size), generator=generator, dtype=torch.uint8)
        return Split(pixels, torch.randint(num_classes, (count,), generator=generator))

    return Dataset(
        name="random",
        class_names=tuple(map(str, range(num_classes))),
        train=split(TRAIN_IMAGES),
        val=split(64),
        test=split(1),
        mean=(0.5,) * in_chans,
        std=(0.3,) * in_chans,
        fingerprint=f"random {seed}",
        default_augment="none",
    )


def create_operator_table(space: SearchSpace, plan: ThroughputPlan) -> OperatorTable | None:
    """Time the operators of `space`, while trainings pause; returns the table that predicts throughput, or None."""
    if not plan.operators_s:
        return None
    torch.set_num_threads(plan.threads)
    measurer = Measurer(MeasuringSettings(batch_size=plan.images), plan.device, DeviceLock(plan.device))
    operators = operators_to_time(space, plan.seed)
    seconds = measurer.time_operators(operators, plan.images, plan.operators_s)
    return OperatorTable(operator_times(operators, seconds), plan.images)


def time_networks(
    architectures: Sequence[Architecture], plan: ThroughputPlan, exclusively: bool
) -> Iterator[tuple[tuple[int, int], float, float, float]]:
    """Measure the throughput of each architecture in each round.

    Args:
        architectures: the architectures to measure.
        plan: the plan of the benchmark.
        exclusively: True if trainings that can pause do so during a measurement.

    Yields:
        (round, index), images per second relative to the reference network, drift, and the duration in seconds.
    """
    torch.set_num_threads(plan.threads)
    lock, reference = DeviceLock(plan.device), ReferenceNetwork(plan.device)
    rng = np.random.default_rng([plan.seed, exclusively])
    for round_ in range(plan.rounds):
        for index in rng.permutation(len(architectures)):
            architecture = architectures[index]
            network = build(architecture)
            shape = (architecture.in_chans, *architecture.image_size)
            with lock.exclusive() if exclusively else nullcontext():
                start = time.perf_counter()
                throughput = measure(network, shape, device=plan.device, batch_size=plan.images, reference=reference)
                wall_s = time.perf_counter() - start
            yield (round_, int(index)), throughput.images_per_s, throughput.drift, wall_s
