"""Training steps by `torch.compile`, for trainings that are long enough to repay the time of compiling.

Compilation is meant for GPUs, where small networks wait for their kernels to be launched: "reduce-overhead" replays CUDA
graphs. On a CPU the steps of networks of two blocks became 0.73 (lambda) to 1.5 times (wave) as fast, a convolution's 0.9,
and took 8 to 41 s to compile (`tests/benchmarks/training.py --limits --variants compiled`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainers.torch_internals import compiler_settings
from trainers.training.config import CompileMode


def compile_module(module: nn.Module, mode: CompileMode) -> Callable[[Tensor], Tensor]:
    """A function that computes what `module` does, with its parameters; compiled at its first call.

    What torch cannot compile, such as some gradients of complex numbers, runs uncompiled. All that has been compiled before
    in this process is forgotten: torch keeps eight networks of a class, and would run each later one uncompiled.

    Args:
        module: one tensor -> one tensor.
        mode: "off" returns the module itself.
    """
    if mode == "off":
        return module
    torch.compiler.reset()
    return _CompiledModule(module, mode)


class _CompiledModule:
    """A compiled module. torch's settings are changed only during calls that may compile, not for the whole process."""

    def __init__(self, module: nn.Module, mode: CompileMode) -> None:
        self._module = module
        self._program = torch.compile(module, mode=mode, dynamic=False)
        self._compiled_for: set[tuple[Any, ...]] = set()

    def __call__(self, x: Tensor) -> Tensor:
        # torch compiles anew for each of these; changing its settings at each step would take 30 microseconds.
        key = (x.shape, x.stride(), x.dtype, x.device, self._module.training, torch.is_grad_enabled())
        if key in self._compiled_for:
            return self._program(x)
        with compiler_settings(suppress_errors=True):
            result = self._program(x)
        self._compiled_for.add(key)
        return result


def check_compiler(mode: CompileMode, device: torch.device | str) -> None:
    """Compile and train a small network, so that a machine without a compiler is noticed before it fails every trial.

    Raises:
        Exception: whatever torch raises where it cannot compile.
    """
    if mode == "off":
        return
    torch.compiler.reset()
    module = nn.Sequential(nn.Linear(8, 8), nn.GELU()).to(device)
    program = torch.compile(module, mode=mode, dynamic=False)
    with compiler_settings(suppress_errors=False):
        program(torch.ones(2, 8, device=device)).sum().backward()
