"""Images per second of a module: the median over repeated forward passes, after a warm-up, with the quartiles.

One pass takes one batch in evaluation mode, without gradients, in the precision of the module's parameters. The clock
stops when the device is done. What else runs on the device is the caller's affair: measure alone.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Throughput:
    """A measurement.

    Args:
        images_per_s: the median over the repeats.
        low, high: the first and the third quartile, images per second.
        batch_size: images a pass.
        threads: threads that torch used on the CPU.
        device: the name of the processor or GPU.
        precision: of the parameters, such as "float32".
        repeats: timed passes.
    """

    images_per_s: float
    low: float
    high: float
    batch_size: int
    threads: int
    device: str
    precision: str
    repeats: int


def measure(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    warmup_s: float = 0.05,
    min_time_s: float = 0.2,
    min_repeats: int = 5,
) -> Throughput:
    """Time `module` on random images.

    Args:
        module: `(B, C, H, W) -> anything`; its mode and device are as before afterwards.
        input_shape: (C, H, W).
        device: where to measure.
        batch_size: B.
        warmup_s: seconds of passes that do not count; one pass at least.
        min_time_s: seconds of passes that count, at least.
        min_repeats: passes that count, at least; 2 or more, for there are quartiles.
    """
    place = torch.device(device)
    if batch_size < 1 or min_repeats < 2:
        raise ValueError(
            f"batch_size must be 1 or more and min_repeats 2 or more, found {batch_size} and {min_repeats}"
        )
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    images = torch.randn(batch_size, *input_shape, generator=torch.Generator().manual_seed(0)).to(place, dtype)
    with _evaluating(module, place), torch.inference_mode():
        _timed(module, images, warmup_s, repeats=1)
        seconds = _timed(module, images, min_time_s, min_repeats)
    slow, median, fast = statistics.quantiles([batch_size / s for s in seconds], n=4, method="inclusive")
    return Throughput(
        images_per_s=median,
        low=slow,
        high=fast,
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        device=device_name(place),
        precision=str(dtype).removeprefix("torch."),
        repeats=len(seconds),
    )


def _timed(module: nn.Module, images: Tensor, min_time_s: float, repeats: int) -> list[float]:
    """Seconds of each pass, of `repeats` and of `min_time_s` in all at least."""
    seconds: list[float] = []
    while len(seconds) < repeats or sum(seconds) < min_time_s:
        _synchronise(images.device)
        start = time.perf_counter()
        module(images)
        _synchronise(images.device)
        seconds.append(time.perf_counter() - start)
    return seconds


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _evaluating(module: nn.Module, device: torch.device) -> Iterator[None]:
    """`module` in evaluation mode on `device`; each of its parts gets its own mode back, and the module its device."""
    modes = {part: part.training for part in module.modules()}
    home = next((parameter.device for parameter in module.parameters()), device)
    try:
        module.eval().to(device)
        yield
    finally:
        module.to(home)
        for part, mode in modes.items():
            part.training = mode


def device_name(device: torch.device) -> str:
    """What the maker calls `device`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if device.type == "cpu" and cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() if device.type == "cpu" else device.type
