"""Accuracy against noise of one octave of spatial frequencies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from nas.html import figure_record
from nas.models.diagnose.drawing import facets, line, strip
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, Picture, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from trainers.measuring.corruptions import seeded_generator
from trainers.measuring.frequency import Band, band_noise, octave_bands

NOISE_RMS = (0.025, 0.05, 0.1, 0.2, 0.4)
"""Root mean squares of the noise, of pixels taken as 0..1."""
EXAMPLE_RMS = 0.1


@dataclass(frozen=True)
class BandAccuracies:
    """Accuracy under noise of each band and strength.

    Args:
        clean: accuracy without noise.
        bands: (low, high) of each band in cycles per pixel, by rising frequency.
        cycles: the same in cycles per image, along its longer side.
        rms: the strengths.
        accuracy: for each band, the accuracy at each strength.
        thresholds: for each band, the strength at which the accuracy has fallen half of the way to chance; None: beyond the
            strengths that were measured.
    """

    clean: float
    bands: tuple[tuple[float, float], ...]
    cycles: tuple[tuple[float, float], ...]
    rms: tuple[float, ...]
    accuracy: tuple[tuple[float, ...], ...]
    thresholds: tuple[float | None, ...]

    @property
    def labels(self) -> list[str]:
        """The bands in words: "8-16" cycles per image."""
        return [f"{low:.3g}-{high:.3g}" for low, high in self.cycles]


class Bands(Diagnosis[BandAccuracies]):
    """Accuracy against noise by spatial-frequency band."""

    name = "bands"
    order = 1
    title = "Noise by spatial frequency"
    about = (
        "Accuracy on images with noise of one octave of spatial frequencies. The noise is the same in all channels, has a fixed"
        " root mean square (RMS; pixels are 0 to 1) and is not clipped. Park and Kim (How do vision transformers work?, 2022)"
        " find that noise of high frequency hurts convolutional networks more, and noise of low frequency networks with"
        " attention. The threshold is the RMS at which accuracy has fallen half of the way to chance: a low threshold is a band"
        " that the decisions depend on (critical band masking; Subramanian et al., 2023)."
    )

    def passes(self, images: ImageSample) -> float:
        return len(images) * (1 + len(octave_bands(images.size)) * len(NOISE_RMS))

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> BandAccuracies:
        bands = octave_bands(images.size)
        correct = [[0] * len(NOISE_RMS) for _ in bands]
        clean = 0
        for number, pixels, labels in images.batches():
            clean += subject.correct(pixels, labels)
            advance(len(pixels))
            for counts, band in zip(correct, bands, strict=True):
                noise = noise_of(band, len(pixels), images.size, number).to(pixels.device)
                for index, rms in enumerate(NOISE_RMS):
                    counts[index] += subject.correct(pixels + rms * noise, labels)
                    advance(len(pixels))
        accuracy = tuple(tuple(count / len(images) for count in counts) for counts in correct)
        chance, side = 1 / images.num_classes, max(images.size)
        return BandAccuracies(
            clean=clean / len(images),
            bands=tuple((band.low, band.high) for band in bands),
            cycles=tuple((band.low * side, band.high * side) for band in bands),
            rms=NOISE_RMS,
            accuracy=accuracy,
            thresholds=tuple(threshold(NOISE_RMS, row, clean / len(images), chance) for row in accuracy),
        )

    def numbers(self, result: BandAccuracies) -> Mapping[str, float | None]:
        middle = result.rms.index(EXAMPLE_RMS)
        return {
            f"lowest band, noise {EXAMPLE_RMS}": result.accuracy[0][middle],
            f"highest band, noise {EXAMPLE_RMS}": result.accuracy[-1][middle],
        }

    def draw(self, results: Mapping[str, BandAccuracies], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        any_result = next(iter(results.values()))
        titles = [f"RMS {rms:g}" for rms in any_result.rms]
        x, y = "band, cycles per image", "accuracy"
        by_strength = facets(titles, x, y)
        thresholds = facets([""], x, "threshold RMS")
        for name, result in results.items():
            for index in range(len(titles)):
                values = [row[index] for row in result.accuracy]
                trace = line(name, colours[name], result.labels, values, "%{x}: %{y:.4f}", legend=index == 0)
                by_strength.add_trace(trace, row=1, col=1 + index)
            thresholds.add_trace(
                line(name, colours[name], result.labels, result.thresholds, "%{x}: RMS %{y:.3f}", legend=True)
            )
        by_strength.update_xaxes(type="category")
        thresholds.update_xaxes(type="category")
        thresholds.update_yaxes(range=[math.log10(NOISE_RMS[0] / 1.2), math.log10(NOISE_RMS[-1] * 1.2)])
        thresholds.update_yaxes(type="log", tickvals=list(NOISE_RMS), ticktext=[f"{rms:g}" for rms in NOISE_RMS])
        figures = [
            figure_record("accuracy by band and strength of noise", by_strength, wide=True),
            figure_record("strength that halves the accuracy above chance", thresholds),
        ]
        return Drawing(figures, [_examples(images)], _beyond(results))


def noise_of(band: Band, count: int, size: tuple[int, int], number: int) -> torch.Tensor:
    """Noise of RMS 1 for the images of batch `number`, the same for every model and strength."""
    return band_noise(count, size, band, 1.0, seeded_generator("band noise", band.low, number))


def threshold(rms: Sequence[float], accuracy: Sequence[float], clean: float, chance: float) -> float | None:
    """The strength at which the accuracy first falls to the middle between `clean` and `chance`, by interpolation over log RMS.

    None if no strength does; the lowest strength if that already does.
    """
    middle = (clean + chance) / 2
    for index, value in enumerate(accuracy):
        if value > middle:
            continue
        if index == 0:
            return rms[0]
        share = (accuracy[index - 1] - middle) / (accuracy[index - 1] - value)
        return math.exp(math.log(rms[index - 1]) + share * math.log(rms[index] / rms[index - 1]))
    return None


def _examples(images: ImageSample) -> Picture:
    """An image with noise of each band."""
    pixels = images.pixels[:1]
    bands = octave_bands(images.size)
    noisy = [pixels + EXAMPLE_RMS * noise_of(band, 1, images.size, 0).to(pixels.device) for band in bands]
    caption = f"An image, and the same with noise of RMS {EXAMPLE_RMS:g} in each band, by rising frequency."
    return strip(torch.cat([pixels, *noisy]), caption)


def _beyond(results: Mapping[str, BandAccuracies]) -> list[str]:
    """A sentence for each model that some noise does not hurt that much."""
    notes = []
    for name, result in results.items():
        labels = [label for label, value in zip(result.labels, result.thresholds, strict=True) if value is None]
        if labels:
            notes.append(f"{name}: no threshold up to RMS {result.rms[-1]:g} in {', '.join(labels)} cycles per image.")
    return notes


register(Bands())
