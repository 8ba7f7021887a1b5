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
| the worker died twice (out of memory, killed, crashed) | either | goes on; held |
| memory of the host: `MemoryError`, an allocation that the machine could satisfy | either | goes on; held |
| an allocation larger than the memory of the machine | architecture | goes on |
| CUDA out of memory while other processes use the device | either | goes on; held |
| CUDA out of memory, the device used by this worker alone | architecture | goes on |
| illegal memory access, launch failure, cuDNN or cuBLAS failure | either | goes on, with a new worker; held |
| device-side assert | architecture | goes on, with a new worker |
| a loss or value that is not finite, any other exception | architecture | goes on |

An error counts as its cause (`raise ... from error`) where that is the machine's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import torch
from safetensors import SafetensorError

from trainers.errors import DataError, TrainingError

MAX_SHARE_OF_OTHERS = 0.1
"""A GPU counts as used by this worker alone while others use at most this share of its memory."""

CGROUP_LIMIT_FILE = Path("/sys/fs/cgroup/memory.max")


class Cause(Enum):
    """What is at fault."""

    ARCHITECTURE = "architecture"
    MACHINE = "machine"
    EITHER = "either"


_MACHINE = re.compile(
    r"no cuda-capable device|no nvidia driver|driver version is insufficient|driver shutting down|nvml"
    r"|uncorrectable|\becc\b|initialization error|initialization failed|invalid device ordinal|busy or unavailable"
    r"|system not yet initialized|device unavailable|device is lost|fallen off the bus|hardware stack error"
    r"|can't start new thread|resource temporarily unavailable|too many open files|no space left on device"
    r"|disk quota exceeded|input/output error|read-only file system|stale file handle"
    r"|unable to mmap|unable to open file|unable to write to file|unable to open shared memory",
    re.IGNORECASE,
)
_DEVICE_ASSERT = re.compile(r"device-side assert", re.IGNORECASE)
_DEVICE = re.compile(
    r"cuda error|cuda driver error|unspecified launch failure|illegal memory access|misaligned address"
    r"|cudnn_status_(?!not_supported)|cublas_status_(?!not_supported)|cufft_(?!invalid)|cusolver_status_",
    re.IGNORECASE,
)
_HOST_MEMORY = re.compile(r"defaultcpuallocator|cannot allocate memory|std::bad_alloc|not enough memory", re.IGNORECASE)
_ALLOCATION_BYTES = re.compile(r"tried to allocate (\d+) bytes")
_CUDA_REQUEST = re.compile(r"tried to allocate ([\d.]+) ([KMG]iB)", re.IGNORECASE)
_UNIT_BYTES = {"kib": 2**10, "mib": 2**20, "gib": 2**30}
_DEVICE_MEMORY = re.compile(r"cuda out of memory|(cublas|cudnn)_status_alloc_failed|cuda error: out of memory", re.I)


def cause_of(error: BaseException, device: torch.device | str = "cpu") -> Cause:
    """What is at fault for `error`, raised while a trial was evaluated on `device`."""
    causes = [_cause_of_one(cause, torch.device(device)) for cause in _chain(error)]
    return next((cause for cause in causes if cause is Cause.MACHINE), causes[0])


def loses_device(error: BaseException) -> bool:
    """True if this process cannot use its GPU after `error`: CUDA reports it again for everything that follows."""
    texts = [str(cause) for cause in _chain(error)]
    lost = [text for text in texts if _DEVICE.search(text) or _DEVICE_ASSERT.search(text)]
    return any("CUDA" in text and not _DEVICE_MEMORY.search(text) for text in lost)


def host_memory_bytes() -> int:
    """The memory of this machine, or of the control group of this process where that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(total, int(CGROUP_LIMIT_FILE.read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return total


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and the errors that it was raised from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _cause_of_one(error: BaseException, device: torch.device) -> Cause:
    text = str(error)
    if isinstance(error, TrainingError):
        return Cause.ARCHITECTURE
    if isinstance(error, OSError | DataError | SafetensorError):
        return Cause.MACHINE
    if isinstance(error, torch.OutOfMemoryError) or _DEVICE_MEMORY.search(text):
        return Cause.EITHER if _others_fill(device, text) else Cause.ARCHITECTURE
    if isinstance(error, MemoryError):
        return Cause.EITHER
    if not isinstance(error, RuntimeError):  # torch raises these, all others come from Python code
        return Cause.ARCHITECTURE
    if _DEVICE_ASSERT.search(text):
        return Cause.ARCHITECTURE
    if _MACHINE.search(text):
        return Cause.MACHINE
    if _HOST_MEMORY.search(text):
        size = _ALLOCATION_BYTES.search(text)
        return Cause.ARCHITECTURE if size and int(size[1]) > host_memory_bytes() else Cause.EITHER
    return Cause.EITHER if _DEVICE.search(text) else Cause.ARCHITECTURE


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
