"""Which weights are exported, and what an export holds beside timm's files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportOptions:
    """Which weights are exported, and what an export holds beside timm's files.

    Args:
        formats: names of further formats, such as "onnx" (`nas.models.formats`); each file is run and compared.
        standalone: a `model.py` in plain torch, which builds and loads the network without mixfront.
        hub: what a repository of the Hugging Face Hub has beside the files of a model: `.gitattributes`.
        retrained: the best-validated retrained network of the trial, instead of that of the search.
    """

    formats: tuple[str, ...] = ()
    standalone: bool = False
    hub: bool = False
    retrained: bool = False
