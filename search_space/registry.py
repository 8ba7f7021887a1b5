"""Registries: things found by name. A registry refuses duplicates, and its error for an unknown name lists the known ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar

from search_space.errors import ArchitectureError, unknown_name
from search_space.value import Value, distinct_choices


class Spec(Value):
    """The description of a layer: a value whose class has a name; its fields are the options of the layer.

    Attributes:
        name: the name in descriptions.
        later_options: options that the layer did not have when it was released. The JSON of a description has them only where
            they differ from their default, so that it stays what it was.
    """

    name: ClassVar[str]
    later_options: ClassVar[frozenset[str]] = frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Name and all options, as plain JSON."""
        fields = type(self).model_fields
        defaults = {option for option in self.later_options if getattr(self, option) == fields[option].default}
        return {"name": self.name, **self.model_dump(mode="json", exclude=defaults)}

    def non_defaults(self) -> dict[str, Any]:
        """The name, and the options that differ from their defaults."""
        return {"name": self.name, **super().non_defaults()}

    @classmethod
    def choices(cls, option: str, given: object) -> tuple[Any, ...]:
        """The choices of `option` in a search space: `given` is one value or a list; without repetitions."""
        return distinct_choices(given)

    @classmethod
    def check_choice(cls, option: str, choice: object) -> None:
        """Raise `SpaceError` if `option` can never be `choice`."""
        cls(**{option: choice})

    @classmethod
    def variants(cls, options: Mapping[str, tuple[Any, ...]], width: int) -> list[Self]:
        """All combinations of the choices of `options` at `width`, whether they fit or not."""
        return [cls(**dict(zip(options, values, strict=True))) for values in itertools.product(*options.values())]


T = TypeVar("T")
S = TypeVar("S", bound=Spec)


class Registry(dict[str, T], Generic[T]):
    """Named things, by name.

    Args:
        kind: what they are, for error messages.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, item: T) -> T:
        """Add `item` under its `name` and return it, so that this is a class decorator too.

        Raises:
            ValueError: the name already exists.
        """
        name: str = item.name  # type: ignore[attr-defined]
        if name in self:
            raise ValueError(f"{self.kind} {name!r} already exists")
        self[name] = item
        return item

    def unregister(self, name: str) -> None:
        """Remove what is registered under `name`."""
        del self[name]

    def find(self, name: str) -> T:
        """What is registered under `name`; `UnknownSpaceNameError` lists the known names and suggests the closest."""
        if name not in self:
            raise unknown_name("", self.kind, name, self)
        return self[name]


class SpecRegistry(Registry[type[S]], Generic[S]):
    """Classes of descriptions, by name.

    Args:
        kind: what they are, for error messages.
        base: their common base class.
    """

    def __init__(self, kind: str, base: type[S]) -> None:
        super().__init__(kind)
        self.base = base

    def parse(self, description: object) -> S:
        """A description from `"pool"`, from `{"name": "conv", "k": 5}`, or from itself."""
        if isinstance(description, self.base):
            return description
        if isinstance(description, str):
            return self.find(description)()
        if isinstance(description, dict) and isinstance(description.get("name"), str):
            return self.find(description["name"])(**{k: v for k, v in description.items() if k != "name"})
        raise ArchitectureError(
            "", f"must be the name of a {self.kind}, or a mapping with `name` and options", description
        )
