"""`onnx`: one file for ONNX Runtime and others, opset 20, with any number of images.

    import onnxruntime
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images})      # float32 (B, C, H, W) -> (B, classes)

The metadata are `session.get_modelmeta().custom_metadata_map`. A model of more than about 1.5 GB has its weights in a second file
beside it, because protobuf ends at 2 GB.
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

OPSET = 20
INPUT, OUTPUT = "images", "logits"
KEPT_NODE_METADATA = "namespace"
"""Of what the exporter notes at each node: the module, for viewers. The rest names files of this machine."""


@register
class Onnx(ModelFormat):
    """ONNX by torch's exporter, run by ONNX Runtime."""

    name: ClassVar[str] = "onnx"
    file_name: ClassVar[str] = "model.onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "onnxscript")
    extra: ClassVar[str] = "onnx"

    def write(self, module: nn.Module, input_shape: InputShape, file: Path, metadata: Mapping[str, str]) -> None:
        import onnx
        import torch

        from nas.models.formats.graph import BATCH, place_of_operator, trace

        program = trace(self.name, module, input_shape, None)
        try:
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: BATCH},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            operator = _unknown_operator(error)
            place = operator and place_of_operator(module, program.run_decompositions(), operator)
            rule = "ONNX has no such operator" if operator else f"torch's exporter fails: {reason(_root(error))}"
            raise FormatRefusedError(self.name, operator, place, rule) from error
        assert converted is not None  # None only if it writes a file itself
        model = converted.model
        for node in model.graph.all_nodes():
            for key in set(node.metadata_props) - {KEPT_NODE_METADATA}:
                del node.metadata_props[key]
        model.metadata_props.update(metadata)
        converted.save(str(file))
        onnx.checker.check_model(str(file), full_check=True)

    def load(self, file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch

        from nas.models.onnx_session import open_session

        try:
            session = open_session(file)
        except Exception as error:  # its exceptions have no common base class
            operator = re.search(r"implementation for (\w+)", str(error))
            name = operator[1] if operator else ""
            raise FormatRefusedError(self.name, name, "", f"ONNX Runtime refuses it: {reason(error)}") from error
        return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _root(error: BaseException) -> BaseException:
    """The error that `error` comes from in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _unknown_operator(error: BaseException) -> str:
    """The operator that the exporter does not know, such as "aten.linalg_inv_ex"; empty if the error names none."""
    operator = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(_root(error)))
    return operator[1] if operator else ""
