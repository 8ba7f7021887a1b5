"""Marks beside the trials of a study: networks of the literature at its image size, and the front of an earlier study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from nas.analysis.columns import StudyColumns
from nas.errors import StudyError
from nas.objectives.costs import cost_values
from nas.study.content import StudySnapshot
from nas.study.info import StudyInfo
from nas.study.layout import place_file
from search_space import presets
from search_space.errors import SpaceError

REFERENCE_PRESETS = (
    "convmixer_256_8_cifar",
    "vit_tiny_patch16",
    "mixer_s16",
    "gfnet_ti",
    "afnonet_256_12_p16",
    "poolformer_s12",
    "shiftvit_t",
    "swin_tiny_patch4_window7",
    "as_mlp_t",
    "wave_mlp_t",
    "clcnet_a",
    "lambda_resnet26t",
)
"""One preset a family, its smallest or best known."""


def references(info: StudyInfo) -> list[dict[str, Any]]:
    """The marks of a study as plain JSON: `{"label", "kind": "preset" or "study", "values": {field: value}}`."""
    return [*_presets(info.dataset), *_earlier_front(info)]


def _presets(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        height, width = dataset["image_size"]
        shape = (int(height), int(width)), int(dataset["in_chans"]), int(dataset["num_classes"])
    except (KeyError, TypeError, ValueError):
        return []  # a study that does not describe its images
    costs = _preset_costs(*shape)
    return [{"label": name, "kind": "preset", "values": dict(values)} for name, values in costs.items()]


@lru_cache(maxsize=64)
def _preset_costs(image_size: tuple[int, int], in_chans: int, num_classes: int) -> Mapping[str, Mapping[str, float]]:
    """The exact costs of those of `REFERENCE_PRESETS` that exist for such images, by name."""
    costs: dict[str, Mapping[str, float]] = {}
    for name in REFERENCE_PRESETS:
        try:
            network = presets.get(name).replace(image_size=image_size, in_chans=in_chans, num_classes=num_classes)
            costs[name] = cost_values(network)
        except SpaceError:
            continue  # its patches or windows do not divide such an image
    return costs


def _earlier_front(info: StudyInfo) -> Iterator[dict[str, Any]]:
    """The front of the study that this one started from, if its folder can be read."""
    path = (info.config.get("start") or {}).get("study")
    if not path:
        return
    folder = Path(str(path))
    try:
        changed_ns = place_file(folder).stat().st_mtime_ns
        marks = _front_of(folder, changed_ns)
    except (OSError, StudyError):
        return  # moved or removed since
    yield from ({"label": label, "kind": "study", "values": dict(values)} for label, values in marks)


@lru_cache(maxsize=16)
def _front_of(folder: Path, changed_ns: int) -> tuple[tuple[str, Mapping[str, float]], ...]:
    """The label and the objectives of each trial on the front of the study in `folder`, changed last at `changed_ns`."""
    study = StudySnapshot.of(folder)
    columns = StudyColumns.of(study.objectives, study.trials)
    names = [objective.name for objective in study.objectives]
    entries = (entry for entry in columns.front.entries if entry.removed_by < 0)
    return tuple(
        (f"{study.name}, trial {entry.trial}", dict(zip(names, map(float, entry.values), strict=True)))
        for entry in entries
    )
