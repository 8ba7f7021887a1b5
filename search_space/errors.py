"""The exceptions of the search space.

    SpaceError                what the user described cannot be; a ValueError
    ├── UnknownNameError      a name that no registry, field or choice has; lists the known ones, the nearest first
    ├── ArchitectureError     an architecture that breaks a rule
    └── EmptySpaceError       a search space that holds no valid architecture

Each says *where* (`stages[2].mixer.heads`), which *rule* was broken and the *value* found, as attributes and in its text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpaceError(ValueError):
    """A description that breaks a rule.

    Args:
        place: where in the description, a dotted path such as `stages[2].mixer.heads`; empty for the whole.
        rule: the rule, in words.
        value: the value found, if one value is to blame.
    """

    def __init__(self, place: str, rule: str, value: object = None) -> None:
        self.place = place
        self.rule = rule
        self.value = value
        super().__init__(place, rule, value)

    def __str__(self) -> str:
        found = "" if self.value is None else f", found {self.value!r}"
        return f"{self.place}: {self.rule}{found}" if self.place else f"{self.rule}{found}"

    def at(self, prefix: str) -> SpaceError:
        """The same error one level further out: `prefix` is put before the place."""
        joint = "" if not self.place or self.place.startswith("[") or not prefix else "."
        return type(self)(f"{prefix}{joint}{self.place}", self.rule, self.value)

    def in_file(self, path: object) -> SpaceError:
        """The same error with the file at `path` before the place."""
        return type(self)(f"{path}: {self.place}" if self.place else str(path), self.rule, self.value)


class ArchitectureError(SpaceError):
    """An architecture that breaks a rule."""


class EmptySpaceError(SpaceError):
    """A search space that holds no valid architecture."""


class UnknownNameError(SpaceError):
    """A name that is not known where it stands."""


def unknown_name(place: str, kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for an unknown `name`: lists the `known` ones and asks after the nearest."""
    names = sorted(known)
    return UnknownNameError(place, f"no such {kind} (known: {', '.join(names)}){nearest(name, names)}", name)


def nearest(name: object, known: Iterable[str]) -> str:
    """The question after those of the `known` names that are near to `name`: `; did you mean X or Y?`; empty if none is."""
    near = difflib.get_close_matches(str(name), list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""
