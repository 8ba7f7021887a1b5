"""Kinds of devices, as the key `throughput.device` names them."""

from __future__ import annotations

import re

DEVICE_TYPES = ("cpu", "cuda")
_ONE_DEVICE = re.compile(r"(cpu|cuda|gpu):\d+", re.IGNORECASE)


def device_kind(text: str) -> str:
    """The kind of device that `text` names: a part of a name, or a type, of which "gpu" is another word for "cuda".

    Raises:
        ValueError: it names one device by its number.
    """
    kind = text.strip()
    if not kind or _ONE_DEVICE.fullmatch(kind):
        rule = "must be a kind of device: a part of its name such as H100, or cpu or cuda"
        raise ValueError(f"{rule} (CUDA_VISIBLE_DEVICES chooses among the GPUs of a machine), found {text!r}")
    lower = kind.casefold()
    if lower == "gpu":
        return "cuda"
    return lower if lower in DEVICE_TYPES else kind


def is_of_kind(device: str, kind: str) -> bool:
    """True if a device is of a kind.

    Args:
        device: the type and the name of the device (`trainers.device.device_label`): "cuda NVIDIA H100 80GB HBM3".
        kind: a part of it in any case, such as "h100" or "cpu".
    """
    return kind.casefold() in device.casefold()
