"""The kinds of failures, by the words in which Python, torch, CUDA and executors report them, and what is at fault for each.

Workers decide by this table what is at fault (`nas.evaluation.failures`), the driver whether failures are alike, and pages group
failed trials by it. The first row whose pattern is found in a message counts; a message without a row is that of an exception
that Python code has raised, for which the architecture is at fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Cause(Enum):
    """What is at fault."""

    ARCHITECTURE = "architecture"
    MACHINE = "machine"
    EITHER = "either"


@dataclass(frozen=True)
class FailureKind:
    """A kind of failures.

    Args:
        name: the kind in a few words; several rows may have the same name.
        pattern: finds the kind in a message.
        cause: what is at fault, as far as the message says.
        advice: what to look at if all trials fail so; empty: nothing in particular.
    """

    name: str
    pattern: re.Pattern[str]
    cause: Cause
    advice: str = ""


OUT_OF_GPU_MEMORY = "out of GPU memory"
OUT_OF_MEMORY = "out of memory"
NO_PROGRESS = "no progress"
MAX_KIND_LENGTH = 100

_FEWER_WORKERS = "fewer `resources.workers`, or a smaller `train.batch_size`, take less memory"
_LOGS = "MIXFRONT_LOG=info shows the logs of the workers"


def _kind(name: str, pattern: str, cause: Cause, advice: str = "") -> FailureKind:
    return FailureKind(name, re.compile(pattern, re.IGNORECASE), cause, advice)


KINDS: tuple[FailureKind, ...] = (
    _kind(
        OUT_OF_GPU_MEMORY,
        r"cuda out of memory|torch\.OutOfMemoryError|^OutOfMemoryError|(cublas|cudnn)_status_alloc_failed"
        r"|cuda error: out of memory",
        Cause.EITHER,
        f"nvidia-smi shows who uses the memory; {_FEWER_WORKERS}",
    ),
    _kind("device-side assert", r"device-side assert", Cause.ARCHITECTURE),
    _kind(
        "no usable GPU",
        r"no cuda-capable device|no nvidia driver|driver version is insufficient|driver shutting down|nvml"
        r"|uncorrectable|\becc\b|initialization error|initialization failed|invalid device ordinal|busy or unavailable"
        r"|system not yet initialized|device unavailable|device is lost|fallen off the bus|hardware stack error",
        Cause.MACHINE,
        "nvidia-smi shows the state of the GPUs",
    ),
    _kind(
        "no room on the disk",
        r"no space left|quota exceeded|file too large",
        Cause.MACHINE,
        "`df -h` shows the room on the disks",
    ),
    _kind(
        "a disk or a limit of the machine",
        r"can't start new thread|resource temporarily unavailable|too many open files|input/output error"
        r"|read-only file system|stale file handle|unable to mmap|unable to open file|unable to write to file"
        r"|unable to open shared memory",
        Cause.MACHINE,
        "`ulimit -a` shows the limits",
    ),
    _kind(
        OUT_OF_MEMORY,
        r"^out of memory|MemoryError|DefaultCPUAllocator|cannot allocate memory|std::bad_alloc|not enough memory",
        Cause.EITHER,
        _FEWER_WORKERS,
    ),
    _kind("an objective missing or not finite", r"an objective is missing", Cause.ARCHITECTURE),
    _kind(
        "loss not finite",
        r"not finite|\bnan\b",
        Cause.ARCHITECTURE,
        "a lower `train.lr`, a longer `train.warmup_epochs` or `train.grad_clip` make trainings stable",
    ),
    _kind(
        NO_PROGRESS,
        r"^no progress",
        Cause.EITHER,
        "error.txt shows where the trial was; `resources.max_silence` is the longest time without progress",
    ),
    _kind("the worker crashed", r"worker died.*\(signal (4|6|7|8|11)\)", Cause.EITHER, _LOGS),
    _kind("the worker ended itself", r"worker died \(exit code", Cause.EITHER, _LOGS),
    _kind("the worker died, possibly out of memory", r"worker died", Cause.EITHER, f"{_FEWER_WORKERS}; {_LOGS}"),
    _kind("lost with its node", r"^lost \d+ times", Cause.MACHINE, "the logs of the cluster say why nodes are lost"),
    _kind(
        "CUDA error",
        r"cuda error|cuda driver error|unspecified launch failure|illegal memory access|misaligned address"
        r"|cudnn_status_(?!not_supported)|cublas_status_(?!not_supported)|cufft_(?!invalid)|cusolver_status_",
        Cause.EITHER,
    ),
    _kind("CUDA error", r"CUDA|cuDNN|cuBLAS", Cause.ARCHITECTURE),
)
"""The first row that fits counts."""

_FILE = re.compile(r" \(see trials/.*\)$")


def find_kind(message: str) -> FailureKind | None:
    """The row of the table that `message` fits; None: it fits none."""
    return next((kind for kind in KINDS if kind.pattern.search(message)), None)


def short_reason(reason: object) -> str:
    """The name of the kind of a recorded `reason`; the text itself, shortened, where there is none."""
    text = without_file(str(reason or "no reason recorded"))
    kind = find_kind(text)
    name = text if kind is None else kind.name
    return name if len(name) <= MAX_KIND_LENGTH else f"{name[: MAX_KIND_LENGTH - 3]}..."


def kind_of(reason: str) -> str:
    """What failures of the same kind have in common: the name of the kind, or else the text without its numbers."""
    return (
        re.sub(r"\d+", "N", short_reason(reason)) if find_kind(without_file(reason)) is None else short_reason(reason)
    )


def without_file(reason: str) -> str:
    """`reason` without the name of the file that holds the traceback."""
    return _FILE.sub("", reason)
