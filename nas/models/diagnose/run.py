"""Applies diagnoses to models, one after the other, and collects what they found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nas.models.diagnose import diagnoses as _diagnoses  # noqa: F401 - registers them
from nas.models.diagnose.registry import Diagnosis, NotApplicable, chosen
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from nas.models.display import SilentDisplay, WorkDisplay
from search_space import cost

SCHEMA = 1


@dataclass(frozen=True)
class ModelFacts:
    """A model in the tables.

    Args:
        name: its name.
        id: of its architecture; None if it is none of ours.
        params: number of parameters; None for an ONNX file.
        macs: multiply-adds of an image; None if they are not known.
        accuracy: on the images as they are.
    """

    name: str
    id: str | None
    params: int | None
    macs: int | None
    accuracy: float

    @classmethod
    def of(cls, subject: DiagnosedModel, images: ImageSample) -> ModelFacts:
        """The facts of `subject`.

        Raises:
            StudyError: its outputs are not finite.
        """
        subject.check_outputs(images.pixels)
        architecture = subject.architecture
        return cls(
            name=subject.name,
            id=None if architecture is None else architecture.id,
            params=subject.params,
            macs=None if architecture is None else cost(architecture).macs,
            accuracy=subject.correct(images.pixels, images.labels) / len(images),
        )


@dataclass(frozen=True)
class DiagnosisFindings:
    """What the diagnoses found.

    Args:
        images: what all models were given.
        models: the models, in the order in which they were named.
        results: diagnosis -> name of a model -> its result, a dataclass; only diagnoses that are finished.
        reasons: diagnosis -> name of a model -> why it does not apply.
    """

    images: ImageSample
    models: tuple[ModelFacts, ...]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)

    def diagnosis_results(self, diagnosis: Diagnosis[Any]) -> Mapping[str, Any]:
        """The results of `diagnosis` by the name of the model."""
        return self.results.get(diagnosis.name, {})

    @property
    def diagnoses(self) -> tuple[Diagnosis[Any], ...]:
        """The diagnoses that are finished."""
        return chosen(list(self.results)) if self.results else ()

    def numbers(self, model: str) -> dict[str, float | None]:
        """The main numbers of a model, by the headings of all diagnoses; None where one does not apply."""
        numbers: dict[str, float | None] = {}
        for diagnosis in self.diagnoses:
            results = self.diagnosis_results(diagnosis)
            headings = [heading for result in results.values() for heading in diagnosis.numbers(result)]
            numbers |= dict.fromkeys(headings)
            if model in results:
                numbers |= diagnosis.numbers(results[model])
        return numbers

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": SCHEMA,
            "images": {
                "count": len(self.images),
                "size": list(self.images.size),
                "classes": list(self.images.class_names),
                "description": self.images.description,
                "split": self.images.part,
            },
            "models": [asdict(model) for model in self.models],
            "diagnoses": {
                name: {model: asdict(result) for model, result in results.items()}
                for name, results in self.results.items()
            },
            "not_applicable": {name: dict(reasons) for name, reasons in self.reasons.items() if reasons},
        }


class DiagnosisRun:
    """Diagnoses of several models on the same images.

    Args:
        subjects: the models, with different names.
        images: on their device.
        names: of the diagnoses; None: all.

    Attributes:
        findings: what was found so far; a diagnosis is in it when it is finished for all models.

    Raises:
        UnknownNameError, UsageError: as `registry.chosen`.
        StudyError: the outputs of a model are not finite.
    """

    def __init__(
        self, subjects: Sequence[DiagnosedModel], images: ImageSample, names: Sequence[str] | None = None
    ) -> None:
        self.diagnoses = chosen(names)
        self.subjects = tuple(subjects)
        self.findings = DiagnosisFindings(images, tuple(ModelFacts.of(subject, images) for subject in subjects))

    def measure(self, display: WorkDisplay | None = None) -> DiagnosisFindings:
        """Apply each diagnosis to each model; returns `findings`."""
        images = self.findings.images
        work = sum(diagnosis.passes(images) for diagnosis in self.diagnoses) * len(self.subjects)
        total = len(self.diagnoses) * len(self.subjects)
        shown = SilentDisplay() if display is None else display
        with shown.counter("diagnosing", total, work=work) as advance:
            for diagnosis in self.diagnoses:
                results, reasons = self._measure_all(diagnosis, advance)
                self.findings.results[diagnosis.name] = results
                self.findings.reasons[diagnosis.name] = reasons
        return self.findings

    def _measure_all(
        self, diagnosis: Diagnosis[Any], advance: Callable[..., None]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The results of one diagnosis, and why it does not apply to the other models."""
        results: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        images = self.findings.images
        for subject in self.subjects:
            left = diagnosis.passes(images)

            def pass_on(passes: float) -> None:
                nonlocal left
                left -= passes
                advance(0, passes)

            try:
                results[subject.name] = diagnosis.measure(subject, images, pass_on)
            except NotApplicable as reason:
                reasons[subject.name] = str(reason)
            advance(1, max(0.0, left))
        return results, reasons


def diagnose(
    subjects: Sequence[DiagnosedModel], images: ImageSample, names: Sequence[str] | None = None
) -> DiagnosisFindings:
    """Apply the diagnoses called `names` (None: all) to `subjects` on `images`, without showing progress."""
    return DiagnosisRun(subjects, images, names).measure()
