"""Trained networks as files for other runtimes: ONNX, torch's exported programs and ExecuTorch.

    from nas.models.formats import write_artifact
    artifact = write_artifact(network, (3, 224, 224), "onnx", Path("model"))     # model/model.onnx

Each file is run after it was written, and its outputs are compared with those of the network. A format is one file of
`adapters`, which registers it (see `registry`). Importing this package imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import nas.models.formats.adapters  # noqa: F401  (registers the formats)
from nas.models.formats.artifact import Artifact
from nas.models.formats.registry import FORMATS, check_format

if TYPE_CHECKING:
    from nas.models.formats.writing import write_artifact

__all__ = ["FORMATS", "Artifact", "check_format", "write_artifact"]


def __getattr__(name: str) -> object:
    if name == "write_artifact":
        return importlib.import_module("nas.models.formats.writing").write_artifact
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
