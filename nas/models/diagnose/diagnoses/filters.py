"""Learned global filters, in frequency and in image space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nas.html import figure_record
from nas.models.diagnose.drawing import facets, line, maps_strip
from nas.models.diagnose.filters import LearnedFilters, filters_of, full_spectrum, kernels
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, NotApplicable, Picture, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from trainers.measuring.frequency import radial_frequency

SHOWN_FILTERS = 12
"""Filters of a layer in its picture."""


@dataclass(frozen=True)
class FilterLayer:
    """The filters of a layer.

    Args:
        layer: the name of the module.
        size: (height, width) of its map.
        filters: their number.
        mean_frequency: mean frequency weighted by the square of the gain, in cycles per position of the map.
        half_radius: radius that holds half of the energy of the kernels, in positions of the map.
        gains, kernels: of the `SHOWN_FILTERS` of most energy: magnitudes with the frequency zero in the middle, and kernels.
    """

    layer: str
    size: tuple[int, int]
    filters: int
    mean_frequency: float
    half_radius: float
    gains: tuple[tuple[tuple[float, ...], ...], ...]
    kernels: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True)
class GlobalFilters:
    """The layers with learned filters, in the order of the network."""

    layers: tuple[FilterLayer, ...]


class Filters(Diagnosis[GlobalFilters]):
    """Learned filters of global-filter and FNO layers."""

    name = "filters"
    order = 6
    title = "Learned global filters"
    about = (
        "A global filter (GFNet; Rao et al., 2021) multiplies the spectrum of each channel by learned complex numbers, which is a"
        " circular convolution with a kernel as large as the map. An FNO has a filter for each pair of channels. The figures give"
        " the mean frequency that the filters of a layer let through, weighted by their squared gain, and the radius that holds"
        " half of the energy of its kernels. AFNO has no filters: its weights are the same for all frequencies."
    )

    def passes(self, images: ImageSample) -> float:
        return 1.0

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> GlobalFilters:
        layers = filters_of(subject.module)
        advance(1)
        if not layers:
            raise NotApplicable("no global filter and no FNO")
        return GlobalFilters(tuple(map(layer_of, layers)))

    def numbers(self, result: GlobalFilters) -> Mapping[str, float | None]:
        frequencies = [layer.mean_frequency for layer in result.layers]
        return {"filter frequency, cycles/position": sum(frequencies) / len(frequencies)}

    def draw(self, results: Mapping[str, GlobalFilters], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        frequency = facets([""], "layer", "mean frequency, cycles per position")
        radius = facets([""], "layer", "radius, positions of the map")
        pictures: list[Picture] = []
        for name, result in results.items():
            places = list(range(1, len(result.layers) + 1))
            frequencies = [layer.mean_frequency for layer in result.layers]
            frequency.add_trace(line(name, colours[name], places, frequencies, "layer %{x}: %{y:.4f}", legend=True))
            radii = [layer.half_radius for layer in result.layers]
            radius.add_trace(line(name, colours[name], places, radii, "layer %{x}: %{y:.2f}", legend=True))
            pictures += [_picture(name, layer) for layer in result.layers]
        for figure in (frequency, radius):
            figure.update_xaxes(dtick=1)
            figure.update_yaxes(rangemode="tozero")
        figures = [
            figure_record("mean frequency of the filters by layer", frequency),
            figure_record("radius of half of the energy of the kernels by layer", radius),
        ]
        return Drawing(figures, pictures)


def layer_of(layer: LearnedFilters) -> FilterLayer:
    """The numbers of a layer."""
    size = layer.size
    power = full_spectrum(layer.power, size)
    frequency = full_spectrum(radial_frequency(size), size)
    energy = kernels(layer.gains, size).double().square().mean(dim=0)
    shown = layer.strongest(SHOWN_FILTERS)
    total = float(power.sum())
    return FilterLayer(
        layer=layer.layer,
        size=size,
        filters=len(layer.gains),
        mean_frequency=float((power * frequency).sum()) / total if total else 0.0,
        half_radius=half_radius(energy),
        gains=_plain(full_spectrum(shown.abs(), size)),
        kernels=_plain(kernels(shown, size)),
    )


def half_radius(energy: torch.Tensor) -> float:
    """The radius around the position (H // 2, W // 2) that holds half of `energy`, `(H, W)`."""
    rows, columns = (torch.arange(side) - side // 2 for side in energy.shape)
    distance = torch.hypot(rows[:, None].double(), columns[None, :].double()).flatten()
    order = distance.argsort(stable=True)
    within = energy.flatten()[order].cumsum(0)
    return float(distance[order][int((within < 0.5 * within[-1]).sum().clamp_max(len(order) - 1))])


def _plain(maps: torch.Tensor) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(row) for row in rows) for rows in maps.tolist())


def _picture(name: str, layer: FilterLayer) -> Picture:
    maps = torch.tensor([*layer.gains, *layer.kernels], dtype=torch.float64).numpy()
    caption = (
        f"{name}, {layer.layer}: the {len(layer.gains)} filters of most energy of {layer.filters}. Above, the gain"
        " by frequency, zero in the middle; below, the kernel. Dark is low, bright is high."
    )
    return maps_strip(maps, caption, len(layer.gains))


register(Filters())
