"""Errors of a configuration in one line: FILE:LINE:COL, the key, the rule and the value found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from nas.errors import ConfigError, UnknownNameError
from nas.study.attribute_types import is_number_text
from nas.study.config_file.space_config import SpaceConfig
from nas.study.config_file.study_file import StudyFile
from search_space.errors import SpaceError, with_value
from search_space.value import dotted_path, rule_text
from trainers.errors import DataError

_RULES = dict.fromkeys(("string_type", "path_type"), "must be text, in quotes where YAML reads something else")
_RULES["string_unicode"] = "must be text in UTF-8"
"""pydantic's type of an error -> the rule in words; others are those of the search space."""
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def check_types(parsed: object, given: object, place: tuple[str | int, ...], source: StudyFile) -> None:
    """Raise `ConfigError` where parsing changed the type of a value: `true` as 1, `1e3` or "7" as a whole number."""
    if isinstance(parsed, SpaceConfig):
        return  # already strict
    if isinstance(given, str) and "\0" in given:
        rule = f"must be text without null characters, found {plain(given)}"
        raise ConfigError(source.where(place), f"{dotted_path(place)}: {rule}")
    if isinstance(given, dict):
        for key, value in given.items():
            inner = parsed[key] if isinstance(parsed, Mapping) else getattr(parsed, key)
            check_types(inner, value, (*place, key), source)
    elif isinstance(given, list) and isinstance(parsed, Sequence):
        for index, (inner, value) in enumerate(zip(parsed, given, strict=True)):
            check_types(inner, value, (*place, index), source)
    elif type(parsed) in _TYPES and type(given) is not type(parsed) and (type(given), type(parsed)) != (int, float):
        shown = f"{given!r:.80}" if isinstance(given, str) else plain(given)  # a text that reads as a number, in quotes
        rule = f"must be {_TYPES[type(parsed)]}, found {shown}"
        raise ConfigError(source.where(place), f"{dotted_path(place)}: {rule}")


def space_config_error(error: SpaceError, source: StudyFile) -> ConfigError:
    """Convert an error of the space into one with its place in the file."""
    placed = error.at("space")
    return ConfigError(source.where(split_place(placed.place)), str(placed))


def config_error(error: ValidationError, source: StudyFile, model: type[BaseModel]) -> ConfigError:
    """Convert the first error of validating `model` into one with its place in the file."""
    errors = error.errors(include_url=False)
    first = next(
        (item for item in errors if item["type"] == "extra_forbidden"), errors[0]
    )  # a typo says more than a gap
    loc = first["loc"]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SpaceError | UnknownNameError | DataError):
        inner = cause.place if cause.place != (loc[-1] if loc else "") else ""
        is_below = not isinstance(cause, DataError) and inner not in map(str, loc)
        path = (*loc, *split_place(inner)) if is_below else loc
        text = str(cause).removeprefix(f"{cause.place}: ")
        return ConfigError(source.where(path), f"{dotted_path(path)}: {text}")
    if first["type"] == "extra_forbidden":
        keys = _fields_at(loc[:-1], model)
        return ConfigError(source.where(loc), str(UnknownNameError(dotted_path(loc), "key", loc[-1], keys)))
    rule = _RULES.get(first["type"]) or rule_text(first)
    if not loc:  # of fields together: the rule begins with the key that breaks it
        key, _, rest = rule.partition(": ")
        if rest and key.partition(".")[0] in model.model_fields:
            loc, rule = split_place(key), rest
    text = rule if first["type"] in ("missing", "value_error") else with_value(rule, plain(first["input"]))
    return ConfigError(source.where(loc), f"{dotted_path(loc)}: {text}")


def _fields_at(loc: Sequence[str | int], root: type[BaseModel]) -> list[str]:
    """The keys that are allowed at `loc`."""
    model: Any = root
    for part in loc:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        annotation = field.annotation if field is not None else None
        model = next((inner for inner in get_args(annotation) if inner is not type(None)), annotation)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def split_place(place: str) -> tuple[str | int, ...]:
    """`stages[2].mixer` as `("stages", 2, "mixer")`."""
    parts = place.replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if is_number_text(part) else part for part in parts if part)


def plain(value: object) -> str:
    """`value` as YAML, truncated to 80 characters."""
    text = (
        yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        if _is_plain(value)
        else repr(value)
    )
    return text if len(text) <= 80 else text[:77] + "..."


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list | dict) or value is None
