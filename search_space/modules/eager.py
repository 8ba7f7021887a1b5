"""When a layer may compute its function by other operations than those of its definition.

On CPUs some of torch's kernels are many times slower than others that give the same numbers: the gradient of the weights of a
wide depthwise convolution, pooling with channels first, the gradient of a convolution from one channel to many. Layers with a
faster way ask here whether to take it. Traced, exported and compiled code uses the definition, which operation counters, other
runtimes and compilers understand; so do all precisions but float32, for which the fast kernels do not exist.
"""

from __future__ import annotations

import torch


def may_rewrite(x: torch.Tensor | torch.fx.Proxy) -> bool:
    """True if operations on `x` run eagerly, in single precision, on the CPU kernels of oneDNN."""
    if torch.compiler.is_compiling() or isinstance(x, torch.fx.Proxy):
        return False
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


def needs_gradients(*tensors: torch.Tensor) -> bool:
    """True if gradients with respect to any of `tensors` may be needed."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
