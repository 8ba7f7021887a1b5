"""Exports a trial of a study as a timm model: a folder with `config.json`, `model.safetensors` and `class_map.txt`.

import search_space, timm
model = timm.create_model("local-dir:FOLDER", pretrained=True)
dataset = timm.data.create_dataset("", root="PHOTOS", class_map="FOLDER/class_map.txt")

The class map has the names of the classes, one a line, in the order of the outputs of the model. With it timm's readers give
an image the label that the model was trained with, also where timm itself would order the classes otherwise.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError

from nas.analysis.results import Results, Row
from nas.errors import MachineError, StudyError, UsageError
from nas.models.front_test_accuracy import load_images
from nas.models.weights import load_trained
from nas.study.annotations import pins_of
from nas.study.content import StudyContent
from nas.study.destinations import check_folder
from nas.study.layout import WEIGHTS
from search_space.modules.network import Network
from search_space.timm_support.entrypoint import ENTRYPOINT
from trainers.files import atomic_folder, read_json

CONFIG_FILE = "config.json"
CLASS_MAP_FILE = "class_map.txt"
logger = logging.getLogger(__name__)

OUTPUT_TOLERANCE = (
    1e-5  # largest difference between the outputs of the trained network and of the model that timm loads
)


def export(study: StudyContent, trial: int | str, out: Path | str) -> int:
    """Write a trained network as a folder that timm loads, load it through timm and compare the outputs.

        import search_space, timm
        model = timm.create_model("local-dir:FOLDER", pretrained=True)

    Args:
        study: the study.
        trial: the number of the trial, or "best".
        out: a new or empty folder, or an earlier export.

    Returns:
        The number of the trial.

    Raises:
        UsageError: there is no such trial, it has no trained network, or the folder holds other files.
        StudyError: weights or images are missing, or the outputs differ.
        MachineError: the disk is full or broken; `out` is as it was.
    """
    out = Path(out)
    row = _complete_trial(Results.of(study), trial)
    _check_out(out)
    _export(study, row, out)
    return int(row["trial"])


def export_pinned(study: StudyContent, out: Path | str) -> dict[int, Path]:
    """Export each pinned trial of `study` to `out/trial-NUMBER`, in the order of pins.

    The trials, their weights and the folders are checked before anything is written.

    Args:
        study: the study.
        out: the folder to write the models to; it may hold other files.

    Returns:
        Number of a trial -> the folder of its model.

    Raises:
        UsageError: no trial is pinned, a pinned one has no trained network, or a folder holds other files.
        StudyError, MachineError: as `export`.
    """
    pins = pins_of(study.attributes)
    if not pins:
        raise UsageError(
            f"{study.folder}: no trial is pinned; `nas dashboard` pins trials, or name one: best, or its number"
        )
    results = Results.of(study)
    folders = {number: Path(out) / f"trial-{number}" for number in pins}
    rows = {number: _complete_trial(results, number) for number in pins}
    for number, folder in folders.items():
        _check_out(folder)
        if not (study.trained_folder(number) / WEIGHTS).is_file():
            raise StudyError(f"trial {number}: its weights are missing from {study.trial_folder(number)}")
    for number, folder in folders.items():
        _export(study, rows[number], folder)
    return folders


def _complete_trial(results: Results, trial: int | str) -> Row:
    """The row of `trial`.

    Raises:
        UsageError: there is no such trial, or it is not complete.
    """
    row = results.trial(trial)
    if row["state"] != "complete":
        raise UsageError(f"trial {row['trial']}: only a complete trial has a model, this one is {row['state']}")
    return row


def _export(study: StudyContent, row: Row, out: Path) -> None:
    """Write the trained network of the trial `row` to the folder `out`, which was checked."""
    number = int(row["trial"])
    trial = next(trial for trial in study.trials if trial.number == number)
    network = load_trained(study, trial)
    try:
        with atomic_folder(out) as draft:
            has_class_map = _write(network, study, number, draft)
            _verify(network, draft)
    except SafetensorError as error:  # what safetensors raises if the disk is full
        raise MachineError(f"{out}: the model cannot be written: {error}") from error
    if not has_class_map:
        logger.warning(
            "%s has no %s: a name of a class has spaces or line ends that timm would not read", out, CLASS_MAP_FILE
        )
        (out / CLASS_MAP_FILE).unlink(missing_ok=True)  # of an earlier export


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: must be a folder, it is a file")
    check_folder(out)
    if out.exists() and any(out.iterdir()) and not _is_export(out):
        raise UsageError(f"{out}: must be empty, new, or an earlier export; it holds other files")


def _write(network: Network, study: StudyContent, number: int, out: Path) -> bool:
    """Write the model to the folder `out`; returns whether it has a class map."""
    import timm
    from timm.models import save_for_hf

    import search_space  # noqa: F401  (registers the entrypoint)

    dataset = load_images(study)
    description = network.architecture.to_dict()
    model = timm.create_model(ENTRYPOINT, architecture=description)
    model.load_state_dict(network.state_dict())
    data_config = {"mean": dataset.mean, "std": dataset.std, "label_names": list(dataset.class_names)}
    model.pretrained_cfg.update(data_config)
    origin = {"study": study.name, "trial": number, "id": network.architecture.id}
    save_for_hf(
        model,
        str(out),
        safe_serialization=True,
        model_args={"architecture": description},
        model_config={"mixfront": origin},
    )
    return write_class_map(dataset.class_names, out / CLASS_MAP_FILE)


def write_class_map(class_names: Sequence[str], file: Path) -> bool:
    """Write the names of the classes as timm reads them (`timm.data.readers.class_map.load_class_map`).

    timm strips each line and takes its number for the label. Names that this would change (with spaces at their ends or
    with line ends) make it impossible to write the file.

    Returns:
        Whether the file was written.
    """
    text = "".join(f"{name}\n" for name in class_names)
    if [line.strip() for line in io.StringIO(text, newline=None)] != list(class_names):
        return False
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
    return True


@torch.inference_mode()
def _verify(network: Network, out: Path) -> None:
    import timm

    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    shape = (2, network.in_chans, *network.architecture.image_size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    difference = float((model(images) - network(images)).abs().max())
    if not difference <= OUTPUT_TOLERANCE:
        raise StudyError(f"{out}: the exported model differs from the trained one by {difference:g}")


def _is_export(folder: Path) -> bool:
    try:
        config = read_json(folder / CONFIG_FILE)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("architecture") == ENTRYPOINT
