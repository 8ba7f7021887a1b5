"""Runs a model over images and collects what a `Validation` needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nas.errors import StudyError, UsageError, reason
from nas.models.device_option import OPTION, choose_device
from nas.models.display import SilentDisplay
from nas.models.loaded_model import LoadedModel
from nas.models.loading import find_model, with_weights
from nas.models.study_models import is_study_word, is_trial_word, load_study_model
from nas.models.validate.images import ValidationImages, read_images
from nas.models.validate.record import TOP, Calibration, ModelThroughput, Validation
from nas.study.content import StudySnapshot
from nas.study.database.storage import study_exists
from trainers.augment import Normalise
from trainers.data.types import Part, Progress
from trainers.device import device_name
from trainers.inference import evaluation_mode
from trainers.measuring.throughput import measure
from trainers.training.confusion import Confusion

BATCH_SIZE = 64

Collected = dict[str, NDArray[Any]]


def validate(
    model: LoadedModel | str,
    data: str,
    overrides: Sequence[str] = (),
    *,
    split: Part | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    step: Callable[[str], AbstractContextManager[Progress | None]] | None = None,
) -> Validation:
    """Validate `model` on `data`.

    Args:
        model: a model, or what names one (`nas.models.loading`, and `nas.models.study_models` where `data` is a study).
        data: a folder of images, the folder of a study, a study file, or the name of a source.
        overrides: `data.key=value` words.
        split: the part of the data; None: test, or else val, or else all.
        mean: of each channel, in place of what the model states.
        std: likewise.
        batch_size: images at a time.
        device: where it runs; None: a GPU if there is one. ONNX files run on the CPU.
        step: shows a step of the work, such as `nas.terminal.progress.TerminalDisplay.step`; None: nothing is shown.

    Raises:
        UsageError: there is no such model or data, or they do not fit each other.
        StudyError: the model fails on the images, or its outputs are not finite.
    """
    described = (_find(model, data) if isinstance(model, str) else model).normalised_by(mean, std)
    place = _device(described, device)
    step = step or SilentDisplay().step
    with TemporaryDirectory(prefix="mixfront-") as scratch:
        with step("reading images") as progress:
            images = read_images(data, overrides, described, split, Path(scratch), progress)
        loaded = with_weights(described)  # last: they may have to be downloaded
        try:
            with step("validating") as progress:
                outputs = _classify(loaded, images, batch_size, place, progress)
            throughput = _throughput(loaded, place)
        except RuntimeError as error:
            raise StudyError(f"{loaded.name}: fails on the images: {reason(error)}") from error
    confusion = Confusion.of(images.labels.numpy(), outputs["predicted"], loaded.num_classes)
    return Validation(
        model=loaded.name,
        kind=loaded.kind,
        data=images.name,
        split=images.part,
        input_shape=loaded.input_shape,
        top1=confusion.accuracy,
        top5=float(outputs["is_in_top"].mean()),
        loss=float(outputs["loss"].mean()),
        confusion=confusion,
        class_names=images.class_names,
        calibration=Calibration.of(outputs["confidence"], outputs["predicted"] == images.labels.numpy()),
        throughput=throughput,
        device=device_name(place),
        skipped=images.skipped,
    )


def _find(word: str, data: str) -> LoadedModel:
    """The model that `word` names, one of the study `data` or any other; it may be without weights."""
    if is_study_word(word) and study_exists(Path(data)):
        return load_study_model(StudySnapshot.of(Path(data)), word)
    if is_study_word(word) and not Path(word).exists():
        kind = "trial" if is_trial_word(word) else "full training"
        raise UsageError(f"{word}: a {kind} needs the folder of its study as DATA, found {data}")
    return find_model(word)


def _device(model: LoadedModel, name: str | None) -> torch.device:
    """The device to run on.

    Raises:
        UsageError: there is no such device, or the model cannot run on it.
    """
    if model.is_movable:
        return torch.device(choose_device(name))
    if name not in (None, "cpu"):
        raise UsageError(f"{OPTION}: must be cpu for an ONNX file, found {name!r}")
    return torch.device("cpu")


@torch.inference_mode()
def _classify(
    model: LoadedModel, images: ValidationImages, batch_size: int, device: torch.device, progress: Progress | None
) -> Collected:
    """Of each image the predicted class, its confidence, whether its class is among the largest outputs, and its loss.

    Raises:
        StudyError: an output is no finite number, of which nothing can be said.
    """
    normalise = Normalise(model.mean or (), model.std or (), model.input_shape[2], device)
    collected: dict[str, list[torch.Tensor]] = {name: [] for name in ("predicted", "confidence", "is_in_top", "loss")}
    with evaluation_mode(model.module, device):
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            labels = images.labels[rows].to(device)
            logits = model.module(normalise(images.pick(rows).to(device))).double()
            if not bool(logits.isfinite().all()):
                raise StudyError(f"{model.name}: its outputs are not finite numbers")
            confidence, predicted = logits.softmax(1).max(1)
            top = logits.topk(min(TOP, model.num_classes), dim=1).indices
            collected["predicted"].append(predicted)
            collected["confidence"].append(confidence)
            collected["is_in_top"].append((top == labels[:, None]).any(1))
            collected["loss"].append(F.cross_entropy(logits, labels, reduction="none"))
            if progress is not None:
                progress(min(start + batch_size, len(images)), len(images))
    return {name: torch.cat(parts).cpu().numpy() for name, parts in collected.items()}


def _throughput(model: LoadedModel, device: torch.device) -> ModelThroughput:
    measured = measure(model.module, model.input_shape, device=device)
    return ModelThroughput(measured.images_per_s, measured.batch_size, measured.threads)
