"""Training steps by `torch.compile`, for trainings that are long enough to repay it.

GPUs are what it is for, where small networks wait for their kernels to be launched: "reduce-overhead" replays CUDA graphs. On
a CPU the steps of networks of two blocks became 0.73 (lambda) to 1.5 times (wave) as fast, a convolution's 0.9, and took 8 to
41 s to compile (`tests/benchmarks/training.py --limits --forms compiled`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainers.training.config import CompileMode


def compile_module(module: nn.Module, mode: CompileMode) -> Callable[[Tensor], Tensor]:
    """What computes as `module`, with its parameters, for inputs of one shape; compiled when first called.

    What torch cannot compile, such as some complex numbers' gradients, runs as it is. What has been compiled before in this
    process is forgotten: torch keeps eight networks of a class, and would run each later one uncompiled.
    """
    if mode == "off":
        return module
    import torch._dynamo.config as forward
    import torch._functorch.config as backward

    torch.compiler.reset()
    forward.suppress_errors = True
    backward.force_non_lazy_backward_lowering = True  # later it would be too late to run it as it is
    return torch.compile(module, mode=mode, dynamic=False)


def check_compiler(mode: CompileMode, device: torch.device | str) -> None:
    """CompileMode and train a small network, so that a machine without a compiler is found out before it fails every trial.

    Raises:
        Exception: whatever torch raises where it cannot.
    """
    if mode == "off":
        return
    import torch._dynamo.config as forward

    small = nn.Sequential(nn.Linear(8, 8), nn.GELU()).to(device)
    program = compile_module(small, mode)
    with forward.patch(suppress_errors=False):
        program(torch.ones(2, 8, device=device)).sum().backward()
