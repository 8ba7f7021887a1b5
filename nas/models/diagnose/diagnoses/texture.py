"""Shape against texture: shuffled patches, and images with the phase of one class and the amplitude of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.html import figure_record
from nas.models.diagnose.drawing import bars, facets, line, strip
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, NotApplicable, Picture, register
from nas.models.diagnose.subject import BATCH_IMAGES, DiagnosedModel, ImageSample
from trainers.measuring.corruptions import seeded_generator

GRIDS = (2, 4, 8)
"""Patches a side of a shuffled image."""
EXAMPLES = 4


@dataclass(frozen=True)
class ShapeAndTexture:
    """What decisions follow.

    Args:
        clean: accuracy on the images as they are.
        shuffled: patches a side -> accuracy on images whose patches are shuffled.
        conflicts: number of cue-conflict images: the phase of one class and the amplitude of another.
        by_phase: share of them that are classified as the class of the phase (shape).
        by_amplitude: share of them that are classified as the class of the amplitude (texture).
        shape_share: of the decisions for one of the two, those by phase; None if there is none.
    """

    clean: float
    shuffled: Mapping[int, float]
    conflicts: int
    by_phase: float
    by_amplitude: float
    shape_share: float | None


class Texture(Diagnosis[ShapeAndTexture]):
    """Shape against texture."""

    name = "texture"
    order = 3
    title = "Shape against texture"
    about = (
        "Shuffled patches keep the texture and lose the shape: a network that keeps its accuracy decides by texture. Cue-conflict"
        " images, made from pairs of these images of different classes, have the phase of the Fourier transform of one, which"
        " holds its outlines (Oppenheim and Lim, 1981), and the amplitude of the other. The share of decisions by phase is, as in"
        " Geirhos et al. (ImageNet-trained CNNs are biased towards texture, 2019), taken of those for one of the two classes."
    )

    def passes(self, images: ImageSample) -> float:
        return len(images) * (2 + len(grids_of(images.size)))

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> ShapeAndTexture:
        grids = grids_of(images.size)
        partners = conflict_partners(images.labels)
        if not bool((partners >= 0).any()):
            raise NotApplicable("the images are of one class")
        shuffled = dict.fromkeys(grids, 0)
        clean = 0
        for number, pixels, labels in images.batches():
            clean += subject.correct(pixels, labels)
            for grid in grids:
                shuffled[grid] += subject.correct(shuffle_patches(pixels, grid, number), labels)
            advance(len(pixels) * (1 + len(grids)))
        by_phase, by_amplitude, pairs = 0, 0, 0
        for own in (partners >= 0).nonzero().flatten().split(BATCH_IMAGES):
            conflict = swap_amplitude(images.pixels[own], images.pixels[partners[own]])
            predicted = subject.predict(conflict)
            by_phase += int((predicted == images.labels[own]).sum())
            by_amplitude += int((predicted == images.labels[partners[own]]).sum())
            pairs += len(own)
            advance(len(own))
        decided = by_phase + by_amplitude
        return ShapeAndTexture(
            clean=clean / len(images),
            shuffled={grid: count / len(images) for grid, count in shuffled.items()},
            conflicts=pairs,
            by_phase=by_phase / pairs,
            by_amplitude=by_amplitude / pairs,
            shape_share=by_phase / decided if decided else None,
        )

    def numbers(self, result: ShapeAndTexture) -> Mapping[str, float | None]:
        coarse = min(result.shuffled, default=None)
        return {
            "shuffled 2 x 2": None if coarse is None else result.shuffled[coarse],
            "decisions by shape": result.shape_share,
        }

    def draw(self, results: Mapping[str, ShapeAndTexture], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        shuffled = facets([""], "patches a side", "accuracy")
        conflict = facets([""], "decision", "share of cue-conflict images")
        for name, result in results.items():
            x, y = ["1", *map(str, result.shuffled)], [result.clean, *result.shuffled.values()]
            shuffled.add_trace(line(name, colours[name], x, y, "%{x} patches a side: %{y:.4f}", legend=True))
            shares = [result.by_phase, result.by_amplitude, 1 - result.by_phase - result.by_amplitude]
            heads = ["class of the phase", "class of the amplitude", "another class"]
            conflict.add_trace(bars(name, colours[name], heads, shares, "%{x}: %{y:.4f}"))
        shuffled.update_xaxes(type="category")
        conflict.update_layout(barmode="group")
        figures = [
            figure_record("accuracy on shuffled patches", shuffled),
            figure_record("decisions on cue-conflict images", conflict),
        ]
        return Drawing(figures, _examples(images))


def grids_of(size: tuple[int, int]) -> tuple[int, ...]:
    """The grids with patches of at least one pixel."""
    return tuple(grid for grid in GRIDS if grid <= min(size))


def shuffle_patches(images: Tensor, grid: int, seed: int) -> Tensor:
    """Images `(B, C, H, W)` whose `grid` x `grid` patches change places, each image in an order of its own.

    Rows and columns that are left over at the lower and right border stay.
    """
    batch, channels = images.shape[:2]
    rows, columns = images.shape[2] // grid, images.shape[3] // grid
    inner = images[:, :, : rows * grid, : columns * grid]
    patches = inner.reshape(batch, channels, grid, rows, grid, columns).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    draws = torch.rand(batch, grid**2, generator=seeded_generator("patches", grid, seed))
    order = draws.argsort(dim=1).to(images.device)[:, :, None, None, None].expand_as(patches)
    moved = patches.gather(1, order).unflatten(1, (grid, grid)).permute(0, 3, 1, 4, 2, 5)
    shuffled = images.clone()
    shuffled[:, :, : rows * grid, : columns * grid] = moved.reshape(inner.shape)
    return shuffled


def swap_amplitude(shapes: Tensor, textures: Tensor) -> Tensor:
    """Images with the phase of `shapes` and the amplitude of `textures`, each `(B, C, H, W)`; not clipped."""
    phase = torch.fft.rfft2(shapes).angle()
    amplitude = torch.fft.rfft2(textures).abs()
    return torch.fft.irfft2(torch.polar(amplitude, phase), s=shapes.shape[2:])


def conflict_partners(labels: Tensor) -> Tensor:
    """For each image, the row of an image of another class, int64 `(N,)`: the next one of another class; -1 if there is none."""
    values = labels.tolist()
    partners = []
    for row, label in enumerate(values):
        later = ((row + step) % len(values) for step in range(1, len(values)))
        partners.append(next((other for other in later if values[other] != label), -1))
    return torch.tensor(partners, dtype=torch.int64, device=labels.device)


def _examples(images: ImageSample) -> list[Picture]:
    pixels = images.pixels[:1]
    shuffled = [shuffle_patches(pixels, grid, 0) for grid in grids_of(images.size)]
    partners = conflict_partners(images.labels)[:EXAMPLES]
    own = (partners >= 0).nonzero().flatten()
    shapes, textures = images.pixels[own], images.pixels[partners[own]]
    rows = torch.stack((shapes, textures, swap_amplitude(shapes, textures)), dim=1).flatten(0, 1)
    return [
        strip(torch.cat([pixels, *shuffled]), "An image, and its patches shuffled."),
        strip(
            rows,
            "In threes: an image, one of another class, and the phase of the first with the amplitude of the other.",
            6,
        ),
    ]


register(Texture())
