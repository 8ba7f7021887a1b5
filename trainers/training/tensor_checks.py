"""Checks of tensors that were read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def check_tensors(place: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Check that `found` has the tensors of `expected`, by name.

    Raises:
        ValueError: it has not; the message begins with `place`.
    """
    if found.keys() != expected.keys():
        raise ValueError(f"{place}: must have the tensors of this network")
    for name, value in expected.items():
        if isinstance(value, Tensor):
            check_tensor(f"{place}[{name}]", found[name], value)


def check_tensor(place: str, found: Any, expected: Tensor) -> None:
    """Check that `found` is a dense tensor on the CPU, of the shape and dtype of `expected`.

    Raises:
        ValueError: it is not; the message begins with `place`.
    """
    check_dense(place, found)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        shapes = f"{tuple(expected.shape)} {expected.dtype}, found {tuple(found.shape)} {found.dtype}"
        raise ValueError(f"{place}: must be {shapes}")


def check_finite(place: str, value: Any) -> None:
    """Check that `value` is a tensor of finite numbers.

    Raises:
        ValueError: it is not; the message begins with `place`.
    """
    if not isinstance(value, Tensor) or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{place}: must be finite")


def check_dense(place: str, found: Any) -> None:
    """Check that `found` is a dense tensor on the CPU.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(found, Tensor) or found.layout != torch.strided or found.is_nested or found.device.type != "cpu":
        raise ValueError(f"{place}: must be a dense tensor")
