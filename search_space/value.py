"""The base class of every description: a frozen, strictly typed value, validated and made canonical at construction.

A thin layer over pydantic that turns its errors into those of this package, so that a typo in `stages[2].mixer` is
reported the same way from YAML, JSON and Python.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from search_space.errors import ArchitectureError, SpaceError, suggestion, unknown_name
from search_space.field_types import MAX_FACTOR, MAX_NUMBER

T = TypeVar("T", bound="Value")


class Value(BaseModel):
    """A frozen value; construction raises `SpaceError` on bad input.

    Types are strict (no `"3"` for 3, no 1 for True); unknown keys are refused, and numbers that are not finite or above
    `MAX_NUMBER` or `MAX_FACTOR`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        _check_numbers(data)
        try:
            super().__init__(**data)
            changes = self.canonical_changes()
            if changes:
                super().__init__(**(data | changes))
        except ValidationError as error:
            raise space_error(error, type(self)) from None

    def canonical_changes(self) -> dict[str, Any]:
        """The fields to construct this value with instead, so that descriptions with one meaning are equal.

        Called once the fields are valid; empty for the canonical form.
        """
        return {}

    def non_defaults(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain JSON; a new option with a default does not change it."""
        fields = type(self).model_fields
        given = {name: getattr(self, name) for name in fields}
        return {name: _plain_non_defaults(value) for name, value in given.items() if value != fields[name].default}

    def replace(self: T, **changes: Any) -> T:
        """A copy with `changes` to its fields, validated again."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)


def _check_numbers(data: dict[str, Any]) -> None:
    for name, value in data.items():
        if not isinstance(value, int | float):
            continue
        limit = MAX_NUMBER if isinstance(value, int) else MAX_FACTOR
        if limit < value < math.inf:  # pydantic refuses those that are not finite
            raise ArchitectureError(name, f"must be at most {limit:.0f}", value)


def _plain_non_defaults(value: object) -> object:
    if isinstance(value, Value):
        return value.non_defaults()
    return [_plain_non_defaults(item) for item in value] if isinstance(value, tuple) else value


def space_error(error: ValidationError, model: type[BaseModel]) -> SpaceError:
    """The first of the errors in a pydantic `error` about `model`, as an error of this package.

    A missing key beside an unknown one is the unknown one, which is likely to be misspelt.
    """
    errors = error.errors(include_url=False)
    first = errors[0]
    if first["type"] == "missing":
        beside = first["loc"][:-1]
        first = next((e for e in errors if e["type"] == "extra_forbidden" and e["loc"][:-1] == beside), first)
    place = dotted_path(first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SpaceError):
        return cause.at(place)
    if first["type"] == "extra_forbidden":
        return unknown_name(place, "key", first["loc"][-1], model.model_fields)
    if first["type"] == "missing":
        return ArchitectureError(place, "must be given")
    rule = rule_text(first)
    return ArchitectureError(place, rule, first["input"])


_TYPE_RULES = dict.fromkeys(("tuple_type", "list_type"), "must be a list, such as [a, b]")
_TYPE_RULES |= dict.fromkeys(
    ("dict_type", "model_type", "model_attributes_type", "mapping_type"), "must be a mapping, such as {key: value}"
)
"""pydantic's type of an error -> the rule in words."""


def rule_text(details: ErrorDetails) -> str:
    """The rule of a pydantic error in words, with a suggestion where a name is close to one that is allowed."""
    if details["type"] == "too_short":
        least = details["ctx"]["min_length"]
        return f"must have at least {least} {'item' if least == 1 else 'items'}"
    if details["type"] in _TYPE_RULES:
        return _TYPE_RULES[details["type"]]
    message = details["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:] + _literal_hint(details)


def _literal_hint(details: ErrorDetails) -> str:
    """A suggestion of the closest names for a pydantic error about a `Literal`; empty for any other error."""
    if details["type"] != "literal_error" or not isinstance(details["input"], str):
        return ""
    return suggestion(details["input"], re.findall("'([^']+)'", details["ctx"]["expected"]))


def dotted_path(loc: tuple[str | int, ...]) -> str:
    """A pydantic location as a path: `("stages", 2, "mixer")` is `stages[2].mixer`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith(("function-", "tuple[", "lax-or-strict", "constrained-")):
            text += f".{part}" if text else part
    return text


def distinct_choices(given: object) -> tuple[Any, ...]:
    """The choices in `given`, one value or a list: each once, in order; lists among them as tuples."""
    values = given if isinstance(given, list | tuple) else (given,)
    plain = [tuple(value) if isinstance(value, list) else value for value in values]
    return tuple({(type(value), repr(value)): value for value in plain}.values())  # 1 and True are distinct
