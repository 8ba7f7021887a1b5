"""`pt2`: the graph of the network and its weights as torch saves them, with any number of images; loaded without mixfront.

    import torch
    network = torch.export.load("model.pt2").module()
    logits = network(images)                                     # float32 (B, C, H, W) -> (B, classes)

It is also what `torch.compile` and AOTInductor take. The metadata are the extra file `metadata.json`:
`torch.export.load(file, extra_files=files := {"metadata.json": ""})`.

**Load only files that you trust.** `torch.export.load` unpickles what the archive says is a pickle: weights and constants,
by `torch.load(weights_only=False)` and `pickle.loads` (torch 2.14, `torch/export/pt2_archive/_package.py`), and a pickle can
execute anything. Here only a file is loaded that this process has just written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nas.models.formats.registry import InputShape, ModelFormat, register

if TYPE_CHECKING:
    import torch
    from torch import nn

METADATA_FILE = "metadata.json"


@register
class Pt2(ModelFormat):
    """An exported program of torch."""

    name: ClassVar[str] = "pt2"
    file_name: ClassVar[str] = "model.pt2"
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def write(self, module: nn.Module, input_shape: InputShape, file: Path, metadata: Mapping[str, str]) -> None:
        import torch

        from nas.models.formats.graph import trace

        program = trace(self.name, module, input_shape, None)
        archive = io.BytesIO()  # torch reports a full disk as an error of its own
        torch.export.save(program, archive, extra_files={METADATA_FILE: json.dumps(dict(metadata))})
        file.write_bytes(archive.getbuffer())

    def load(self, file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch

        network = torch.export.load(io.BytesIO(file.read_bytes())).module()

        def run(images: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                outputs: torch.Tensor = network(images)
            return outputs

        return run
