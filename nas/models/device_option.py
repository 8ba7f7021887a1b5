"""The option `--device` of commands that run a network: `cpu`, `cuda` or `cuda:NUMBER`. Needs no torch."""

from __future__ import annotations

from nas.errors import UsageError
from nas.execution.resources import count_gpus

OPTION = "--device"


def check_device(name: str | None) -> int:
    """Check a device of this machine; returns the number of GPUs that may be used.

    Args:
        name: "cpu", "cuda" or "cuda:1"; None: a GPU if there is one.

    Raises:
        UsageError: `name` is none of these, or there is no such GPU.
    """
    if name == "cpu":
        return 0
    index = check_device_name(name)
    gpus = count_gpus()
    if name is not None and (index or 0) >= gpus:
        raise UsageError(f"{OPTION}: this machine has {gpus} GPUs that torch can use, found {name!r}")
    return gpus


def check_device_name(name: str | None) -> int | None:
    """Check the form of a device, which may be one of another machine; returns the number of its GPU, if it has one.

    Raises:
        UsageError: it is none of "cpu", "cuda" and "cuda:1".
    """
    if name in (None, "cpu"):
        return None
    kind, colon, index = name.partition(":")
    if kind != "cuda" or (colon and not (index.isascii() and index.isdigit() and len(index) < 4)):
        raise UsageError(f"{OPTION}: must be cpu, cuda or cuda:NUMBER, found {name!r}")
    return int(index) if colon else None


def choose_device(name: str | None) -> str:
    """The device that `name` means on this machine, as torch names it.

    Raises:
        UsageError: as `check_device`.
    """
    gpus = check_device(name)
    return name or ("cuda" if gpus else "cpu")
