"""The export of trials: everything is checked first, then each model is written as a whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from nas.analysis.results import Results
from nas.errors import MachineError, StudyError, UsageError
from nas.models.export.architecture_file import ARCHITECTURE_FILE, write_architecture
from nas.models.export.artifacts import write_artifacts
from nas.models.export.class_map import CLASS_MAP_FILE, write_class_map
from nas.models.export.drawing import DRAWING_FILE, write_drawing
from nas.models.export.hub import ATTRIBUTES_FILE, write_attributes
from nas.models.export.model_card import CARD_FILE, write_card
from nas.models.export.options import ExportOptions
from nas.models.export.provenance import PROVENANCE_FILE, Accuracies, Provenance, write_provenance
from nas.models.export.timm_files import CONFIG_FILE, WEIGHTS_FILE, is_export, verify_timm_files, write_timm_files
from nas.models.export.train_file import TRAIN_FILE, write_train_file
from nas.models.export.trained_model import TrainedModel, best_run, best_runs, complete_trial
from nas.models.formats import FORMATS, Artifact, check_format
from nas.models.images import study_dataset
from nas.models.standalone import MODEL_FILE
from nas.study.annotations import pins_of
from nas.study.content import StudyContent
from nas.study.destinations import check_folder
from nas.study.layout import WEIGHTS
from nas.study.retrained import RetrainedRun
from trainers.disk import is_disk_error
from trainers.files import atomic_folder

logger = logging.getLogger(__name__)

EXPORTED_FILES = (
    *(CONFIG_FILE, WEIGHTS_FILE, CLASS_MAP_FILE, ARCHITECTURE_FILE, TRAIN_FILE, DRAWING_FILE, CARD_FILE),
    *(PROVENANCE_FILE, ATTRIBUTES_FILE, MODEL_FILE),
)
"""The files that an export may have, beside those of formats."""

MAX_NUMBERS = 8
"""Of trials that an error names."""


@dataclass(frozen=True)
class ExportedModel:
    """A model that was exported.

    Args:
        trial: the number of the trial.
        name: of the model.
        folder: where it is.
        files: name of a file -> size in bytes.
        largest_difference: between an output of the trained network and of the model that timm loads.
        artifacts: the files in further formats.
        run: of a full training, its folder in the study: `trial-12/RECIPE/seed-0`; None for the training of the search.
        accuracies: of the weights.
        removed: the files of an earlier export to the folder that this one does not have.
    """

    trial: int
    name: str
    folder: Path
    files: Mapping[str, int]
    largest_difference: float
    artifacts: tuple[Artifact, ...]
    run: str | None
    accuracies: Accuracies
    removed: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        artifacts = [artifact.to_dict() for artifact in self.artifacts]
        plain = {"folder": str(self.folder), "files": dict(self.files), "artifacts": artifacts}
        return {**vars(self), **plain, "accuracies": asdict(self.accuracies), "removed": list(self.removed)}


ModelProgress = Callable[[ExportedModel], None]
"""Called with each model when its folder is written."""


def pinned_trials(study: StudyContent) -> list[int]:
    """The numbers of the pinned trials of `study`, in the order of pins.

    Raises:
        UsageError: no trial is pinned.
    """
    pins = pins_of(study.attributes)
    if not pins:
        raise UsageError(
            f"{study.folder}: no trial is pinned; `nas dashboard` pins trials, or name one: best, or its number"
        )
    return pins


def front_trials(study: StudyContent) -> list[int]:
    """The numbers of the trials on the front of `study`, in the order of `nas front`.

    Raises:
        UsageError: no trial is complete.
    """
    numbers = [int(number) for number in Results.of(study).front["trial"]]
    if not numbers:
        raise UsageError(f"{study.folder}: its front is empty: no trial is complete yet")
    return numbers


def export_models(
    study: StudyContent,
    folders: Mapping[int | str, Path],
    options: ExportOptions,
    progress: ModelProgress | None = None,
) -> list[ExportedModel]:
    """Export trials; all of them, their weights and the folders are checked before anything is written.

    Args:
        study: the study.
        folders: trial, its number or "best" -> the folder of its model.
        options: which weights, and what the folders hold beside timm's files.
        progress: called after each model.

    Raises:
        UsageError: there is no such trial, it has no trained network, or a folder holds other files.
        StudyError: weights or images are missing, or the outputs differ.
        MachineError: the disk is full or broken; the folder is as it was.
    """
    results = Results.of(study)
    rows = {folder: complete_trial(results, trial) for trial, folder in folders.items()}
    for folder in rows:
        _check_out(folder)
    for name in options.formats:
        check_format(name)
    runs: dict[Path, RetrainedRun] = {}
    for folder, row in rows.items():
        number = int(row["trial"])
        if options.retrained:
            runs[folder] = best_run(study, number)
        elif not (study.trained_folder(number) / WEIGHTS).is_file():
            raise StudyError(f"trial {number}: its weights are missing from {study.trial_folder(number)}")
    images = study_dataset(study)
    if len(rows) > 1:
        for folder, row in rows.items():  # one by one, not kept: a front may have more weights than the memory holds
            TrainedModel.load(study, row, images, runs.get(folder))
    exported = []
    for folder, row in rows.items():
        exported.append(_export(TrainedModel.load(study, row, images, runs.get(folder)), folder, options))
        if progress is not None:
            progress(exported[-1])
    return exported


def _export(trained: TrainedModel, out: Path, options: ExportOptions) -> ExportedModel:
    """Write the model to the folder `out`, which was checked."""
    try:
        with atomic_folder(out) as draft:
            provenance = Provenance.of(trained)
            artifacts = _write(trained, provenance, draft, options)
            difference = verify_timm_files(trained.network, draft)
            files = {file.name: file.stat().st_size for file in sorted(draft.iterdir())}
    except SafetensorError as error:  # what safetensors raises if the disk is full
        raise MachineError(f"{out}: the model cannot be written: {error}") from error
    except OSError as error:
        if not is_disk_error(error):
            raise
        raise MachineError(f"{out}: the model cannot be written: {error.strerror}") from error
    removed = _remove_earlier(out, files)
    if CLASS_MAP_FILE not in files:
        logger.warning(
            "%s has no %s: a name of a class has spaces or line ends that timm would not read", out, CLASS_MAP_FILE
        )
    return ExportedModel(
        trial=trained.trial,
        name=trained.name,
        folder=out,
        files=files,
        largest_difference=difference,
        artifacts=artifacts,
        run=provenance.run,
        accuracies=provenance.accuracies,
        removed=removed,
    )


def _remove_earlier(out: Path, files: Mapping[str, int]) -> tuple[str, ...]:
    """Remove the files of an earlier export to `out` that are not among the new `files`: they may be of another network."""
    of_formats = tuple(model_format.file_name for model_format in FORMATS.values())
    earlier = [file for file in out.iterdir() if file.name in EXPORTED_FILES or file.name.startswith(of_formats)]
    old = sorted(file for file in earlier if file.name not in files)
    for file in old:
        file.unlink()
    return tuple(file.name for file in old)


def _write(trained: TrainedModel, provenance: Provenance, draft: Path, options: ExportOptions) -> tuple[Artifact, ...]:
    """Write every file of the model to the folder `draft`; the card, which describes the others, is the last."""
    write_timm_files(trained, draft)
    has_class_map = write_class_map(trained.images.class_names, draft / CLASS_MAP_FILE)
    write_architecture(trained, draft / ARCHITECTURE_FILE)
    write_train_file(trained, draft / TRAIN_FILE, has_class_map)
    write_drawing(trained.network.architecture, trained.name, draft / DRAWING_FILE)
    write_provenance(provenance, draft / PROVENANCE_FILE)
    if options.hub:
        write_attributes(draft)
    artifacts = write_artifacts(trained, provenance, draft, options)
    write_card(trained, provenance, artifacts, draft)
    return artifacts


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: must be a folder, it is a file")
    check_folder(out)
    if out.exists() and any(out.iterdir()) and not is_export(out):
        raise UsageError(f"{out}: must be empty, new, or an earlier export; it holds other files")


def retrained_trials(study: StudyContent, numbers: Sequence[int]) -> list[int]:
    """Those of the trials `numbers` of `study` that were retrained.

    Raises:
        UsageError: none was.
    """
    runs = best_runs(study)
    retrained = [number for number in numbers if number in runs]
    if not retrained:
        shown = ", ".join(map(str, numbers[:MAX_NUMBERS])) + (", ..." if len(numbers) > MAX_NUMBERS else "")
        rule = f"none of the trials {shown} was retrained"
        raise UsageError(f"{study.folder}: {rule}; `nas retrain --front --study {study.folder}` does it")
    return retrained


def trial_folders(numbers: Sequence[int], out: Path) -> dict[int | str, Path]:
    """Number of a trial -> `out/trial-NUMBER`."""
    return {number: out / f"trial-{number}" for number in numbers}
