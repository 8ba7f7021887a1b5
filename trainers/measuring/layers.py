"""Times of many small modules, such as the operators of a search space: a few at a time, alternating with the reference.

That takes far less time than to measure each by itself.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import nn

from trainers.measuring.effort import default_batch_size
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.timing import forward_pass, pass_dtype, time_call, warm_up

LAYERS_PER_GROUP = 8  # layers between two passes of the reference
TURNS_PER_LAYER = 7
MIN_TURN_S = 0.0005  # a layer is repeated within a turn until the turn takes this long

Layer = tuple[nn.Module, tuple[int, int, int]]
"""A module `(B, C, H, W) -> anything` and its (C, H, W)."""


def measure_layers(
    layers: Iterable[Layer],
    *,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    precision: str | None = None,
    max_time_s: float = math.inf,
    reference: ReferenceNetwork | None = None,
) -> list[float]:
    """Time `layers` on random images.

    Args:
        layers: modules with their input shapes; taken one group after another.
        device: where to measure.
        batch_size: B; None: `default_batch_size` of the device.
        precision: as for `trainers.measuring.throughput.measure`.
        max_time_s: seconds after which no other group is started.
        reference: as for `trainers.measuring.throughput.measure`.

    Returns:
        Seconds of a pass of each layer, in order; at least of the first group.
    """
    device, start = torch.device(device), time.perf_counter()
    batch_size = default_batch_size(device.type) if batch_size is None else batch_size
    reference = reference or ReferenceNetwork(device)
    warm_up(reference.time_pass)
    ratios: list[float] = []
    reference_s: list[float] = []
    remaining = iter(layers)
    while group := list(itertools.islice(remaining, LAYERS_PER_GROUP)):
        ratios += _measure_group(group, device, batch_size, precision, reference, reference_s)
        if time.perf_counter() - start > max_time_s:
            break
    if reference.pass_s is None:
        reference.pass_s = statistics.median(reference_s)
    return [ratio * reference.pass_s for ratio in ratios]


def _measure_group(
    group: Iterable[Layer],
    device: torch.device,
    batch_size: int,
    precision: str | None,
    reference: ReferenceNetwork,
    reference_s: list[float],
) -> list[float]:
    """Median over the turns of the seconds of each layer over the reference's; the latter are appended to `reference_s`."""
    with ExitStack() as stack:
        turns = []
        for module, input_shape in group:
            dtype = pass_dtype(module, precision)
            run = stack.enter_context(forward_pass(module, input_shape, device, batch_size, dtype))
            turns.append(_repeat(run, device))
        ratios: list[list[float]] = []
        before = reference.time_pass()
        for _ in range(TURNS_PER_LAYER):
            seconds = [time_call(run, device) / repeats for run, repeats in turns]
            after = reference.time_pass()
            reference_s.append((before + after) / 2)
            ratios.append([layer_s / reference_s[-1] for layer_s in seconds])
            before = after
    return [statistics.median(layer_ratios) for layer_ratios in zip(*ratios, strict=True)]


def _repeat(run: Callable[[], object], device: torch.device) -> tuple[Callable[[], object], int]:
    """`run` repeated until it takes `MIN_TURN_S`, so that the clock and the start of a pass do not count; how many times."""
    run()
    repeats = max(1, round(MIN_TURN_S / min(time_call(run, device) for _ in range(2))))

    def run_repeatedly() -> None:
        for _ in range(repeats):
            run()

    return run_repeatedly, repeats
