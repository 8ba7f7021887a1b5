"""The parts of an architecture, from the image to the head, with their shapes, options and costs, as plain JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nas.analysis.architecture_text import ArchitectureText, PartText, PlainArchitecture, describe_known
from nas.study.operator_table import OperatorTable
from search_space import Architecture, cost_by_part
from search_space.errors import SpaceError

SECONDS_DIGITS = 4


def known_architecture(architecture: PlainArchitecture | None) -> Architecture | None:
    """The architecture that the JSON describes; None without one, or for one that this release does not know."""
    try:
        return Architecture.from_dict(dict(architecture)) if architecture else None
    except SpaceError:
        return None


def plain_parts(text: ArchitectureText) -> list[dict[str, Any]]:
    """The parts of an architecture: image, stem, stages, head.

    Each has a `kind` ("image", "stem", "stage" or "head") and, where they are not empty, the fields of `PartText`: `title`,
    `shape`, `layers` ([[name, options], ...]), `depth`, `transition`, `notes`, `mixer`.
    """
    return [{"kind": part.title.split(" ")[0], **_plain(part)} for part in text.parts]


def known_parts(architecture: Architecture) -> list[dict[str, Any]]:
    """The parts of an architecture that this release knows, with their shapes and costs.

    Each has the keys of `plain_parts`, `size` ([height, width] of the output), `width` (its channels) and, but for the image,
    `cost`: MACs, Fourier operations, parameters and bytes of activations of one image. These add up to the cost of the network.
    """
    parts = plain_parts(describe_known(architecture))
    for part, shape in zip(parts, _shapes(architecture), strict=True):
        part |= shape
    for part, cost in zip(parts[1:], cost_by_part(architecture), strict=True):
        part["cost"] = [cost.macs, cost.fft_flops, cost.params, cost.activation_bytes]
    return parts


def predicted_seconds(table: OperatorTable, architecture: Architecture) -> list[float]:
    """Predicted seconds of a pass of `table.batch_size` images in the stem, in each stage and in the head."""
    return [float(f"{seconds:.{SECONDS_DIGITS}g}") for seconds in table.seconds_by_part(architecture)]


def _plain(part: PartText) -> dict[str, Any]:
    fields: Mapping[str, Any] = {
        "title": part.title,
        "shape": part.shape,
        "layers": [list(layer) for layer in part.layers],
        "depth": part.depth if part.mixer else None,
        "transition": part.transition,
        "notes": part.notes,
        "mixer": part.mixer,
    }
    return {name: value for name, value in fields.items() if value}


def _shapes(architecture: Architecture) -> Iterator[dict[str, Any]]:
    """Map size and width of the output of each part."""
    first = architecture.stage_inputs[0]
    yield {"size": list(architecture.image_size), "width": architecture.in_chans}
    yield {"size": list(first.size), "width": first.width}
    for stage, size in zip(architecture.stages, architecture.sizes, strict=True):
        yield {"size": list(size), "width": stage.width}
    yield {"size": [1, 1], "width": architecture.num_classes}
