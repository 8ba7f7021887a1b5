"""The effective receptive field: which pixels the centre of the last feature map depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.html import figure_record
from nas.models.diagnose.drawing import facets, line, maps_strip
from nas.models.diagnose.feature_maps import last_feature_map
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample

MAX_IMAGES = 64
"""Images that the gradient is averaged over."""
BATCH_IMAGES = 16
PASSES_OF_GRADIENT = 3.0


@dataclass(frozen=True)
class ReceptiveField:
    """The effective receptive field of the centre of the last feature map.

    Args:
        map: the share of each pixel, rows of columns, with sum 1.
        centre: (row, column) of the centre of the output in pixels of the image.
        half_radius: radius around it of the disk that holds half of the map, in pixels.
        radius_shares: for each whole radius from 0, the share of the map within it.
    """

    map: tuple[tuple[float, ...], ...]
    centre: tuple[float, float]
    half_radius: float
    radius_shares: tuple[float, ...]


class ReceptiveFields(Diagnosis[ReceptiveField]):
    """The effective receptive field."""

    name = "receptive_field"
    order = 5
    title = "Effective receptive field"
    about = (
        "The gradient of the centre of the last feature map, before it is averaged, with respect to the pixels: the absolute"
        " value, averaged over images and summed over the channels of the image (Luo et al., Understanding the effective"
        " receptive field in deep convolutional neural networks, 2016). The channels of the map are summed with random signs,"
        " since their plain sum is constant after a layer norm. The radius holds half of the gradient."
    )

    def passes(self, images: ImageSample) -> float:
        return PASSES_OF_GRADIENT * min(MAX_IMAGES, len(images))

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> ReceptiveField:
        total = torch.zeros(images.size, dtype=torch.float64)
        centre = (0.0, 0.0)
        generator = torch.Generator().manual_seed(0)  # of the signs
        for pixels in images.first(MAX_IMAGES).pixels.split(BATCH_IMAGES):
            inputs = pixels.clone().requires_grad_()
            features = last_feature_map(subject, inputs)
            rows, columns = features.shape[2:]
            centre = map_centre(images.size, (rows, columns))
            middle = features[:, :, rows // 2, columns // 2]
            signs = 2.0 * torch.randint(2, middle.shape, generator=generator) - 1
            (gradient,) = torch.autograd.grad((middle * signs.to(middle.device)).sum(), inputs)
            total += gradient.abs().sum(dim=(0, 1)).double().cpu()
            advance(PASSES_OF_GRADIENT * len(pixels))
        return field_of(total, centre)

    def numbers(self, result: ReceptiveField) -> Mapping[str, float | None]:
        return {"receptive radius, px": result.half_radius}

    def draw(self, results: Mapping[str, ReceptiveField], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        figure = facets([""], "radius, pixels", "share within the radius")
        for name, result in results.items():
            radii = list(range(len(result.radius_shares)))
            hover = "within %{x} pixels: %{y:.4f}"
            figure.add_trace(line(name, colours[name], radii, result.radius_shares, hover, legend=True))
        maps = np.array([np.sqrt(np.array(result.map)) for result in results.values()])
        caption = f"Square root of the map of {', '.join(results)}, in this order, each to its own maximum."
        return Drawing(
            [figure_record("share of the gradient within a radius", figure)], [maps_strip(maps, caption, len(maps))]
        )


def map_centre(image_size: tuple[int, int], map_size: tuple[int, int]) -> tuple[float, float]:
    """(row, column) in the image of the position (rows // 2, columns // 2) of a map that covers the image."""
    row, column = ((place // 2 + 0.5) * side / place - 0.5 for side, place in zip(image_size, map_size, strict=True))
    return row, column


def field_of(total: Tensor, centre: tuple[float, float]) -> ReceptiveField:
    """The receptive field of a map of absolute gradients, `(H, W)` float64, around `centre`."""
    shares = total / total.sum() if bool(total.sum() > 0) else torch.zeros_like(total)
    rows, columns = torch.arange(total.shape[0]) - centre[0], torch.arange(total.shape[1]) - centre[1]
    distance = torch.hypot(rows[:, None], columns[None, :]).double()
    order = distance.flatten().argsort(stable=True)
    within = shares.flatten()[order].cumsum(0)
    half = int((within < 0.5).sum().clamp_max(len(order) - 1))
    radii = range(int(distance.max().ceil()) + 1)
    return ReceptiveField(
        map=tuple(tuple(row) for row in shares.tolist()),
        centre=centre,
        half_radius=float(distance.flatten()[order][half]),
        radius_shares=tuple(float(shares[distance <= radius].sum()) for radius in radii),
    )


register(ReceptiveFields())
