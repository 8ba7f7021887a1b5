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

import logging
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
    "export_front",
    "export_models",
    "export_pinned",
    "front_trials",
    "pinned_trials",
    "retrained_trials",
    "trial_folders",
    "write_class_map",
]

logger = logging.getLogger(__name__)

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


def export_pinned(study: StudyContent, out: Path | str, options: ExportOptions = _NO_EXTRAS) -> dict[int, Path]:
    """Export each pinned trial of `study` to `out/trial-NUMBER`, in the order of pins; of retrained models, those that there are.

    The trials, their weights and the folders are checked before anything is written.

    Args:
        study: the study.
        out: the folder to write the models to; it may hold other files.
        options: which weights, and what the folders hold beside timm's files.

    Returns:
        Number of a trial -> the folder of its model.

    Raises:
        UsageError: no trial is pinned, a pinned one has no trained network, or a folder holds other files.
        StudyError, MachineError: as `export`.
    """
    return _export_all(study, pinned_trials(study), Path(out), options)


def export_front(study: StudyContent, out: Path | str, options: ExportOptions = _NO_EXTRAS) -> dict[int, Path]:
    """Export each trial on the front of `study` to `out/trial-NUMBER`, as `export_pinned` does.

    Raises:
        UsageError: the front is empty, or a folder holds other files.
        StudyError, MachineError: as `export`.
    """
    return _export_all(study, front_trials(study), Path(out), options)


def _export_all(study: StudyContent, numbers: list[int], out: Path, options: ExportOptions) -> dict[int, Path]:
    chosen = retrained_trials(study, numbers) if options.retrained else numbers
    if len(chosen) < len(numbers):
        logger.warning("not retrained, and left out: trials %s", sorted(set(numbers) - set(chosen)))
    exported = export_models(study, trial_folders(chosen, out), options)
    return {model.trial: model.folder for model in exported}
