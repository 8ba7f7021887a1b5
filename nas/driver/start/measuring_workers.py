"""Checks, before anything is trained, that a worker of this search can have the device that the study measures on."""

from __future__ import annotations

from collections.abc import Callable

from nas.driver.start.home import StudyHome
from nas.errors import ConfigError
from nas.evaluation.settings import MeasuringSettings
from nas.execution.base import Executor
from nas.study.config import StudyConfig
from nas.study.device_kind import DEVICE_TYPES, is_of_kind


def check_measuring_worker(
    config: StudyConfig, home: StudyHome, measuring: MeasuringSettings, executor: Executor, tick: Callable[[], None]
) -> None:
    """Check that a worker has the device `throughput.device`.

    Nodes of a cluster may come later, and so may drivers of a study in PostgreSQL: then trials wait for one
    (`nas.driver.measuring_demand`).

    Args:
        config: the configuration of the study.
        home: where the study is.
        measuring: what is measured.
        executor: the executor, opened.
        tick: called several times a second meanwhile.

    Raises:
        ConfigError: no worker has it, and none will come.
    """
    kind = config.throughput.device
    if kind is None or not measuring.objectives or home.storage is not None or config.resources.address is not None:
        return
    own = "cuda" if executor.allocation.gpus else "cpu"
    if kind == own:
        return
    if kind in DEVICE_TYPES:
        labels = [own]
    else:
        labels = [executor.call(worker_label, tick=tick), *(gpu_labels() if own == "cuda" else [])]
    if not any(is_of_kind(label, kind) for label in labels):
        found = " and ".join(repr(label) for label in dict.fromkeys(labels))
        rule = f"throughput.device: no worker can measure on {kind!r}, the devices here are {found}"
        raise ConfigError(config.where("throughput", "device"), f"{rule}; name a part of one, or null for any")


def worker_label(device: str) -> str:
    """The type and the name of the device of a worker; runs there."""
    import torch

    from trainers.device import device_label

    return device_label(torch.device(device))


def gpu_labels() -> list[str]:
    """The types and the names of the GPUs of this machine: one worker sees one of them."""
    import torch

    return [worker_label(f"cuda:{index}") for index in range(torch.cuda.device_count())]
