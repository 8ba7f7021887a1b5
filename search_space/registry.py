"""Things found by name: a registry refuses duplicates, and a name it does not know is answered with those it does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar

from search_space.errors import ArchitectureError, unknown_name
from search_space.value import Value, distinct


class Named(Value):
    """A value whose class has a name: its fields are the options of what the name stands for."""

    name: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Name and all options, as plain JSON."""
        return {"name": self.name, **self.model_dump(mode="json")}

    def essence(self) -> dict[str, Any]:
        """The name, and the options that differ from their defaults."""
        return {"name": self.name, **super().essence()}

    @classmethod
    def choices(cls, option: str, given: object) -> tuple[Any, ...]:
        """The choices that `given`, one value or a list, stands for in a search space; without repetitions."""
        return distinct(given)

    @classmethod
    def check_choice(cls, option: str, choice: object) -> None:
        """Raise `SpaceError` if `option` can never be `choice`."""
        cls(**{option: choice})

    @classmethod
    def variants(cls, options: Mapping[str, tuple[Any, ...]], width: int) -> list[Self]:
        """All combinations of the `options`' choices at `width`, whether or not they fit."""
        return [cls(**dict(zip(options, values, strict=True))) for values in itertools.product(*options.values())]


N = TypeVar("N", bound=Named)


class Registry(dict[str, type[N]], Generic[N]):
    """Classes of named values, by name.

    Args:
        kind: what they are, as errors say it.
        base: their common class.
    """

    def __init__(self, kind: str, base: type[N]) -> None:
        super().__init__()
        self.kind = kind
        self.base = base

    def register(self, named: type[N]) -> type[N]:
        """Class decorator: make the class known by its name."""
        if named.name in self:
            raise ValueError(f"{self.kind} {named.name!r} is registered already")
        self[named.name] = named
        return named

    def named(self, name: str) -> type[N]:
        """The class called `name`; `UnknownNameError` lists the known ones and asks after the nearest."""
        if name not in self:
            raise unknown_name("", self.kind, name, self)
        return self[name]

    def parse(self, description: object) -> N:
        """A value from `"pool"`, from `{"name": "conv", "k": 5}`, or from itself."""
        if isinstance(description, self.base):
            return description
        if isinstance(description, str):
            return self.named(description)()
        if isinstance(description, dict) and isinstance(description.get("name"), str):
            return self.named(description["name"])(**{k: v for k, v in description.items() if k != "name"})
        raise ArchitectureError(
            "", f"must be the name of a {self.kind}, or a mapping with `name` and options", description
        )
