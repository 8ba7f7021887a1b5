"""What the figures and pictures of diagnoses share: facets, a line or a bar for each model, images as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image
from plotly.colors import sample_colorscale, unlabel_rgb
from plotly.subplots import make_subplots
from torch import Tensor

from nas.figures.plot import apply_style
from nas.figures.plotly_text import plotly_text
from nas.models.diagnose.registry import Picture

PICTURE_WIDTH = 720
"""CSS pixels that pictures are enlarged to by a whole number, about."""
GAP_PX = 2


def facets(titles: Sequence[str], x: str, y: str) -> go.Figure:
    """An empty figure of axes side by side, styled.

    Args:
        titles: of the axes, plain text; one empty title for a figure of one pair of axes.
        x: title of all x axes.
        y: title of the y axis that all share.
    """
    figure = make_subplots(
        rows=1,
        cols=len(titles),
        shared_yaxes=True,
        subplot_titles=[plotly_text(title) for title in titles],
        horizontal_spacing=0.03,
    )
    apply_style(figure)
    has_titles = any(titles)
    figure.update_layout(
        margin={"l": 64, "r": 16, "t": 64 if has_titles else 28, "b": 52},
        legend={"orientation": "h", "x": 0, "y": 1.1 if has_titles else 1.02, "yanchor": "bottom"},
        hovermode="closest",
        hoverlabel={"align": "left"},
    )
    figure.update_annotations(font={"size": 12})
    figure.update_xaxes(title_text=plotly_text(x))
    figure.update_yaxes(title_text=plotly_text(y), col=1)
    return figure


def line(
    name: str, colour: str, x: Sequence[Any], y: Sequence[float | None], hover: str, *, legend: bool
) -> go.Scatter:
    """The line of a model; `hover` is plotly's template after its name, in which numbers have no HTML."""
    return go.Scatter(
        x=list(x),
        y=list(y),
        mode="lines+markers",
        name=plotly_text(name),
        legendgroup=name,
        showlegend=legend,
        line={"color": colour, "width": 2},
        marker={"size": 7},
        hovertemplate=f"{plotly_text(name)}<br>{hover}<extra></extra>",
    )


def bars(name: str, colour: str, x: Sequence[str], y: Sequence[float | None], hover: str) -> go.Bar:
    """The bars of a model."""
    return go.Bar(
        x=[plotly_text(text) for text in x],
        y=list(y),
        name=plotly_text(name),
        marker_color=colour,
        hovertemplate=f"{plotly_text(name)}<br>{hover}<extra></extra>",
    )


def strip(images: Tensor, caption: str, columns: int = 8) -> Picture:
    """Images float `(N, C, H, W)` of 0..1 in rows of `columns`."""
    return picture(tiled(_bytes(images), columns), caption)


def maps_strip(maps: NDArray[np.floating[Any]], caption: str, columns: int) -> Picture:
    """Maps `(N, H, W)` in rows of `columns`, each from its own lowest value (dark) to its highest (bright)."""
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    shares = (maps - low) / np.where(high > low, high - low, 1.0)
    return picture(tiled(_viridis()[np.rint(255 * shares).astype(np.intp)], columns), caption)


def tiled(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images `(N, H, W, 3)` in rows of `columns`, with gaps between them, as one image."""
    count, height, width, _ = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + GAP_PX), index % columns * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = image
    return sheet


def picture(pixels: NDArray[np.uint8], caption: str) -> Picture:
    """An image `(H, W, 3)` as a PNG; small ones are shown enlarged, with sharp pixels."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", optimize=True)
    source = base64.b64encode(stream.getvalue()).decode("ascii")
    width = pixels.shape[1]
    factor = max(1, round(PICTURE_WIDTH / width))
    return Picture(caption, f"data:image/png;base64,{source}", width * factor)


def _bytes(images: Tensor) -> NDArray[np.uint8]:
    """Images float `(N, C, H, W)` of 0..1 as `(N, H, W, 3)`; of other than 1 or 3 channels, the mean."""
    pixels = images.detach().float().clamp(0, 1).mul(255).round().byte().cpu()
    if pixels.shape[1] != 3:
        pixels = pixels.float().mean(dim=1, keepdim=True).byte().expand(-1, 3, -1, -1)
    return np.asarray(pixels.permute(0, 2, 3, 1).numpy(), np.uint8)


@lru_cache(maxsize=1)
def _viridis() -> NDArray[np.uint8]:
    """256 colours from dark to bright, `(256, 3)`."""
    colours = sample_colorscale("Viridis", [place / 255 for place in range(256)])
    return np.array([unlabel_rgb(colour) for colour in colours]).round().astype(np.uint8)
