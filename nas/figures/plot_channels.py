"""A block's channel dependency graph drawn with plotly: columns of points with ribbons and lines between them.

Below each column after the first, a matrix shows what its channels depend on: a row per channel, a column per block input.

Three traces highlight what one output depends on. `layout.meta` holds what a page needs to highlight another output: `first`,
the index of the first of the three traces; `dependencies`, for each group of outputs the `x` and `y` of the three traces;
`groups`, the outputs of each group; `last`, the x at which edges end at the output itself; `outputs`, their number.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

from nas.figures.channels import FULL, INPUT, ChannelsInfo, Dependency, Link, Run
from nas.figures.plot import COLOURS, TEXT_COLOUR, TRANSPARENT
from search_space.channel_graph import Bools

_HIGHLIGHT: Final = COLOURS[1]
_DISTINCT: Final = tuple(COLOURS[i] for i in (0, 2, 3, 4, 6))  # without the highlight and grey
_GRADIENT: Final = tuple(  # for columns with more new colours than `_DISTINCT`: neighbours may look alike
    "#" + "".join(f"{round(part):02x}" for part in unlabel_rgb(colour))
    for colour in sample_colorscale("Viridis", [place / 15 for place in range(16)])
)
_GREYS: Final = {INPUT: "#a3adb8", FULL: "#6f7d8c"}
_COLUMNS_Y: Final = (0.36, 0.9)  # of the figure's height; the matrices are below
_MATRICES_TOP: Final = 0.3
_MATRIX_LABEL: Final = "Below each column:<br>which inputs (across)<br>its channels (down)<br>depend on"
_MAX_THICK_LINES: Final = 64
_MIN_MATRIX_PIXELS: Final = 240  # sharp on a high-resolution screen

Path: TypeAlias = dict[str, list[float | None]]


def channels_figure(info: ChannelsInfo) -> go.Figure:
    """The graph of a block, with the first of its `dependencies` highlighted."""
    figure = go.Figure()
    names = {colour: _colour(colour, info) for column in info.columns for colour in column}
    for name in dict.fromkeys(names[link.colour] for link in info.links):
        shown = [link for link in info.links if names[link.colour] == name]
        figure.add_trace(_ribbons(_outlines(info, shown), name, 0.2))
        figure.add_trace(_strokes(_lines(info, shown), name, 1, 0.45))
    first = len(figure.data)
    paths = [_paths(info, dependency) for dependency in info.dependencies]
    if paths:
        ribbons, lines, point = paths[0]
        marker = {"size": 11, "symbol": "circle", "color": _HIGHLIGHT}
        figure.add_trace(_ribbons(ribbons, _HIGHLIGHT, 0.35))
        figure.add_trace(_strokes(lines, _HIGHLIGHT, 1.6 if len(lines["x"]) <= 3 * _MAX_THICK_LINES else 0.9, 0.9))
        figure.add_trace(go.Scatter(**point, mode="markers", marker=marker, hoverinfo="skip", showlegend=False))
    for column in range(len(info.columns)):
        figure.add_trace(_points(info, column, names))
    _lay_out(figure, info)
    meta = {"first": first, "last": len(info.labels), "outputs": len(info.columns[-1]), "dependencies": paths}
    figure.update_layout(meta=meta | {"groups": [list(dependency.group) for dependency in info.dependencies]})
    return figure


def _paths(info: ChannelsInfo, dependency: Dependency) -> list[Path]:
    """The three traces that highlight what an output depends on: ribbons, lines, and the output itself."""
    at = (dependency.output + 0.5) / len(info.columns[-1])
    point: Path = {"x": [len(info.labels)], "y": [_rounded(at)]}
    return [_outlines(info, dependency.links), _lines(info, dependency.links), point]


def _is_line(link: Link) -> bool:
    return link.inputs[1] - link.inputs[0] == 1 and link.outputs[1] - link.outputs[0] == 1


def _outlines(info: ChannelsInfo, links: Iterable[Link]) -> Path:
    """The outlines of the links that are ribbons, with a gap after each."""
    path: Path = {"x": [], "y": []}
    for link in links:
        if not _is_line(link):
            (a, b), (c, d) = _ends(info, link.layer, link.inputs), _ends(info, link.layer + 1, link.outputs)
            path["x"] += [link.layer, link.layer, link.layer + 1, link.layer + 1, link.layer, None]
            path["y"] += [a, b, d, c, a, None]
    return path


def _lines(info: ChannelsInfo, links: Iterable[Link]) -> Path:
    """The links from one channel to one channel, with a gap after each."""
    path: Path = {"x": [], "y": []}
    for link in links:
        if _is_line(link):
            start, end = _ends(info, link.layer, link.inputs)[0], _ends(info, link.layer + 1, link.outputs)[0]
            path["x"] += [link.layer, link.layer + 1, None]
            path["y"] += [start, end, None]
    return path


def _ends(info: ChannelsInfo, column: int, run: Run) -> tuple[float, float]:
    """The y of the first and of the last channel of a run."""
    channels = len(info.columns[column])
    return _rounded((run[0] + 0.5) / channels), _rounded((run[1] - 0.5) / channels)


def _ribbons(path: Path, colour: str, opacity: float) -> go.Scatter:
    fill = {"mode": "lines", "line": {"width": 0.5, "color": colour}, "fill": "toself", "fillcolor": colour}
    return go.Scatter(**path, **fill, opacity=opacity, hoverinfo="skip", showlegend=False)


def _strokes(path: Path, colour: str, width: float, opacity: float) -> go.Scatter:
    line = {"width": width, "color": colour}
    return go.Scatter(**path, mode="lines", line=line, opacity=opacity, hoverinfo="skip", showlegend=False)


def _points(info: ChannelsInfo, column: int, names: dict[int, str]) -> go.Scatter:
    """The channels of a column that are drawn; in the last column, `customdata` is their number."""
    channels, colours = info.points[column], info.columns[column]
    is_last = column == len(info.labels)
    seen = "" if column == 0 else "<br>depends on %{text} of " + f"{len(info.columns[0])} inputs"
    return go.Scatter(
        x=[column] * len(channels),
        y=[_rounded((channel + 0.5) / len(colours)) for channel in channels],
        mode="markers",
        marker={"size": max(3, min(8, 200 // len(channels))), "color": [names[colours[i]] for i in channels]},
        text=[str(int(info.reach[column - 1][i].sum())) for i in channels] if column else None,
        hovertext=[str(channel) for channel in channels],
        customdata=list(channels) if is_last else None,
        hovertemplate=f"{'output' if is_last else 'channel'} %{{hovertext}}{seen}<extra></extra>",
        showlegend=False,
    )


def _lay_out(figure: go.Figure, info: ChannelsInfo) -> None:
    """Hidden axes, headings above columns and layers, matrices below the columns."""
    steps = len(info.labels)
    headings = [(float(column), f"<b>{len(colours)}</b>") for column, colours in enumerate(info.columns)]
    headings += [(layer + 0.5, "<br>".join(filter(None, label))) for layer, label in enumerate(info.labels)]
    common = {"xref": "x", "yref": "paper", "yanchor": "top", "showarrow": False}
    matrix_label = {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": _MATRICES_TOP,
        "text": _MATRIX_LABEL,
        "align": "left",
    }
    figure.update_layout(
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        font={"family": "system-ui, sans-serif", "size": 12, "color": TEXT_COLOUR},
        margin={"l": 0, "r": 0, "t": 4, "b": 4},
        hovermode="closest",
        dragmode=False,
        xaxis={"visible": False, "fixedrange": True, "range": [-0.5, steps + 0.5]},
        yaxis={"visible": False, "fixedrange": True, "range": [1.02, -0.02], "domain": list(_COLUMNS_Y)},
        annotations=[common | {"x": x, "y": 1, "text": text} for x, text in headings] + [common | matrix_label],
        images=[
            {"source": _matrix(matrix, [_colour(c, info) for c in info.columns[column]]), "layer": "above"}
            | {"xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "top", "sizing": "contain"}
            | {
                "x": (column + 0.5) / (steps + 1),
                "y": _MATRICES_TOP,
                "sizex": 0.96 / (steps + 1),
                "sizey": _MATRICES_TOP,
            }
            for column, matrix in enumerate(info.reach, start=1)
        ],
    )


def _colour(colour: int, info: ChannelsInfo) -> str:
    if colour in _GREYS:
        return _GREYS[colour]
    index, count = info.shades[colour]
    if count <= len(_DISTINCT):
        return _DISTINCT[index]
    return _GRADIENT[index * len(_GRADIENT) // count]


def _matrix(matrix: Bools, colours: Sequence[str]) -> str:
    """A boolean matrix as a framed PNG as a data URL, rows in their `colours`, enlarged by a whole number."""
    palette = [_GREYS[INPUT], *dict.fromkeys(colours)]
    row_colours = np.array([1 + palette[1:].index(colour) for colour in colours], dtype=np.uint8)
    pixels = (matrix * row_colours[:, None] + 0).astype(np.uint8)  # 0 where the matrix is false
    times = max(1, _MIN_MATRIX_PIXELS // max(matrix.shape))
    large = np.pad(pixels.repeat(times, axis=0).repeat(times, axis=1), 2, constant_values=len(palette))
    table = [bytes(3), *(bytes.fromhex(name[1:]) for name in [*palette[1:], palette[0]])]
    return "data:image/png;base64," + base64.b64encode(_png(large, b"".join(table))).decode()


def _png(pixels: np.ndarray[Any, np.dtype[np.uint8]], palette: bytes) -> bytes:
    """A PNG of indices into `palette` (three bytes a colour), whose first colour is transparent."""
    height, width = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0))).tobytes()  # each row begins with its filter type, 0 for none
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", b"\0"), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _rounded(value: float) -> float:
    """Four decimals, a tenth of a pixel."""
    return round(value, 4)
