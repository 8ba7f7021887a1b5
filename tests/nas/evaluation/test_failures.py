"""What is at fault for an error: each class of the table, as the libraries word it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from nas.evaluation import memory_limit
from nas.evaluation.failures import Cause, cause_of, host_memory_bytes, loses_device
from trainers.errors import DataError, DiskError, TrainingError

MACHINE: list[BaseException] = [
    *(
        OSError(number, os.strerror(number))
        for number in (
            errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ESTALE,
            errno.EACCES, errno.EPERM, errno.ENOMEM, errno.ENOENT,
        )
    ),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    DataError("data.safetensors", "cannot be read; remove it and prepare the images again"),
    DiskError("cache", "cannot be read or written (No space left on device)"),
    RuntimeError("unable to mmap 4096 bytes from file <x.safetensors>: Cannot allocate memory (12)"),
    RuntimeError("unable to open shared memory object </torch_1_2> in read-write mode: Too many open files (24)"),
    RuntimeError("can't start new thread"),
    RuntimeError("CUDA error: no CUDA-capable device is detected"),
    RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: initialization error"),
    RuntimeError("CUDA driver version is insufficient for CUDA runtime version"),
    RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp"),
    RuntimeError("Found no NVIDIA driver on your system."),
]  # fmt: skip
EITHER: list[BaseException] = [
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
        " 4096 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("std::bad_alloc"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
]
ARCHITECTURE: list[BaseException] = [
    TrainingError(1, 3, "the loss is not finite, found nan"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),  # on a device without others
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
        f" {10 * host_memory_bytes()} bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x8 and 16x2)"),
    ValueError("bad width"),
    ZeroDivisionError("division by zero"),
    RecursionError("maximum recursion depth exceeded"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        *((error, Cause.MACHINE) for error in MACHINE),
        *((error, Cause.EITHER) for error in EITHER),
        *((error, Cause.ARCHITECTURE) for error in ARCHITECTURE),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_cause(error: BaseException, cause: Cause) -> None:
    assert cause_of(error) is cause


def test_real_errors_of_memory() -> None:
    with pytest.raises(RuntimeError) as torch_error:
        torch.empty(10 * host_memory_bytes(), dtype=torch.uint8).fill_(1)
    assert cause_of(torch_error.value) is Cause.ARCHITECTURE
    with pytest.raises(MemoryError) as numpy_error:
        np.ones(2**50, np.uint8)
    assert cause_of(numpy_error.value) is Cause.EITHER


def test_an_error_counts_as_the_machine_s_it_was_raised_from() -> None:
    error = RuntimeError("the compiler failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert cause_of(error) is Cause.MACHINE
    error.__cause__ = ValueError("bad")
    assert cause_of(error) is Cause.ARCHITECTURE


def test_memory_of_a_gpu_that_others_use(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 2**30
    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 80 GiB"
    )
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 30 * gib)
    for free_gib, cause in ((49, Cause.ARCHITECTURE), (15, Cause.EITHER), (25, Cause.ARCHITECTURE)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free_gib: (free * gib, 80 * gib))
        assert cause_of(error, "cuda") is cause, free_gib  # alone; others have 35 GiB; room, but not in its share


@pytest.mark.parametrize(
    ("text", "is_lost"),
    [
        ("CUDA error: device-side assert triggered", True),
        ("CUDA error: an illegal memory access was encountered", True),
        ("CUDA out of memory. Tried to allocate 20.00 GiB.", False),
        ("CUDA error: out of memory", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_a_process_that_loses_its_device(text: str, is_lost: bool) -> None:
    assert loses_device(RuntimeError(text)) is is_lost


def test_host_memory_is_that_of_the_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "memory.max"
    monkeypatch.setattr(memory_limit, "CGROUP_LIMIT_FILE", file)
    total = host_memory_bytes()
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    file.write_text("max\n")
    assert host_memory_bytes() == total
    file.write_text("1048576\n")
    assert host_memory_bytes() == 1048576
