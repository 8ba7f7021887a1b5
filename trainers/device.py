"""The name and the condition of a device, and how to wait for it."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

CONTEXT_BYTES = 600 * 2**20
"""What a process takes of a GPU besides its tensors."""


def synchronise(device: torch.device) -> None:
    """Wait until `device` has finished all work given to it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def use_device(device: torch.device, share: float = 1.0) -> None:
    """Make `device` the one of this process, which takes no memory of other GPUs then.

    Args:
        device: of all work of this process.
        share: of the memory of a GPU that this process may use; what the driver takes for the process counts. 0, where no share
            was set, and 1: all of it. Without effect on a CPU.
    """
    if device.type != "cuda":
        return
    if device.index is not None:
        torch.cuda.set_device(device)
    if 0 < share < 1:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(max(share - CONTEXT_BYTES / total, share / 2))


def device_name(device: torch.device) -> str:
    """The name of the processor or GPU, as its maker gives it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return _cpu_field("model name") or platform.processor() or platform.machine()
    return device.type


def device_label(device: torch.device) -> str:
    """The type and the name of `device`, such as "cuda NVIDIA H100 80GB HBM3"."""
    return f"{device.type} {device_name(device)}"


def device_condition(device: torch.device) -> tuple[float | None, float | None]:
    """The clock in MHz and the temperature in degrees Celsius of `device`; None where they are unknown."""
    if device.type == "cuda":
        try:  # both use NVML, a package that may be missing
            return float(torch.cuda.clock_rate(device)), float(torch.cuda.temperature(device))
        except Exception:  # NVML has its own exceptions, and these values are only notes
            return None, None
    clock = _cpu_field("cpu MHz") if device.type == "cpu" else None
    zone = Path("/sys/class/thermal/thermal_zone0/temp")
    try:
        temperature = int(zone.read_text()) / 1000 if device.type == "cpu" else None
    except (OSError, ValueError):
        temperature = None
    return (None if clock is None else float(clock)), temperature


def _cpu_field(name: str) -> str | None:
    """The value of the field `name` of the first processor in Linux's /proc/cpuinfo; None without."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return None
