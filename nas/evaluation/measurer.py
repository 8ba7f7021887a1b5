"""What a worker measures of a network before it trains it: throughput, latency, memory; and the operators of networks.

Alone on its device.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas import objectives
from nas.evaluation.settings import Measuring
from search_space.modules import operators as modules
from search_space.operators import Operator
from trainers.device import device_name
from trainers.device_lock import DeviceLock
from trainers.files import atomic_write
from trainers.measuring.effort import Effort
from trainers.measuring.layers import measure_layers
from trainers.measuring.memory import peak_memory_bytes
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.throughput import ThroughputMeasurement, measure


class Measurer:
    """Measures network after network on one device.

    Args:
        setting: what, and how.
        device: where.
        device_lock: the lock of the device.
    """

    def __init__(self, setting: Measuring, device: str, device_lock: DeviceLock) -> None:
        self.setting = setting
        self.device = torch.device(device)
        self.device_lock = device_lock
        self.effort = Effort(setting.min_time_s, max(setting.min_time_s, setting.max_time_s), setting.interval)
        self._reference: ReferenceNetwork | None = None

    def __call__(self, network: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, Any]:
        """The trial's attributes: what was measured of `network` on images of `input_shape` (C, H, W)."""
        setting = self.setting
        if not setting.names:
            return {}
        found: dict[str, Any] = {"device": device_name(self.device)}
        with self._alone():
            if "images_per_s" in setting.names:
                speed = self._timed(network, input_shape, setting.batch_size)
                found |= {"images_per_s": speed.images_per_s, "throughput": _details(speed)}
            if "latency_ms" in setting.names:
                one = self._timed(network, input_shape, 1)
                found |= {"latency_ms": one.latency_ms, "latency": _details(one)}
            if "peak_memory_bytes" in setting.names:
                found["peak_memory_bytes"] = peak_memory_bytes(
                    network, input_shape, device=self.device, batch_size=setting.batch_size
                )
        return found

    def operators(self, wanted: Sequence[Operator], batch_size: int, max_time_s: float) -> list[float]:
        """Seconds of a pass of `batch_size` images through each of `wanted`, in order.

        Of fewer where `max_time_s` have passed, of the first few at least.
        """
        with self._against() as reference, self._alone():
            return measure_layers(
                ((modules.build(operator), (operator.width, *operator.size)) for operator in wanted),
                device=self.device,
                batch_size=batch_size,
                precision=self.setting.precision,
                max_time_s=max_time_s,
                reference=reference,
            )

    def broken_limit(self, found: dict[str, Any]) -> str | None:
        """The limit that a network of these attributes breaks, in words; None if it keeps all."""
        for name, limit in self.setting.limits.items():
            if objectives.get(name).misses(found[name], limit):
                return f"limit {name}: {found[name]:.4g} {'<' if found[name] < limit else '>'} {limit:g}"
        return None

    def _timed(self, network: nn.Module, input_shape: tuple[int, int, int], batch_size: int) -> ThroughputMeasurement:
        with self._against() as reference:
            return measure(
                network,
                input_shape,
                device=self.device,
                batch_size=batch_size,
                precision=self.setting.precision,
                effort=self.effort,
                reference=reference,
            )

    def _alone(self) -> AbstractContextManager[None]:
        """Within this block trainings stand still, if the study has it so."""
        return self.device_lock.exclusive() if self.setting.exclusive else nullcontext()

    @contextmanager
    def _against(self) -> Iterator[ReferenceNetwork]:
        """What to measure against; what a pass of it takes is remembered if this block finds it out."""
        if self._reference is None:
            self._reference = ReferenceNetwork(self.device, self._remembered())
        known = self._reference.pass_s is not None
        yield self._reference
        if not known:
            self._remember(self._reference)

    @property
    def _key(self) -> str:
        return f"{device_name(self.device)}, {torch.get_num_threads()} threads, torch {torch.__version__}"

    def _remembered(self) -> float | None:
        """What a pass of the reference took when the study began, if it has been measured on such a device."""
        file = self.setting.reference_file
        return None if file is None else _read(file).get(self._key)

    def _remember(self, reference: ReferenceNetwork) -> None:
        file = self.setting.reference_file
        if file is None or reference.pass_s is None:
            return
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps({**_read(file), self._key: reference.pass_s}, indent=1))


def _read(file: Path) -> dict[str, float]:
    try:
        return dict(json.loads(file.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def _details(speed: ThroughputMeasurement) -> dict[str, Any]:
    """How a figure came about, and how well it is known."""
    low, high = speed.low, speed.high
    return {
        "images_per_s_interval": [low, high],
        "batch_size": speed.batch_size,
        "threads": speed.threads,
        "precision": speed.precision,
        "repeats": speed.repeats,
        "drift": speed.drift,
        "clock_mhz": speed.clock_mhz,
        "temperature_c": speed.temperature_c,
    }
