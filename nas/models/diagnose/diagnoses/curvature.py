"""The curvature of the loss at the trained weights: the greatest eigenvalue of the Hessian, and a slice of the loss surface."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.formatting import finite_or_none
from nas.html import figure_record
from nas.models.diagnose.curvature import MAX_ITERATIONS, hessian_eigenvalues, loss_surface
from nas.models.diagnose.drawing import facets, line
from nas.models.diagnose.registry import Advance, Diagnosis, Drawing, NotApplicable, register
from nas.models.diagnose.subject import DiagnosedModel, ImageSample

MIN_IMAGES, MAX_IMAGES = 8, 64
MAX_PIXELS = 64 * 64 * 64
"""Images of the batch that the loss is the mean over, and their pixels: all gradients of the batch are in memory at once."""
STEPS = tuple(step / 5 for step in range(-5, 6))
"""Coordinates of the slice, as shares of the norms of the filters."""
MIN_DRAWN_LOSS = 1e-12
PASSES_OF_PRODUCT = 12.0
"""Passes of an image that a product with the Hessian is worth: two gradients in double precision."""


@dataclass(frozen=True)
class Curvature:
    """The curvature of the loss.

    Args:
        images: of the batch.
        loss: mean cross-entropy of the batch.
        greatest: greatest eigenvalue of the Hessian.
        error: bound of its error.
        lowest: lowest eigenvalue; negative where the weights are not at a minimum.
        products: products with the Hessian until then.
        steps: coordinates along both directions.
        surface: the loss in the plane, a row for each coordinate along the second direction; None: not finite.
    """

    images: int
    loss: float
    greatest: float
    error: float
    lowest: float
    products: int
    steps: tuple[float, ...]
    surface: tuple[tuple[float | None, ...], ...]

    @property
    def slice(self) -> tuple[float | None, ...]:
        """The loss along the first direction."""
        return self.surface[len(self.steps) // 2]


class Curvatures(Diagnosis[Curvature]):
    """Greatest eigenvalue of the Hessian, and the loss surface."""

    name = "curvature"
    order = 8
    title = "Curvature of the loss"
    about = (
        "The greatest eigenvalue of the Hessian of the cross-entropy of a batch with respect to the weights, by Lanczos with"
        " products from differences of gradients; a large one is a sharp minimum. The slice shows the loss in a plane of two"
        " random directions whose filters have the norms of the network's (Li et al., Visualizing the loss landscape of neural"
        " nets, 2018); 1 is as far as the filters are long. Batch norm keeps its statistics."
    )

    def passes(self, images: ImageSample) -> float:
        return len(batch_of(images)) * (MAX_ITERATIONS * PASSES_OF_PRODUCT + len(STEPS) ** 2)

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> Curvature:
        if not subject.params:
            raise NotApplicable("no weights that can be moved")
        batch = batch_of(images)
        count = len(batch)
        try:
            eigenvalues = hessian_eigenvalues(
                subject.module,
                _loss(subject, batch, torch.float64),
                on_product=lambda: advance(PASSES_OF_PRODUCT * count),
            )
        except FloatingPointError as error:
            raise NotApplicable(str(error)) from None
        advance((MAX_ITERATIONS - eigenvalues.iterations) * PASSES_OF_PRODUCT * count)
        loss = _loss(subject, batch, torch.float32)
        surface = loss_surface(subject.module, loss, list(STEPS), on_loss=lambda: advance(count))
        with torch.no_grad():
            own = float(loss(subject.module))
        return Curvature(
            images=count,
            loss=own,
            greatest=eigenvalues.greatest,
            error=eigenvalues.error,
            lowest=eigenvalues.lowest,
            products=eigenvalues.iterations,
            steps=STEPS,
            surface=tuple(tuple(finite_or_none(value) for value in row) for row in surface),
        )

    def numbers(self, result: Curvature) -> Mapping[str, float | None]:
        return {"greatest eigenvalue": result.greatest}

    def draw(self, results: Mapping[str, Curvature], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        cut = facets([""], "along the first direction", "loss")
        planes = facets(list(results), "first direction", "second direction")
        values = [value for result in results.values() for row in result.surface for value in row if value is not None]
        logs = list(map(_log, values)) or [0.0]
        notes = []
        for index, (name, result) in enumerate(results.items()):
            cut.add_trace(line(name, colours[name], result.steps, result.slice, "at %{x}: %{y:.4f}", legend=True))
            planes.add_trace(_contours(result, is_first=index == 0, ends=(min(logs), max(logs))), row=1, col=1 + index)
            notes.append(
                f"{name}: eigenvalues from {result.lowest:.4g} to {result.greatest:.4g} (to {result.error:.1g}), loss"
                f" {result.loss:.4f}, {result.images} images."
            )
        figures = [
            figure_record("loss surface: logarithm of the loss", planes, wide=True),
            figure_record("loss along the first direction", cut),
        ]
        return Drawing(figures, notes=notes)


def batch_of(images: ImageSample) -> ImageSample:
    """The images that the loss is the mean over: up to `MAX_IMAGES`, fewer of more than 64 x 64 pixels."""
    fitting = MAX_PIXELS // (images.size[0] * images.size[1])
    return images.first(max(MIN_IMAGES, min(MAX_IMAGES, fitting)))


def _loss(subject: DiagnosedModel, batch: ImageSample, dtype: torch.dtype) -> Callable[[nn.Module], Tensor]:
    """The mean cross-entropy of a copy of the subject's module, of `dtype`."""
    inputs = subject.normalised(batch.pixels).to(dtype)

    def loss(module: nn.Module) -> Tensor:
        return F.cross_entropy(subject.ordered(module(inputs)), batch.labels)

    return loss


def _contours(result: Curvature, is_first: bool, ends: tuple[float, float]) -> go.Contour:
    values = [[None if value is None else _log(value) for value in row] for row in result.surface]
    return go.Contour(
        x=list(result.steps),
        y=list(result.steps),
        z=values,
        zmin=ends[0],
        zmax=ends[1],
        ncontours=16,
        colorscale="Cividis",
        reversescale=True,
        showscale=is_first,
        colorbar={"title": {"text": "log10 of the loss", "side": "right"}, "thickness": 14},
        hovertemplate="(%{x}, %{y}): 10^%{z:.3f}<extra></extra>",
    )


def _log(loss: float) -> float:
    """The logarithm of a loss; that of a network which is sure of what is right is zero."""
    return math.log10(max(loss, MIN_DRAWN_LOSS))


register(Curvatures())
