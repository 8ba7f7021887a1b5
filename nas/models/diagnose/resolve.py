"""From the words of the command to models: trials of a study, and folders that `nas export` wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nas.analysis.results import Results
from nas.errors import StudyError, UsageError
from nas.models.diagnose.subject import ImageSample, Subject
from nas.models.weights import load_trained
from nas.study.attribute_types import is_number_text
from nas.study.content import StudyContent
from search_space import Architecture
from search_space.errors import SpaceError
from search_space.modules.network import Network, build
from search_space.timm_support.entrypoint import ENTRYPOINT
from trainers.data.prepared import DatasetInfo, describe
from trainers.errors import DataError
from trainers.files import IrregularFileError, read_json
from trainers.training.weights_file import DamagedWeightsError, check_tensors

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
MAX_MODELS = 8
"""Models side by side: there are as many colours."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model as it was found, before it is known which images it will be given.

    Args:
        subject: the model, on the CPU.
        class_names: of its outputs.
        image_size: (height, width) of its images.
        in_chans: their channels.
    """

    subject: Subject
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    in_chans: int

    def on(self, images: ImageSample) -> Subject:
        """The model on the device of `images`, its outputs in the order of their classes.

        Raises:
            UsageError: its classes, or the size of its images, are others.
        """
        name, names = self.subject.name, images.class_names
        if sorted(self.class_names) != sorted(names):
            own = sorted(set(self.class_names) ^ set(names))
            rule = f"must have the classes of the images: {len(names)}, found {len(self.class_names)}"
            raise UsageError(f"{name}: {rule}; not in both: {', '.join(own[:5])}")
        expected, found = _shape_text(self.in_chans, self.image_size), _shape_text(images.pixels.shape[1], images.size)
        if expected != found:
            raise UsageError(f"{name}: takes images of {expected}, found {found}")
        outputs = () if self.class_names == names else tuple(self.class_names.index(one) for one in names)
        self.subject.module.to(images.pixels.device)
        return replace(self.subject, outputs=outputs)


def load_models(words: Sequence[str], study: StudyContent | None) -> list[LoadedModel]:
    """Load the models that `words` name: numbers of trials of `study`, "best", and folders of exported models.

    Raises:
        UsageError: a word names no model, a trial is not complete, or there are too many words or equal ones.
        StudyError: weights are missing or damaged.
    """
    if len(words) > MAX_MODELS:
        raise UsageError(f"diagnose: must be at most {MAX_MODELS} models, found {len(words)}")
    results = None if study is None else Results.of(study)
    models = [_load(word, study, results) for word in words]
    names = [model.subject.name for model in models]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"{repeated}: the models must differ; it is named twice")
    return models


def _load(word: str, study: StudyContent | None, results: Results | None) -> LoadedModel:
    is_trial = word == "best" or is_number_text(word)
    if is_trial and study is not None and results is not None:
        return load_trial(study, results, word)
    if Path(word).is_dir():
        return load_export(Path(word))
    if is_trial:
        raise UsageError(f"{word}: a trial needs its study: --study DIR")
    rule = "must be the number of a trial, best, or a folder that `nas export` wrote"
    raise UsageError(f"{word}: {rule}; there is no such folder")


def load_trial(study: StudyContent, results: Results, word: str) -> LoadedModel:
    """The trained network of a trial, normalised by the images of its study.

    Raises:
        UsageError: there is no such trial, or it is not complete.
        StudyError: its weights, or the images of the study, are missing or damaged.
    """
    row = results.trial(word)
    number = int(row["trial"])
    if row["state"] != "complete":
        raise UsageError(f"trial {number}: only a complete trial has a model, this one is {row['state']}")
    network = load_trained(study, next(trial for trial in study.trials if trial.number == number))
    info = study_images(study)
    subject = Subject(f"trial {number}", network, info.mean, info.std, network.architecture)
    return _loaded(subject, info.class_names)


def study_images(study: StudyContent) -> DatasetInfo:
    """The description of the decoded images of `study`.

    Raises:
        StudyError: they are missing or damaged.
    """
    try:
        return describe(study.images())
    except DataError as error:
        raise StudyError(str(error)) from None


def load_export(folder: Path) -> LoadedModel:
    """The model in a folder that `nas export` wrote. Only JSON and safetensors are read.

    Raises:
        UsageError: the folder holds no such model, or a damaged one.
    """
    config = _config(folder)
    try:
        architecture = Architecture.from_dict(config["model_args"]["architecture"])
        preprocessing = config["pretrained_cfg"]
        class_names = tuple(map(str, config.get("label_names") or preprocessing["label_names"]))
        mean, std = (tuple(map(float, preprocessing[key])) for key in ("mean", "std"))
    except SpaceError as error:
        raise UsageError(f"{folder / CONFIG_FILE}: {error}") from None
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{folder / CONFIG_FILE}: is not as `nas export` writes it: {error!r}") from None
    is_usable = (
        len(mean) == len(std) == architecture.in_chans and all(map(math.isfinite, (*mean, *std))) and min(std) > 0
    )
    if not is_usable or len(class_names) != architecture.num_classes:
        raise UsageError(f"{folder / CONFIG_FILE}: mean, std or label_names do not fit the architecture")
    network = build(architecture).eval()
    _load_weights(network, folder / WEIGHTS_FILE)
    return _loaded(Subject(folder.resolve().name, network, mean, std, architecture), class_names)


def _config(folder: Path) -> Mapping[str, Any]:
    """The configuration in an exported folder."""
    rule = f"{folder}: must be a folder that `nas export` wrote"
    try:
        config = read_json(folder / CONFIG_FILE)
    except FileNotFoundError:
        raise UsageError(f"{rule}; it has no {CONFIG_FILE}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{rule}; its {CONFIG_FILE} cannot be read: {error}") from None
    found = config.get("architecture") if isinstance(config, dict) else None
    if not isinstance(config, dict) or found != ENTRYPOINT:
        raise UsageError(f"{rule}; its {CONFIG_FILE} has the architecture {found!r}, not {ENTRYPOINT!r}")
    return config


def _load_weights(network: Network, file: Path) -> None:
    """Load the weights in `file`, which must be those of such a network, and finite."""
    try:
        check_tensors(file)
        weights: Mapping[str, Tensor] = load_file(file)
        network.load_state_dict(weights)
    except FileNotFoundError:
        raise UsageError(f"{file}: is missing") from None
    except IsADirectoryError:
        raise UsageError(f"{file}: must be a file, it is a folder") from None
    except (DamagedWeightsError, IrregularFileError, SafetensorError, RuntimeError) as error:
        raise UsageError(f"{file}: is damaged, or of another network: {' '.join(str(error).split())[:300]}") from None
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(f"{file}: {name} must be finite")


def _loaded(subject: Subject, class_names: Sequence[str]) -> LoadedModel:
    architecture = subject.architecture
    assert architecture is not None
    return LoadedModel(subject, tuple(class_names), architecture.image_size, architecture.in_chans)


def _shape_text(channels: int, size: tuple[int, int]) -> str:
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return f"{size[0]}x{size[1]} pixels, {kind}"
