"""Exports trials of a study as models in use: a folder that timm, ONNX Runtime and a reader understand.

import search_space, timm
model = timm.create_model("local-dir:FOLDER", pretrained=True)

config.json         the configuration that timm reads, with the names of the classes (`timm_files.py`)
model.safetensors   the weights
class_map.txt       the classes in the order of the outputs, for timm's readers (`class_map.py`)
architecture.yaml   the architecture, as text (`architecture_file.py`)
architecture.svg    its drawing (`drawing.py`)
train.yaml          a recipe for timm's `train.py` (`train_file.py`)
provenance.json     study, trial, seeds, versions, data, and each accuracy apart (`provenance.py`)
README.md           the model card (`model_card.py`)

`ExportOptions` adds further formats, a file in plain PyTorch, and what a repository of the Hugging Face Hub has.
"""

from __future__ import annotations

from pathlib import Path

from nas.models.export.class_map import CLASS_MAP_FILE, write_class_map
from nas.models.export.options import ExportOptions
from nas.models.export.provenance import Accuracies, DataOrigin, Provenance
from nas.models.export.run import (
    ExportedModel,
    ModelProgress,
    export_models,
    front_trials,
    pinned_trials,
    retrained_trials,
    trial_folders,
)
from nas.models.export.timm_files import CONFIG_FILE, OUTPUT_TOLERANCE
from nas.study.content import StudyContent

__all__ = [
    "CLASS_MAP_FILE",
    "CONFIG_FILE",
    "OUTPUT_TOLERANCE",
    "Accuracies",
    "DataOrigin",
    "ExportOptions",
    "ExportedModel",
    "ModelProgress",
    "Provenance",
    "export",
    "export_models",
    "front_trials",
    "pinned_trials",
    "retrained_trials",
    "trial_folders",
    "write_class_map",
]

_NO_EXTRAS = ExportOptions()


def export(study: StudyContent, trial: int | str, out: Path | str, options: ExportOptions = _NO_EXTRAS) -> int:
    """Write a trained network as a folder that timm loads, load it through timm and compare the outputs.

        import search_space, timm
        model = timm.create_model("local-dir:FOLDER", pretrained=True)

    Args:
        study: the study.
        trial: the number of the trial, or "best".
        out: a new or empty folder, or an earlier export.
        options: which weights, and what the folder holds beside timm's files.

    Returns:
        The number of the trial.

    Raises:
        UsageError: there is no such trial, it has no trained network, or the folder holds other files.
        StudyError: weights or images are missing, or the outputs differ.
        MachineError: the disk is full or broken; `out` is as it was.
    """
    (exported,) = export_models(study, {trial: Path(out)}, options)
    return exported.trial
