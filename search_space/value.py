"""The base of every description here: a frozen, strictly typed value that is valid if it exists.

A thin layer over pydantic that turns its errors into this package's one error tree, so that a typo in
`stages[2].mixer` is reported the same way whether it came from YAML, JSON or Python.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from search_space.errors import ArchitectureError, SpaceError, nearest, unknown_name

T = TypeVar("T", bound="Value")


class Value(BaseModel):
    """A frozen value; construction raises `SpaceError` on bad input.

    Types are strict (no `"3"` for 3, no 1 for True); unknown keys are refused, and numbers that are not finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise space_error(error, type(self)) from None

    def essence(self) -> dict[str, Any]:
        """What differs from the defaults, as plain JSON: what a new option with a default leaves as it was."""
        fields = type(self).model_fields
        given = {name: getattr(self, name) for name in fields}
        return {name: _essence(value) for name, value in given.items() if value != fields[name].default}

    def replace(self: T, **changes: Any) -> T:
        """A copy with `changes` to its fields, validated again."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)


def _essence(value: object) -> object:
    if isinstance(value, Value):
        return value.essence()
    return [_essence(item) for item in value] if isinstance(value, tuple) else value


def space_error(error: ValidationError, model: type[BaseModel]) -> SpaceError:
    """The first complaint of a pydantic `error` about `model`, as an error of this package."""
    first = error.errors(include_url=False)[0]
    place = dotted_path(first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SpaceError):
        return cause.at(place)
    if first["type"] == "extra_forbidden":
        return unknown_name(place, "key", first["loc"][-1], model.model_fields)
    if first["type"] == "missing":
        return ArchitectureError(place, "must be given")
    rule = first["msg"][:1].lower() + first["msg"][1:] + literal_hint(first)
    return ArchitectureError(place, rule, first["input"])


def literal_hint(complaint: ErrorDetails) -> str:
    """Of a pydantic complaint about a name that is none of a few: asks after the nearest; of any other: nothing."""
    if complaint["type"] != "literal_error" or not isinstance(complaint["input"], str):
        return ""
    return nearest(complaint["input"], re.findall("'([^']+)'", complaint["ctx"]["expected"]))


def dotted_path(loc: tuple[str | int, ...]) -> str:
    """A pydantic location as a path: `("stages", 2, "mixer")` is `stages[2].mixer`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith(("function-", "tuple[", "lax-or-strict", "constrained-")):
            text += f".{part}" if text else part
    return text


def distinct(given: object) -> tuple[Any, ...]:
    """The choices that `given`, one value or a list, stands for: each once, in order; lists among them as tuples."""
    values = given if isinstance(given, list | tuple) else (given,)
    plain = [tuple(value) if isinstance(value, list) else value for value in values]
    return tuple({(type(value), repr(value)): value for value in plain}.values())  # 1 and True are two
