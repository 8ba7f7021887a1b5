"""What is at fault when a trial fails: its architecture, or the machine.

A failure of the architecture is the outcome of its trial. A failure of the machine ends the search, and its trial stays open:
the same command continues it. An error that may be of either is held until another trial decides (`nas.driver.suspects`).

| error | cause | the search |
|---|---|---|
| any `OSError`: disk or quota full, I/O error, read-only or stale file system, too many files, no permission | machine | ends |
| weights, a checkpoint or the images cannot be read or written (`SafetensorError`, `DataError`) | machine | ends |
| no room for a checkpoint that only saves time | none | the training goes on without it |
| no room for the weights | machine | ends before the training starts, since their room is reserved |
| no more threads or processes; shared memory or a mapped file without memory | machine | ends |
| no CUDA device, driver or NVML failure, ECC error, a device that is lost or busy | machine | ends |
| the worker died, or made no progress, twice (out of memory, killed, crashed, hung) | either | goes on; held |
| memory of the host: `MemoryError`, an allocation that the machine could satisfy | either | goes on; held |
| an allocation larger than the memory of the machine, or above the worker's limit | architecture | goes on |
| CUDA out of memory while other processes use the device | either | goes on; held |
| CUDA out of memory, the device used by this worker alone | architecture | goes on |
| illegal memory access, launch failure, cuDNN or cuBLAS failure | either | goes on, with a new worker; held |
| device-side assert | architecture | goes on, with a new worker |
| a loss or value that is not finite, any other exception | architecture | goes on |

An error counts as its cause (`raise ... from error`) where that is the machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from safetensors import SafetensorError

from nas.errors import message
from nas.evaluation.memory_limit import exceeds_limit, host_memory_bytes
from nas.study.outcomes.failure_kinds import OUT_OF_GPU_MEMORY, OUT_OF_MEMORY, Cause, find_kind
from trainers.errors import DataError, TrainingError

__all__ = ["Cause", "cause_of", "host_memory_bytes", "loses_device"]

MAX_SHARE_OF_OTHERS = 0.1
"""A GPU counts as used by this worker alone while others use at most this share of its memory."""

_ALLOCATION_BYTES = re.compile(r"tried to allocate (\d+) bytes")
_CUDA_REQUEST = re.compile(r"tried to allocate ([\d.]+) ([KMG]iB)", re.IGNORECASE)
_UNIT_BYTES = {"kib": 2**10, "mib": 2**20, "gib": 2**30}


def cause_of(error: BaseException, device: torch.device | str = "cpu", memory_limit: int | None = None) -> Cause:
    """What is at fault for `error`, raised while a trial was evaluated on `device`.

    Args:
        error: the error; what it was raised from counts, too.
        device: of the worker.
        memory_limit: bytes that this process may hold (`nas.evaluation.memory_limit`); None: as many as the machine has.
    """
    causes = [_cause_of_one(cause, torch.device(device), memory_limit) for cause in _chain(error)]
    return next((cause for cause in causes if cause is Cause.MACHINE), causes[0])


def loses_device(error: BaseException) -> bool:
    """True if this process cannot use its GPU after `error`: CUDA reports it again for everything that follows."""
    return any("CUDA" in (text := message(cause)) and _is_lasting(text) for cause in _chain(error))


def _is_lasting(text: str) -> bool:
    kind = find_kind(text)
    if kind is None:
        return False
    return kind.name == "device-side assert" or (kind.name == "CUDA error" and kind.cause is Cause.EITHER)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and the errors that it was raised from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _cause_of_one(error: BaseException, device: torch.device, memory_limit: int | None) -> Cause:
    if isinstance(error, TrainingError):
        return Cause.ARCHITECTURE
    if isinstance(error, OSError | DataError | SafetensorError):
        return Cause.MACHINE
    text = message(error)
    if isinstance(error, MemoryError):
        return Cause.ARCHITECTURE if exceeds_limit(memory_limit) else Cause.EITHER
    is_gpu_memory = isinstance(error, torch.OutOfMemoryError)
    if not is_gpu_memory and not isinstance(
        error, RuntimeError
    ):  # torch raises these, all others come from Python code
        return Cause.ARCHITECTURE
    kind = find_kind(text)
    if is_gpu_memory or (kind is not None and kind.name == OUT_OF_GPU_MEMORY):
        return Cause.EITHER if _others_fill(device, text) else Cause.ARCHITECTURE
    if kind is not None and kind.name == OUT_OF_MEMORY:
        size = _ALLOCATION_BYTES.search(text)
        size_bytes = int(size[1]) if size else 0
        is_too_large = size_bytes > host_memory_bytes() or exceeds_limit(memory_limit, size_bytes)
        return Cause.ARCHITECTURE if is_too_large else Cause.EITHER
    return Cause.ARCHITECTURE if kind is None else kind.cause


def _others_fill(device: torch.device, text: str) -> bool:
    """True if memory of a GPU is short because others use it, and not by the share that this worker may use."""
    if device.type != "cuda":
        return False
    try:
        free, total = torch.cuda.mem_get_info(device)
        own = torch.cuda.memory_reserved(device)
    except RuntimeError:  # the device is lost
        return True
    request = _CUDA_REQUEST.search(text)
    if request is not None and float(request[1]) * _UNIT_BYTES[request[2].lower()] <= free:
        return False  # there was room on the device, but not in the share of this worker
    return total - free - own > MAX_SHARE_OF_OTHERS * total
