"""Throughput and latency of a module: forward passes timed alternately with those of a reference network.

Each pass is divided by the mean of the reference passes before and after it (`trainers.measuring.reference`). The median of
these ratios, times the seconds of a pass of the reference when the study began, is the time of a pass. Passes are repeated
until the confidence interval of the median is narrow enough.

What else runs on the device is the caller's responsibility: measure alone (`trainers.device_lock`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from trainers.device import device_condition, device_name
from trainers.measuring.effort import Effort, default_batch_size
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.timing import forward_pass, median_interval, pass_dtype, time_call, warm_up


@dataclass(frozen=True)
class ThroughputMeasurement:
    """A measured throughput.

    Args:
        images_per_s: from the median over the passes.
        low, high: 95% confidence interval of `images_per_s`.
        batch_size: images per pass.
        threads: threads that torch used on the CPU.
        device: the name of the processor or GPU.
        precision: the dtype of the passes, such as "float32".
        repeats: number of timed passes.
        drift: seconds of a pass of the reference now, divided by those when the study began; 1: no change.
        clock_mhz, temperature_c: of the device during the measurement; None where unknown.
    """

    images_per_s: float
    low: float
    high: float
    batch_size: int
    threads: int
    device: str
    precision: str
    repeats: int
    drift: float
    clock_mhz: float | None
    temperature_c: float | None

    @property
    def latency_ms(self) -> float:
        """Milliseconds per pass."""
        return 1000 * self.batch_size / self.images_per_s


def measure(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    precision: str | None = None,
    effort: Effort | None = None,
    reference: ReferenceNetwork | None = None,
) -> ThroughputMeasurement:
    """Time `module` on random images.

    Args:
        module: `(B, C, H, W) -> anything`; its mode and device are as before afterwards.
        input_shape: (C, H, W).
        device: where to measure.
        batch_size: B, at least 1; None: `default_batch_size` of the device.
        precision: "float32", "bfloat16" or "float16", by autocast if the parameters are of another; None: the parameters'.
        effort: how long to measure; None: the defaults of `Effort`.
        reference: what to time against; its `pass_s` is set if it is None. None: a new one.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    device = torch.device(device)
    batch_size = default_batch_size(device.type) if batch_size is None else batch_size
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
    reference = reference or ReferenceNetwork(device)
    dtype = pass_dtype(module, precision)
    with forward_pass(module, input_shape, device, batch_size, dtype) as run:
        warm_up(lambda: time_call(run, device))
        warm_up(reference.time_pass)
        ratios, reference_s = _alternate(lambda: time_call(run, device), reference.time_pass, effort or Effort())
    if reference.pass_s is None:
        reference.pass_s = statistics.median(reference_s)
    low, median, high = median_interval(ratios)
    clock_mhz, temperature_c = device_condition(device)
    return ThroughputMeasurement(
        images_per_s=batch_size / (median * reference.pass_s),
        low=batch_size / (high * reference.pass_s),
        high=batch_size / (low * reference.pass_s),
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        device=device_name(device),
        precision=str(dtype).removeprefix("torch."),
        repeats=len(ratios),
        drift=statistics.median(reference_s) / reference.pass_s,
        clock_mhz=clock_mhz,
        temperature_c=temperature_c,
    )


def _alternate(
    time_module: Callable[[], float], time_reference: Callable[[], float], effort: Effort
) -> tuple[list[float], list[float]]:
    """Time passes of the module and of the reference alternately.

    Returns:
        Each pass of the module divided by the mean of the reference passes before and after it, and those means in seconds.
    """
    ratios: list[float] = []
    reference_s: list[float] = []
    before, start = time_reference(), time.perf_counter()
    while True:
        seconds = time_module()
        after = time_reference()
        reference_s.append((before + after) / 2)
        ratios.append(seconds / reference_s[-1])
        before, elapsed = after, time.perf_counter() - start
        if len(ratios) < effort.min_repeats or elapsed < effort.min_time_s:
            continue
        if elapsed >= effort.max_time_s or _relative_half_width(ratios) <= effort.interval:
            return ratios, reference_s


def _relative_half_width(ratios: Sequence[float]) -> float:
    low, median, high = median_interval(ratios)
    return (high - low) / 2 / median
