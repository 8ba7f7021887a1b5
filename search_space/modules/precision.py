"""The precision of what half precision cannot do: CPUs have no Fourier transform of it, and GPUs only of few sizes."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call


def at_least_single(x: torch.Tensor) -> torch.Tensor:
    """`x` in single precision if it is less precise; double stays double."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def as_complex(pairs: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts along the last axis as complex numbers of at least single precision, `(..., 2) -> (...)`.

    The parts may lie anywhere in memory, as after `module.to(memory_format=torch.channels_last)`.
    """
    return torch.view_as_complex(at_least_single(pairs).contiguous())


def is_half_precision_on_cpu(x: torch.Tensor | torch.fx.Proxy) -> bool:
    """True if convolutions of `x` run in half precision on a CPU, by its dtype or by autocast."""
    if isinstance(x, torch.fx.Proxy):
        return False
    return x.device.type == "cpu" and (x.dtype in (torch.float16, torch.bfloat16) or torch.is_autocast_enabled("cpu"))


def call_in_single_precision(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """`module(x)` with parameters and input in single precision, without autocast; the result in the dtype of `x`."""
    parameters = {name: at_least_single(parameter) for name, parameter in module.named_parameters()}
    with torch.autocast("cpu", enabled=False):
        return functional_call(module, parameters, (at_least_single(x),)).to(x.dtype)
