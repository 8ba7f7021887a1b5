"""Accuracy under common corruptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

import torch

from nas.html import figure_record
from nas.models.diagnose.drawing import bars, facets, line, strip
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, Picture, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from trainers.measuring.corruptions import CORRUPTIONS, SEVERITIES, corrupt

EXAMPLE_SEVERITY = 3


@dataclass(frozen=True)
class CorruptionAccuracies:
    """Accuracy under each corruption at each severity.

    Args:
        clean: accuracy without corruption.
        accuracy: name of a corruption -> its accuracy at each of `SEVERITIES`.
        mean: over corruptions and severities (mCA, the mean corruption accuracy).
    """

    clean: float
    accuracy: Mapping[str, tuple[float, ...]]
    mean: float


class Corruptions(Diagnosis[CorruptionAccuracies]):
    """Accuracy under common corruptions."""

    name = "corruptions"
    order = 2
    title = "Common corruptions"
    about = (
        "Accuracy on images with twelve kinds of corruptions at five severities, and its mean over all of them (Hendrycks and"
        " Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, 2019). The corruptions are"
        " implemented here, with strengths scaled to the size of the images, so the numbers cannot be compared with published"
        " ones. Severity 0 is without corruption."
    )

    def passes(self, images: ImageSample) -> float:
        return len(images) * (1 + len(CORRUPTIONS) * len(SEVERITIES))

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> CorruptionAccuracies:
        correct = {name: [0] * len(SEVERITIES) for name in CORRUPTIONS}
        clean = 0
        for number, pixels, labels in images.batches():
            clean += subject.correct(pixels, labels)
            advance(len(pixels))
            for name, counts in correct.items():
                for index, severity in enumerate(SEVERITIES):
                    counts[index] += subject.correct(corrupt(pixels, name, severity, seed=number), labels)
                    advance(len(pixels))
        accuracy = {name: tuple(count / len(images) for count in counts) for name, counts in correct.items()}
        overall = mean(value for values in accuracy.values() for value in values)
        return CorruptionAccuracies(clean / len(images), accuracy, overall)

    def numbers(self, result: CorruptionAccuracies) -> Mapping[str, float | None]:
        return {"mean under corruptions": result.mean}

    def draw(
        self, results: Mapping[str, CorruptionAccuracies], colours: Mapping[str, str], images: ImageSample
    ) -> Drawing:
        by_kind = facets([""], "", "accuracy, mean over severities")
        by_severity = facets([""], "severity", "accuracy, mean over corruptions")
        for name, result in results.items():
            labels = [corruption.replace("_", " ") for corruption in result.accuracy]
            means = [mean(values) for values in result.accuracy.values()]
            by_kind.add_trace(bars(name, colours[name], labels, means, "%{x}: %{y:.4f}"))
            rows = [result.clean, *(mean(column) for column in zip(*result.accuracy.values(), strict=True))]
            trace = line(name, colours[name], [0, *SEVERITIES], rows, "severity %{x}: %{y:.4f}", legend=True)
            by_severity.add_trace(trace)
        by_kind.update_layout(barmode="group")
        by_severity.update_xaxes(dtick=1)
        figures = [
            figure_record("accuracy by corruption", by_kind, wide=True),
            figure_record("accuracy by severity", by_severity),
        ]
        return Drawing(figures, [_examples(images)])


def _examples(images: ImageSample) -> Picture:
    pixels = images.pixels[:1]
    corrupted = [corrupt(pixels, name, EXAMPLE_SEVERITY) for name in CORRUPTIONS]
    names = ", ".join(name.replace("_", " ") for name in CORRUPTIONS)
    return strip(torch.cat([pixels, *corrupted]), f"An image, and severity {EXAMPLE_SEVERITY} of: {names}.", columns=13)


register(Corruptions())
