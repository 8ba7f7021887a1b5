"""When a layer may compute its function by other operations than its definition's.

On CPUs some of torch's kernels are many times slower than others that give the same numbers: the gradient of the weights of a
wide depthwise convolution, pooling with channels first, the gradient of a convolution from one channel to many. Layers that know
better ask here. What is traced, exported or compiled stays the definition: that is what counters of operations, other
runtimes and compilers know; so does whatever is not single precision, for which the fast kernels do not exist.
"""

from __future__ import annotations

import torch


def rewritable(x: torch.Tensor | torch.fx.Proxy) -> bool:
    """True if what is done with `x` is run as it is called, in single precision, by the CPU kernels of oneDNN."""
    if torch.compiler.is_compiling() or isinstance(x, torch.fx.Proxy):
        return False
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


def differentiated(*tensors: torch.Tensor) -> bool:
    """True if what is made of `tensors` may be asked for a gradient."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
