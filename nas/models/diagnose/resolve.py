"""From the words of the command to models: trials of a study, and all that `nas.models.loading` loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.analysis.results import Results
from nas.errors import StudyError, UsageError
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from nas.models.loading import load_model
from nas.models.weights import load_trained
from nas.study.attribute_types import is_number_text
from nas.study.content import StudyContent
from search_space import Architecture
from trainers.data.prepared import DatasetInfo, describe
from trainers.errors import DataError

MAX_MODELS = 8
"""Models side by side: there are as many colours."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model as it was found, before it is known which images it will be given.

    Args:
        subject: the model, on the CPU.
        class_names: of its outputs; None: it does not say, and they are taken to be in the order of the images'.
        num_classes: number of its outputs.
        input_shape: (C, H, W) of its images.
        is_movable: whether it runs on other devices than the CPU.
    """

    subject: DiagnosedModel
    class_names: tuple[str, ...] | None
    num_classes: int
    input_shape: tuple[int, int, int]
    is_movable: bool = True

    def on(self, images: ImageSample) -> DiagnosedModel:
        """The model on the device of `images`, its outputs in the order of their classes.

        Raises:
            UsageError: its classes, or the size of its images, are others.
        """
        name, names = self.subject.name, images.class_names
        if self.num_classes != len(names) or (self.class_names and sorted(self.class_names) != sorted(names)):
            others = sorted(set(self.class_names or ()) ^ set(names))
            rule = f"must have the classes of the images: {len(names)}, found {self.num_classes}"
            raise UsageError(f"{name}: {rule}; not in both: {', '.join(others[:5])}")
        expected, found = _shape_text(self.input_shape), _shape_text(tuple(images.pixels.shape[1:]))
        if expected != found:
            raise UsageError(f"{name}: takes images of {expected}, found {found}")
        if self.is_movable:
            self.subject.module.to(images.pixels.device)
        own = self.class_names or names
        return replace(self.subject, outputs=() if own == names else tuple(own.index(one) for one in names))


def load_candidates(words: Sequence[str], study: StudyContent | None) -> list[Candidate]:
    """Load the models that `words` name: numbers of trials of `study`, "best", and what `load_model` loads.

    Raises:
        UsageError: a word names no model, a trial is not complete, or there are too many words or equal ones.
        StudyError: weights are missing or damaged.
    """
    if len(words) > MAX_MODELS:
        raise UsageError(f"diagnose: must be at most {MAX_MODELS} models, found {len(words)}")
    results = None if study is None else Results.of(study)
    candidates = [_load(word, study, results) for word in words]
    names = [candidate.subject.name for candidate in candidates]
    long = [name if names.count(name) == 1 else word for name, word in zip(names, words, strict=True)]
    repeated = next((name for name in names if name.startswith("trial ") and names.count(name) > 1), None)
    repeated = repeated or next((name for name in long if long.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"{repeated}: the models must differ; it is named twice")
    return [
        replace(candidate, subject=replace(candidate.subject, name=name))
        for candidate, name in zip(candidates, long, strict=True)
    ]


def _load(word: str, study: StudyContent | None, results: Results | None) -> Candidate:
    is_trial = word == "best" or is_number_text(word)
    if is_trial and study is not None and results is not None:
        return load_trial(study, results, word)
    if is_trial and not Path(word).exists():
        raise UsageError(f"{word}: a trial needs its study: --study DIR")
    return load_other(word)


def load_trial(study: StudyContent, results: Results, word: str) -> Candidate:
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
    subject = DiagnosedModel(f"trial {number}", network, info.mean, info.std, network.architecture)
    return Candidate(subject, info.class_names, len(info.class_names), (info.in_chans, *info.image_size))


def study_images(study: StudyContent) -> DatasetInfo:
    """The description of the decoded images of `study`.

    Raises:
        StudyError: they are missing or damaged.
    """
    try:
        return describe(study.images())
    except DataError as error:
        raise StudyError(str(error)) from None


def load_other(word: str) -> Candidate:
    """An exported model, one of timm's, or an ONNX file; the name of a folder or file is short.

    Raises:
        UsageError: `word` names none, or the model does not say how images are normalised.
    """
    model = load_model(word)
    if model.mean is None or model.std is None:
        raise UsageError(f"{word}: does not say how images are normalised")
    described = getattr(model.module, "architecture", None)
    name = model.name if model.kind == "timm" else Path(word).resolve().name
    architecture = described if isinstance(described, Architecture) else None
    subject = DiagnosedModel(name, model.module, model.mean, model.std, architecture)
    return Candidate(subject, model.class_names, model.num_classes, model.input_shape, model.is_movable)


def _shape_text(shape: Sequence[int]) -> str:
    channels, height, width = shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return f"{height}x{width} pixels, {kind}"
