"""When a layer may compute its function by other operations than those of its definition.

On CPUs some of torch's kernels are many times slower than others that give the same numbers: the gradient of the weights of a
wide depthwise convolution, pooling with channels first, the gradient of a convolution from one channel to many. Layers with a
faster way ask here whether to take it. Everything else gets the definition:

- traced, exported and compiled code, which operation counters, other runtimes and compilers must understand;
- all precisions but float32, and other devices, for which the fast kernels do not exist;
- empty tensors, which oneDNN refuses in part;
- subclasses of tensors (quantised, distributed, fake), which may not know the operations of the fast way;
- the transforms of `torch.func` and forward-mode differentiation, which need rules for each operation;
- layers with hooks, with parametrised or replaced submodules: a fast way that reads the weights of a submodule does not call it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from search_space.modules.torch_internals import has_global_hooks, has_hooks, is_transforming

PLAIN_TENSORS = (torch.Tensor, nn.Parameter)
PLAIN_MODULES = (nn.Conv2d, nn.Conv3d)


def may_rewrite(x: torch.Tensor | torch.fx.Proxy, *others: torch.Tensor, module: nn.Module | None = None) -> bool:
    """True if operations on `x` and `others` run eagerly, in single precision, on the CPU kernels of oneDNN.

    Args:
        x: the input of the layer.
        others: further tensors that take part: weights, intermediate results.
        module: the submodule whose weights the fast way reads without calling it.
    """
    if not runs_eagerly(x, *others):
        return False
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    if has_global_hooks() or not (module is None or may_bypass(module)):
        return False
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


def runs_eagerly(*tensors: torch.Tensor | torch.fx.Proxy) -> bool:
    """True if operations on `tensors` run at once on numbers: plain tensors, not empty, not traced, not transformed."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transforming():  # type: ignore[attr-defined, no-untyped-call]
        return False
    return all(isinstance(x, torch.Tensor) and type(x) in PLAIN_TENSORS and x.numel() > 0 for x in tensors)


def may_bypass(module: nn.Module) -> bool:
    """True if a call of `module` is no more than its convolution: torch's own class, not parametrised, without hooks."""
    return type(module) in PLAIN_MODULES and not has_hooks(module) and type(module.weight) in PLAIN_TENSORS


def graph_node(module: nn.Module, x: torch.fx.Proxy) -> torch.fx.Proxy:
    """The call of `module` as one node of the graph that `torch.fx` traces, for what depends on shapes or on the mode."""
    tracer: Any = x.tracer
    return tracer.create_proxy("call_module", tracer.path_of_module(module), (x,), {})


def needs_gradients(*tensors: torch.Tensor) -> bool:
    """True if gradients with respect to any of `tensors` may be needed."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
