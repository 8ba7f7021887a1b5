"""How fast a module is: forward passes timed against those of a fixed reference network, turn by turn.

One pass takes one batch, channels last in memory, in evaluation mode, without gradients. The clock stops when the device is
done. A machine becomes slower and faster from one minute to the next (clocks, heat, neighbours), and the reference with it:
each pass is divided by the mean of the reference passes before and after it, and the median of these ratios, times what a
pass of the reference took when the study began, is the time of a pass. Passes go on until the median is known well enough.

What else runs on the device is the caller's affair: measure alone (`trainers.device_lock`).
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from trainers.device import condition, device_name, synchronise
from trainers.inference import dtype_of, evaluation_mode
from trainers.measuring.effort import Effort

WARM_UPS = 10  # passes at most, until they become no faster
LAYERS_PER_GROUP = 8  # layers between two passes of the reference
TURNS = 7  # of each layer
PASS_S = 0.0005  # a layer is repeated until a pass takes as long


@dataclass(frozen=True)
class ThroughputMeasurement:
    """A measurement.

    Args:
        images_per_s: from the median over the repeats.
        low, high: 95% confidence interval of the median.
        batch_size: images a pass.
        threads: threads that torch used on the CPU.
        device: the name of the processor or GPU.
        precision: of the passes, such as "float32".
        repeats: timed passes.
        drift: how much longer the reference took than when the study began: 1 is as long.
        clock_mhz, temperature_c: of the device during the measurement, where they are known.
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
        """Milliseconds a pass."""
        return 1000 * self.batch_size / self.images_per_s


class ReferenceNetwork:
    """The fixed network that others are timed against: depthwise and pointwise convolutions, norms, GELU.

    Args:
        device: where it runs.
        pass_s: what a pass takes when the machine is as it was at first; None: as it is at the first `measure`.
    """

    def __init__(self, device: torch.device | str = "cpu", pass_s: float | None = None) -> None:
        self.device = torch.device(device)
        self.pass_s = pass_s
        # About a millisecond on one core and on a large GPU.
        width, batch = (256, 128) if self.device.type == "cuda" else (64, 16)
        block: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(2):
                block += [nn.Conv2d(width, width, 5, padding=2, groups=width), nn.GELU(), nn.BatchNorm2d(width)]
                block += [nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width)]
            self.network = nn.Sequential(nn.Conv2d(3, width, 4, 4), *block).eval().to(self.device)
            self.images = torch.randn(batch, 3, 32, 32).to(self.device)

    def time_pass(self) -> float:
        """Seconds of a pass now: the same work in whatever block this is called."""
        always = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False), always:
            return _timed(lambda: self.network(self.images), self.device)


def measure(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    precision: str | None = None,
    effort: Effort | None = None,
    reference: ReferenceNetwork | None = None,
) -> ThroughputMeasurement:
    """Time `module` on random images.

    Args:
        module: `(B, C, H, W) -> anything`; its mode and device are as before afterwards.
        input_shape: (C, H, W).
        device: where to measure.
        batch_size: B.
        precision: "float32", "bfloat16", "float16": by autocast, if the parameters are of another; None: the parameters'.
        effort: how long.
        reference: what to time it against; its `seconds` are set if they are not known. None: a new one.
    """
    place = torch.device(device)
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
    reference = reference or ReferenceNetwork(place)
    wanted = _dtype(module, precision)
    with prepared(module, input_shape, place, batch_size, wanted) as run:
        warm_up(lambda: _timed(run, place))
        warm_up(reference.time_pass)
        ratios, beside = _alternate(lambda: _timed(run, place), reference.time_pass, effort or Effort())
    if reference.pass_s is None:
        reference.pass_s = statistics.median(beside)
    low, middle, high = median_interval(ratios)
    clock_mhz, temperature_c = condition(place)
    return ThroughputMeasurement(
        images_per_s=batch_size / (middle * reference.pass_s),
        low=batch_size / (high * reference.pass_s),
        high=batch_size / (low * reference.pass_s),
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        device=device_name(place),
        precision=str(wanted).removeprefix("torch."),
        repeats=len(ratios),
        drift=statistics.median(beside) / reference.pass_s,
        clock_mhz=clock_mhz,
        temperature_c=temperature_c,
    )


