"""Training and measuring of modules: a module and data in, metrics out. Knows nothing of architectures or studies.

    errors            the exceptions
    files             atomic writes, tensor files; torch_internals: private parts of torch
    device            names and conditions of devices; device_lock: measurements have a device to themselves
    watchdog          ends a process that makes no progress; lock_holders: which processes hold a lock
    inference         running a module for its outputs alone
    data/             where images come from, decoded once into one file, in a fixed split
    augment/          augmentation of whole batches on the device
    training/         short and full trainings, resumable; evaluation, schedules, checkpoints
    measuring/        throughput, latency and memory of a module; training-free scores; corruptions, noise of a band

A module imports only from rooms further up in this order: errors | files, then device | torch_internals | inference |
watchdog | lock_holders, device_lock, data, then augment | measuring, then training.

The names of `__all__` are imported when they are first used (PEP 562), so that `import trainers` and the configurations need
no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.data.config import DataConfig
    from trainers.data.dataset import Dataset, Split, load
    from trainers.data.description import DatasetInfo, describe
    from trainers.data.prepared import prepare
    from trainers.data.sources import Source, register
    from trainers.device_lock import DeviceLock
    from trainers.errors import DataError, RecipeError, TrainerError, TrainingError
    from trainers.measuring.effort import Effort
    from trainers.measuring.memory import peak_memory_bytes
    from trainers.measuring.reference import ReferenceNetwork
    from trainers.measuring.throughput import ThroughputMeasurement, measure
    from trainers.training.config import TrainConfig
    from trainers.training.epoch import Epoch
    from trainers.training.evaluation import evaluate
    from trainers.training.loop import ProxyTraining, train
    from trainers.training.recipe import RecipeTraining
    from trainers.training.recipe_config import RecipeConfig

__all__ = [
    "DataConfig",
    "DataError",
    "Dataset",
    "DatasetInfo",
    "DeviceLock",
    "Effort",
    "Epoch",
    "ProxyTraining",
    "RecipeConfig",
    "RecipeError",
    "RecipeTraining",
    "ReferenceNetwork",
    "Source",
    "Split",
    "ThroughputMeasurement",
    "TrainConfig",
    "TrainerError",
    "TrainingError",
    "describe",
    "evaluate",
    "load",
    "measure",
    "peak_memory_bytes",
    "prepare",
    "register",
    "train",
]

_MODULE_OF = {
    "DataConfig": "trainers.data.config",
    "DataError": "trainers.errors",
    "Dataset": "trainers.data.dataset",
    "DatasetInfo": "trainers.data.description",
    "DeviceLock": "trainers.device_lock",
    "Effort": "trainers.measuring.effort",
    "Epoch": "trainers.training.epoch",
    "ProxyTraining": "trainers.training.loop",
    "RecipeConfig": "trainers.training.recipe_config",
    "RecipeError": "trainers.errors",
    "RecipeTraining": "trainers.training.recipe",
    "ReferenceNetwork": "trainers.measuring.reference",
    "Source": "trainers.data.sources",
    "Split": "trainers.data.dataset",
    "ThroughputMeasurement": "trainers.measuring.throughput",
    "TrainConfig": "trainers.training.config",
    "TrainerError": "trainers.errors",
    "TrainingError": "trainers.errors",
    "describe": "trainers.data.description",
    "evaluate": "trainers.training.evaluation",
    "load": "trainers.data.dataset",
    "measure": "trainers.measuring.throughput",
    "peak_memory_bytes": "trainers.measuring.memory",
    "prepare": "trainers.data.prepared",
    "register": "trainers.data.sources",
    "train": "trainers.training.loop",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
