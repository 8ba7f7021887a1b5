"""`executorch`: a file for ExecuTorch, torch's runtime for phones and embedded devices; one image at a time.

    from executorch.runtime import Runtime
    method = Runtime.get().load_program("model.pte").load_method("forward")
    (logits,) = method.execute([image])                          # float32 (1, C, H, W) -> (1, classes)

Memory is planned when the file is written, which is why the number of images is fixed. What XNNPACK, the library of fast kernels
for ARM and x86 processors, can compute is delegated to it; the portable kernels compute the rest. The file holds no metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nas.errors import reason
from nas.models.formats.refusal import FormatRefusedError
from nas.models.formats.registry import InputShape, ModelFormat, register

if TYPE_CHECKING:
    import torch
    from torch import nn


@register
class ExecuTorch(ModelFormat):
    """An ExecuTorch program with XNNPACK's and the portable kernels."""

    name: ClassVar[str] = "executorch"
    file_name: ClassVar[str] = "model.pte"
    packages: ClassVar[tuple[str, ...]] = ("executorch",)
    extra: ClassVar[str] = "executorch"

    def write(self, module: nn.Module, input_shape: InputShape, file: Path, metadata: Mapping[str, str]) -> None:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        from nas.models.formats.graph import place_of_operator, trace

        program = trace(self.name, module, input_shape, 1)
        try:
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
        except Exception as error:  # each of its passes has exceptions of its own
            operator = _operator_without_kernel(error)
            place = operator and place_of_operator(module, program.run_decompositions(), operator)
            raise FormatRefusedError(self.name, operator, place, f"it cannot be lowered: {reason(error)}") from error
        file.write_bytes(lowered.buffer)

    def load(self, file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch
        from executorch.runtime import Runtime

        content = file.read_bytes()
        program = Runtime.get().load_program(content)
        try:
            method = program.load_method("forward")
        except RuntimeError as error:
            raise FormatRefusedError(self.name, "", "", f"its runtime cannot load it: {reason(error)}") from error
        memory = (content, program)  # the method refers to it, and does not keep it

        def run(images: torch.Tensor, _memory: object = memory) -> torch.Tensor:
            try:
                return torch.cat([method.execute((image[None],))[0].clone() for image in images])
            except RuntimeError as error:
                raise FormatRefusedError(self.name, "", "", f"its runtime cannot run it: {reason(error)}") from error

        return run


def _operator_without_kernel(error: BaseException) -> str:
    """The operator for which ExecuTorch has no kernel, such as "aten.linalg_inv_ex"; empty if the error names none."""
    operator = re.search(r"\b(aten|prims)(?:::|\.)(\w+)", str(error))
    return f"{operator[1]}.{operator[2]}" if operator else ""
