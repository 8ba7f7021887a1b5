"""From the words of the command to models: those of a study, and all that `nas.models.loading` loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.errors import UsageError
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from nas.models.images import class_outputs
from nas.models.loaded_model import LoadedModel
from nas.models.loading import find_model, with_weights
from nas.models.study_models import is_study_word, is_trial_word, load_study_model
from nas.study.content import StudyContent
from search_space import Architecture

MAX_MODELS = 8
"""Models side by side: there are as many colours."""


@dataclass(frozen=True)
class Normalisation:
    """How the images of models are normalised that are not of a study, in place of what they say; None: as they say."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


AS_THEY_SAY = Normalisation()


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model as it was found, before it is known which images it will be given.

    Args:
        name: in tables and figures.
        model: the model, maybe without its weights.
    """

    name: str
    model: LoadedModel

    def check(self, images: ImageSample) -> None:
        """Check that the model takes `images`.

        Raises:
            UsageError: its classes, or the size of its images, are others.
        """
        names, own = images.class_names, self.model.class_names
        if self.model.num_classes != len(names) or (own and sorted(own) != sorted(names)):
            others = sorted(set(own) ^ set(names)) if own else []
            hint = f"; not in both: {', '.join(others[:5])}" if others else ""
            rule = f"must have the classes of the images: {len(names)}, found {self.model.num_classes}"
            raise UsageError(f"{self.name}: {rule}{hint}")
        expected, found = _shape_text(self.model.input_shape), _shape_text(tuple(images.pixels.shape[1:]))
        if expected != found:
            raise UsageError(f"{self.name}: takes images of {expected}, found {found}")

    def on(self, images: ImageSample) -> DiagnosedModel:
        """The model on the device of `images`, its outputs in the order of their classes.

        Raises:
            UsageError: as `check`, or its weights cannot be obtained.
        """
        self.check(images)
        outputs = class_outputs("images", images.class_names, self.model)
        model = with_weights(self.model)
        described = getattr(model.module, "architecture", None)
        return DiagnosedModel(
            name=self.name,
            module=model.module.to(images.pixels.device) if model.is_movable else model.module,
            mean=model.mean or (),
            std=model.std or (),
            architecture=described if isinstance(described, Architecture) else None,
            outputs=() if outputs == tuple(range(len(outputs))) else outputs,
        )


def load_candidates(
    words: Sequence[str], study: StudyContent | None, normalisation: Normalisation = AS_THEY_SAY
) -> list[Candidate]:
    """Load the models that `words` name: those of `study`, and what `load_model` loads.

    Raises:
        UsageError: a word names no model, a trial is not complete, or there are too many words or equal ones.
        StudyError: weights are missing or damaged.
    """
    if len(words) > MAX_MODELS:
        raise UsageError(f"diagnose: must be at most {MAX_MODELS} models, found {len(words)}")
    candidates = [_load(word, study, normalisation) for word in words]
    names = [candidate.name for candidate in candidates]
    long = [name if names.count(name) == 1 else word for name, word in zip(names, words, strict=True)]
    repeated = next((name for name in names if name.startswith("trial ") and names.count(name) > 1), None)
    repeated = repeated or next((name for name in long if long.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(f"{repeated}: the models must differ; it is named twice")
    return [replace(candidate, name=name) for candidate, name in zip(candidates, long, strict=True)]


def _load(word: str, study: StudyContent | None, normalisation: Normalisation) -> Candidate:
    if study is not None and is_study_word(word):
        model = load_study_model(study, word)
        return Candidate(model.name, model)
    if is_study_word(word) and not Path(word).exists():
        kind = "trial" if is_trial_word(word) else "full training"
        raise UsageError(f"{word}: a {kind} needs its study: --study DIR")
    model = find_model(word)
    if model.kind != "retrained":
        model = model.normalised_by(normalisation.mean, normalisation.std)
    is_file = model.kind in ("export", "onnx")
    return Candidate(Path(word).resolve().name if is_file else model.name, model)


def _shape_text(shape: Sequence[int]) -> str:
    channels, height, width = shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return f"{height}x{width} pixels, {kind}"
