"""The canonical form of the `space` section of a study: equal for spaces that have the same choices, however they are written.

A single value and a list of it, `4` and `4.0`, a default that is left out or written out, and the order of choices are the same.
The order of stages matters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nas.study.config_file.space_config import DATA_FIELDS, SpaceConfig
from search_space.channel_mixers import CHANNEL_MIXERS
from search_space.mixers import MIXERS
from search_space.registry import SpecRegistry
from search_space.spaces.space import SpaceChoices


def canonical_space(config: SpaceConfig) -> dict[str, Any]:
    """The canonical form of `config`, plain JSON. What follows from the images (`DATA_FIELDS`) is no part of it."""
    choices = SpaceChoices(**{name: getattr(config, name) for name in SpaceChoices.model_fields})
    plain = choices.model_dump(mode="json", exclude=set(DATA_FIELDS))
    stages = [_canonical_stage(stage) for stage in plain.pop("stages")]
    num_stages = _sorted(plain.pop("num_stages") or [len(stages)])
    layout = _sorted(plain.pop("layout"))
    parts = {part: {key: _sorted(value) for key, value in fields.items()} for part, fields in plain.items()}
    return {"stages": stages, "num_stages": num_stages, "layout": layout, **parts}


def _canonical_stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    mixers = {
        "mixer": _canonical_mixers(stage["mixer"], MIXERS),
        "channel_mixer": _canonical_mixers(stage["channel_mixer"], CHANNEL_MIXERS),
    }
    return mixers | {key: _sorted(value) for key, value in stage.items() if key not in mixers}


def _canonical_mixers(given: Mapping[str, Mapping[str, Any]], registry: SpecRegistry[Any]) -> dict[str, Any]:
    """The mixers with all their options, those left out with their default."""
    canonical = {}
    for name, options in given.items():
        fields = registry.find(name).model_fields
        defaults = {key: [field.default] for key, field in fields.items() if not field.is_required()}
        canonical[name] = {key: _sorted(_plain(value)) for key, value in {**defaults, **options}.items()}
    return canonical


def _sorted(value: Any) -> Any:
    """A list of choices in a fixed order; anything else unchanged."""
    return sorted(map(_plain, value), key=_order) if isinstance(value, list) else _plain(value)


def _order(value: Any) -> tuple[float, str]:
    """Numbers by size, then all others by their text."""
    is_number = isinstance(value, int | float)
    return (float(value), "") if is_number else (float("inf"), json.dumps(value, sort_keys=True))


def _plain(value: Any) -> Any:
    """Plain JSON, with whole numbers as int."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
