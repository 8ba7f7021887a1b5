"""Measures networks before they are trained, objective by objective, and times single operators.

Measurements are exclusive if the study says so: trainings on the same device pause meanwhile.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from nas import objectives
from nas.evaluation.settings import MeasuringSettings
from nas.study.limits import find_violation
from nas.study.outcomes.outcome_parts import Measured
from search_space.modules import operators as modules
from search_space.operators import Operator
from trainers.device import device_name
from trainers.device_lock import DeviceLock
from trainers.files import atomic_write
from trainers.input_files import read_json
from trainers.measuring.effort import Effort
from trainers.measuring.layers import measure_layers
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.throughput import ThroughputMeasurement, measure

logger = logging.getLogger(__name__)


class Measurer:
    """Measures networks on one device.

    Args:
        settings: the objectives to measure, and the effort.
        device: "cpu", "cuda" or "cuda:1".
        lock: the lock of that device.
    """

    def __init__(self, settings: MeasuringSettings, device: str, lock: DeviceLock) -> None:
        self.settings = settings
        self.device = torch.device(device)
        self.lock = lock
        self.effort = Effort(settings.min_time_s, max(settings.min_time_s, settings.max_time_s), settings.interval)
        self._reference: ReferenceNetwork | None = None

    def measure(self, network: nn.Module, input_shape: tuple[int, int, int]) -> Measured:
        """Measure the objectives of the settings.

        Args:
            network: `(B, C, H, W) -> (B, classes)`.
            input_shape: (C, H, W).
        """
        if not self.settings.objectives:
            return Measured()
        values: dict[str, float] = {}
        details: dict[str, Mapping[str, object]] = {}
        untrained = UntrainedNetwork(network, input_shape, self.device, self.settings.batch_size, self)
        with self._exclusively() as is_alone:
            for name in self.settings.objectives:
                objective = objectives.get(name)
                measurement = objective.compute(untrained)
                values[name] = measurement.value
                if objective.details_name:
                    disturbed = {} if is_alone or not self.settings.exclusive else {"exclusive": False}
                    details[objective.details_name] = {**measurement.details, **disturbed}
        return Measured(values, details, device_name(self.device))

    def time_operators(self, operators: Sequence[Operator], batch_size: int, max_time_s: float) -> list[float]:
        """Time a pass of `batch_size` images through each of `operators`, in order; in seconds.

        After `max_time_s` no more operators are timed, but the first few always are.
        """
        with self._with_reference() as reference, self._exclusively():
            return measure_layers(
                ((modules.build(operator), (operator.width, *operator.size)) for operator in operators),
                device=self.device,
                batch_size=batch_size,
                precision=self.settings.precision,
                max_time_s=max_time_s,
                reference=reference,
            )

    def violated_limit(self, values: Mapping[str, float]) -> str | None:
        """A description of the limit that the measured `values` violate; None if they satisfy all limits."""
        return find_violation(values, self.settings.limits)

    def time_passes(
        self, network: nn.Module, input_shape: tuple[int, int, int], batch_size: int
    ) -> ThroughputMeasurement:
        """Time passes of `batch_size` images, with the effort of the settings and relative to the reference network."""
        with self._with_reference() as reference:
            return measure(
                network,
                input_shape,
                device=self.device,
                batch_size=batch_size,
                precision=self.settings.precision,
                effort=self.effort,
                reference=reference,
            )

    def _exclusively(self) -> AbstractContextManager[bool]:
        """A context in which trainings on the device pause, if the study says so; yields whether all of them do."""
        return self.lock.exclusive() if self.settings.exclusive else nullcontext(False)

    @contextmanager
    def _with_reference(self) -> Iterator[ReferenceNetwork]:
        """Yield the reference network; save the time of its pass if this block is the first to measure it."""
        if self._reference is None:
            self._reference = ReferenceNetwork(self.device, self._saved_reference_s())
        was_measured = self._reference.pass_s is not None
        yield self._reference
        if not was_measured:
            self._save_reference(self._reference)

    @property
    def _reference_key(self) -> str:
        return f"{device_name(self.device)}, {torch.get_num_threads()} threads, torch {torch.__version__}"

    def _saved_reference_s(self) -> float | None:
        """Seconds of a pass of the reference network at the start of the study, if it was measured on such a device."""
        file = self.settings.reference_file
        return None if file is None else _read_seconds(file).get(self._reference_key)

    def _save_reference(self, reference: ReferenceNetwork) -> None:
        file = self.settings.reference_file
        if file is None or reference.pass_s is None:
            return
        try:
            with atomic_write(file) as temporary:
                seconds = {**_read_seconds(file), self._reference_key: reference.pass_s}
                temporary.write_text(json.dumps(seconds, indent=1))
        except IsADirectoryError as error:  # the next worker measures it again
            logger.warning("%s cannot be written: %s", file, error.strerror)


@dataclass(frozen=True)
class UntrainedNetwork:
    """An untrained network, the argument of measured objectives (`nas.objectives.MeasurableNetwork`)."""

    network: nn.Module
    input_shape: tuple[int, int, int]
    device: torch.device
    batch_size: int
    measurer: Measurer = field(repr=False)

    def timing(self, batch_size: int) -> ThroughputMeasurement:
        """Time passes of `batch_size` images."""
        return self.measurer.time_passes(self.network, self.input_shape, batch_size)


def _read_seconds(file: Path) -> dict[str, float]:
    """What `file` holds; nothing if it is missing or damaged, since the reference network can be measured again."""
    try:
        plain = read_json(file)
    except (OSError, ValueError):
        return {}
    known = plain.items() if isinstance(plain, dict) else ()
    return {key: float(value) for key, value in known if isinstance(value, float) and 0 < value < math.inf}
