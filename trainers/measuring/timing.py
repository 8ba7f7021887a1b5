"""Timed forward passes: how a module is made ready, how a pass is timed, when a device is warm, how precise a median is.

One pass takes one batch, channels last in memory, in evaluation mode, without gradients. The clock stops when the device has
finished.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from trainers.device import synchronise
from trainers.inference import dtype_of, evaluation_mode
from trainers.watchdog import report_progress

MAX_WARM_UP_PASSES = 10
WARM_RATIO = 0.97  # a pass that takes more than this share of the fastest one before it is no longer faster


@contextmanager
def forward_pass(
    module: nn.Module, input_shape: tuple[int, int, int], device: torch.device, batch_size: int, dtype: torch.dtype
) -> Iterator[Callable[[], object]]:
    """Within the block `module` is set up as in use; yields a function that passes one batch of random images through it.

    Args:
        module: `(B, C, H, W) -> anything`; its mode and device are restored at the end.
        input_shape: (C, H, W).
        device: where the passes run.
        batch_size: B.
        dtype: of the passes, by autocast if the parameters are of another.
    """
    own_dtype = dtype_of(module)
    images = torch.randn(batch_size, *input_shape, generator=torch.Generator().manual_seed(0)).to(device, own_dtype)
    images = images.contiguous(memory_format=torch.channels_last)  # as in training
    # cuDNN chooses kernels by trial, as it would in use.
    cudnn_benchmark = torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False)
    autocast = torch.autocast(device.type, dtype, enabled=dtype != own_dtype)
    with evaluation_mode(module, device), torch.inference_mode(), autocast, cudnn_benchmark, _matmul_tf32(device):
        yield lambda: module(images)


def pass_dtype(module: nn.Module, precision: str | None) -> torch.dtype:
    """The dtype called `precision`, such as "bfloat16"; None: the dtype of the parameters of `module`."""
    dtype: torch.dtype = dtype_of(module) if precision is None else getattr(torch, precision)
    return dtype


def time_call(run: Callable[[], object], device: torch.device) -> float:
    """Seconds from the call of `run` until `device` has finished the work."""
    report_progress()
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start


def warm_up(time_pass: Callable[[], float]) -> None:
    """Run passes that do not count, until one is no faster than the fastest before it.

    Args:
        time_pass: runs one pass and returns its seconds.
    """
    fastest = time_pass()
    for _ in range(MAX_WARM_UP_PASSES - 1):
        seconds = time_pass()
        if seconds >= WARM_RATIO * fastest:
            return
        fastest = min(fastest, seconds)


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower end of the 95% confidence interval of the median, the median, and the upper end; by order statistics."""
    ranked = sorted(values)
    count = len(ranked)
    rank = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))  # normal approximation of the binomial
    return ranked[rank], statistics.median(ranked), ranked[count - 1 - rank]


@contextmanager
def _matmul_tf32(device: torch.device) -> Iterator[None]:
    """Within the block matrix products of float32 may use TF32 on a GPU, as convolutions do by default.

    Otherwise a linear layer would seem several times slower than the same 1 x 1 convolution.
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