def measure_layers(
    layers: Iterable[tuple[nn.Module, tuple[int, int, int]]],
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    precision: str | None = None,
    max_time_s: float = math.inf,
    reference: ReferenceNetwork | None = None,
) -> list[float]:
    """Time many small modules, a few at a time, in turns with the reference: far quicker than each by itself.

    Args:
        layers: modules `(B, C, H, W) -> anything`, each with its (C, H, W).
        device: where to measure.
        batch_size: B.
        precision: as of `measure`.
        reference: likewise.
        max_time_s: seconds after which no more are begun.

    Returns:
        Seconds of a pass of each, in order; of the first few at least.
    """
    place, begun = torch.device(device), time.perf_counter()
    reference = reference or ReferenceNetwork(place)
    warm_up(reference.time_pass)
    found: list[float] = []
    beside: list[float] = []
    waiting = iter(layers)
    while group := list(itertools.islice(waiting, LAYERS_PER_GROUP)):
        with ExitStack() as stack:
            runs = []
            for module, input_shape in group:
                wanted = _dtype(module, precision)
                run = stack.enter_context(prepared(module, input_shape, place, batch_size, wanted))
                runs.append(_repeated(run, place))
            turns = []
            before = reference.time_pass()
            for _ in range(TURNS):
                seconds = [_timed(run, place) / times for run, times in runs]
                after = reference.time_pass()
                beside.append((before + after) / 2)
                turns.append([one / beside[-1] for one in seconds])
                before = after
        found += [statistics.median(ratios) for ratios in zip(*turns, strict=True)]
        if time.perf_counter() - begun > max_time_s:
            break
    if reference.pass_s is None:
        reference.pass_s = statistics.median(beside)
    return [ratio * reference.pass_s for ratio in found]


def _repeated(run: Callable[[], object], device: torch.device) -> tuple[Callable[[], object], int]:
    """`run` so many times in a row that it takes `PASS_S`: the clock and the start of a pass then count for nothing."""
    run()
    times = max(1, round(PASS_S / min(_timed(run, device) for _ in range(2))))

    def several() -> None:
        for _ in range(times):
            run()

    return several, times


def _dtype(module: nn.Module, precision: str | None) -> torch.dtype:
    found: torch.dtype = dtype_of(module) if precision is None else getattr(torch, precision)
    return found


@contextmanager
def prepared(
    module: nn.Module, input_shape: tuple[int, int, int], device: torch.device, batch_size: int, dtype: torch.dtype
) -> Iterator[Callable[[], object]]:
    """Within this block `module` is as it would be in use; gives what takes a pass of random images through it."""
    own = dtype_of(module)
    images = torch.randn(batch_size, *input_shape, generator=torch.Generator().manual_seed(0)).to(device, own)
    images = images.contiguous(memory_format=torch.channels_last)  # as in training
    # Kernels as they would be chosen in use.
    trying = torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False)
    cast = torch.autocast(device.type, dtype, enabled=dtype != own)
    with evaluation_mode(module, device), torch.inference_mode(), cast, trying, _as_convolutions(device):
        yield lambda: module(images)


@contextmanager
def _as_convolutions(device: torch.device) -> Iterator[None]:
    """Matrix products of float32 are as exact as convolutions: those take a GPU's TF32 by default, and were they alone in it, a
    linear layer would seem several times slower than the same 1 x 1 convolution.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _alternate(
    timed: Callable[[], float], reference: Callable[[], float], effort: Effort
) -> tuple[list[float], list[float]]:
    """Passes as shares of the reference's, of which the mean of those before and after counts, and the seconds of that."""
    ratios: list[float] = []
    beside: list[float] = []
    before, start = reference(), time.perf_counter()
    while True:
        seconds = timed()
        after = reference()
        beside.append((before + after) / 2)
        ratios.append(seconds / beside[-1])
        before, spent = after, time.perf_counter() - start
        if len(ratios) < effort.min_repeats or spent < effort.min_time_s:
            continue
        if spent >= effort.max_time_s or _half_width(ratios) <= effort.interval:
            return ratios, beside


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The 95% confidence interval of the median, by order statistics, around the median of `values`."""
    ranked = sorted(values)
    count = len(ranked)
    below = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))  # normal approximation of the binomial
    return ranked[below], statistics.median(ranked), ranked[count - 1 - below]


def _half_width(ratios: Sequence[float]) -> float:
    low, middle, high = median_interval(ratios)
    return (high - low) / 2 / middle


def warm_up(timed: Callable[[], float]) -> None:
    """Passes that do not count, until one is no faster than the fastest before it."""
    fastest = timed()
    for _ in range(WARM_UPS - 1):
        seconds = timed()
        if seconds >= 0.97 * fastest:
            return
        fastest = min(fastest, seconds)


def _timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done what `run` asks for."""
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start
