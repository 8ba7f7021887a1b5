"""ONNX files in ONNX Runtime, on the CPU. onnxruntime is imported when a file is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import UsageError


def open_session(file: Path) -> Any:
    """A session of ONNX Runtime that runs `file` with the threads of torch.

    Raises:
        Exception: whatever ONNX Runtime raises where it refuses the file; its exceptions have no common base class.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # fatal errors; others are exceptions
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def classifier_ports(file: Path, session: Any) -> tuple[Any, Any]:
    """The input and the output of a classifier.

    Raises:
        UsageError: it is another program.
    """
    sources, targets = session.get_inputs(), session.get_outputs()
    rule = "must have one input, float32 (batch, channels, height, width), and one output (batch, classes)"
    found = ", ".join(f"{port.name} {port.type} {port.shape}" for port in (*sources, *targets))
    is_one = len(sources) == len(targets) == 1 and sources[0].type == targets[0].type == "tensor(float)"
    if not is_one or len(sources[0].shape) != 4 or len(targets[0].shape) != 2:
        raise UsageError(f"{file}: {rule}, found {found:.300}")
    sizes = [*sources[0].shape[1:], targets[0].shape[1]]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UsageError(f"{file}: {rule}, all but the batch of a fixed size, found {found:.300}")
    return sources[0], targets[0]


class OnnxModule(nn.Module):
    """An ONNX file, run by ONNX Runtime on the CPU: images `(B, C, H, W)` -> outputs `(B, classes)`.

    Args:
        run: arrays in, arrays out.
    """

    def __init__(self, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self._run = run

    def forward(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._run(images.detach().float().cpu().contiguous().numpy()))
