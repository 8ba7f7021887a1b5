"""The mean attention distance of each layer of attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from nas.html import figure_record
from nas.models.diagnose.attention_maps import AttentionCall, watch_attention
from nas.models.diagnose.drawing import facets, line
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, NotApplicable, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample

MAX_IMAGES = 64
"""Images that distances are averaged over."""
MAX_BATCH_PIXELS = 16 * 64 * 64
"""Pixels of a pass: the weights of all pairs of positions are in memory at once."""


@dataclass(frozen=True)
class AttentionDistances:
    """The mean attention distance, in pixels.

    Args:
        layers: the names of the layers of attention, in the order in which they run.
        heads: for each layer, the distance of each head.
    """

    layers: tuple[str, ...]
    heads: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> list[float]:
        """The mean over heads of each layer."""
        return [mean(values) for values in self.heads]


class Attention(Diagnosis[AttentionDistances]):
    """Mean attention distance by layer."""

    name = "attention"
    order = 4
    title = "Mean attention distance"
    about = (
        "The distance in pixels between a position and the positions it attends to, weighted by attention and averaged over"
        " positions and images: the size of the receptive field of attention (Dosovitskiy et al., An image is worth 16x16 words,"
        " 2021, figure 7). A point is a head, the line is the mean of a layer. Class tokens are left out."
    )

    def passes(self, images: ImageSample) -> float:
        return min(MAX_IMAGES, len(images))

    @torch.no_grad()
    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> AttentionDistances:
        sums: dict[str, Tensor] = {}

        def add(call: AttentionCall) -> None:
            distance = mean_distance(call.weights, call.distance) * images.size[0]
            sums[call.layer] = sums.get(call.layer, 0) + distance.double().cpu() * share

        sample = images.first(MAX_IMAGES)
        with watch_attention(subject.module, add) as count:
            if not count:
                raise NotApplicable("no layer of attention whose positions are known")
            for pixels in sample.pixels.split(max(1, MAX_BATCH_PIXELS // (images.size[0] * images.size[1]))):
                share = len(pixels) / len(sample)
                subject.logits(pixels)
                advance(len(pixels))
        if not sums:
            raise NotApplicable("no layer of attention calls scaled_dot_product_attention")
        return AttentionDistances(tuple(sums), tuple(tuple(heads.tolist()) for heads in sums.values()))

    def numbers(self, result: AttentionDistances) -> Mapping[str, float | None]:
        return {"attention distance, px": mean(result.means)}

    def draw(
        self, results: Mapping[str, AttentionDistances], colours: Mapping[str, str], images: ImageSample
    ) -> Drawing:
        figure = facets([""], "layer of attention", "mean attention distance, pixels")
        for name, result in results.items():
            places = list(range(1, len(result.layers) + 1))
            trace = line(name, colours[name], places, result.means, "layer %{x}: %{y:.2f} pixels", legend=True)
            figure.add_trace(trace)
            points = [(place, value) for place, values in zip(places, result.heads, strict=True) for value in values]
            x, y = [place for place, _ in points], [value for _, value in points]
            heads = line(name, colours[name], x, y, "a head: %{y:.2f} pixels", legend=False)
            figure.add_trace(heads.update(mode="markers", marker={"size": 6, "opacity": 0.45}))
        figure.update_xaxes(dtick=1)
        figure.update_yaxes(rangemode="tozero")
        return Drawing([figure_record("mean attention distance by layer", figure)])


def mean_distance(weights: Tensor, distance: Tensor) -> Tensor:
    """The mean over batch and queries of the distance weighted by attention, `(B, heads, N, M)` and `(N, M) -> (heads,)`."""
    return (weights * distance).sum(dim=-1).mean(dim=(0, 2))


register(Attention())
