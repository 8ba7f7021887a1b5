"""The graph of a network, as `torch.export` traces it: what each format begins with."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.errors import reason
from nas.models.formats.refusal import FormatRefusedError
from nas.models.formats.registry import InputShape
from search_space.modules.network import Network

BATCH = "batch"
"""The name of the one axis whose size is free."""


@contextmanager
def exporting() -> Iterator[None]:
    """Within the block networks can be traced and exported, and no library logs its progress or prints what it refuses.

    Of attention, torch's fused kernel and its definition lay their results out in memory in different ways. A graph in which
    the layout of the one was noted as a view cannot be decomposed into the other, so both steps see the definition. The graph
    has a call of attention in any case: what runs it chooses the kernel.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        logging.disable(before)


@torch.no_grad()
def trace(format_name: str, module: nn.Module, input_shape: InputShape, batch_size: int | None) -> ExportedProgram:
    """The graph of `module`, `(B, *input_shape) -> outputs`, without names of files of this machine.

    Args:
        format_name: for the error.
        module: the network, in evaluation mode.
        input_shape: (C, H, W).
        batch_size: B; None: any.

    Raises:
        FormatRefusedError: torch cannot trace the module.
    """
    images = torch.zeros(batch_size or 2, *input_shape)  # of 1, torch would take the size for fixed
    shapes = None if batch_size else ({0: Dim(BATCH, min=1)},)
    try:
        program = torch.export.export(module, (images,), dynamic_shapes=shapes)
    except Exception as error:  # each rule of the tracer has an exception of its own
        place = _failing_place(module, images, shapes)
        raise FormatRefusedError(format_name, "", place, f"torch.export cannot trace it: {reason(error)}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def _failing_place(module: nn.Module, images: torch.Tensor, shapes: tuple[dict[int, Dim]] | None) -> str:
    """The place of the innermost module in which tracing fails."""
    entered: list[str] = []
    hooks = []
    for name, child in module.named_modules():
        hooks.append(child.register_forward_pre_hook(lambda *_, name=name: entered.append(name)))
        hooks.append(child.register_forward_hook(lambda *_: entered.pop() and None))
    try:
        torch.export.export(module, (images,), dynamic_shapes=shapes)
    except Exception:
        return place_of(module, entered[-1]) if entered else ""
    finally:
        for hook in hooks:
            hook.remove()
    return ""


def place_of_operator(module: nn.Module, program: ExportedProgram, operator: str) -> str:
    """The place of the first module of `program`, the graph of `module`, that calls `operator`; empty if none is known to.

    Args:
        module: the network.
        program: its graph, decomposed or not.
        operator: such as "aten.linalg_inv_ex"; with an overload or without.
    """
    for node in program.graph.nodes:
        if node.op == "call_function" and str(node.target).startswith(operator):
            paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
            return place_of(module, paths[-1]) if paths else ""
    return ""


def place_of(module: nn.Module, path: str) -> str:
    """`stages.0.blocks.1.mixer (mixer 'fnet')`: the path of a submodule of a network, and the token mixer of its stage."""
    stage = re.match(r"stages\.(\d+)\.", path)
    if not stage or not isinstance(module, Network):
        return path
    return f"{path} (mixer {module.architecture.stages[int(stage[1])].mixer.name!r})"
