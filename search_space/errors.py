"""The exceptions of the search space.

    SpaceError                an invalid description; a ValueError
    ├── UnknownSpaceNameError an unknown name; lists the known ones and suggests the closest
    ├── ArchitectureError     an architecture that breaks a rule
    └── EmptySpaceError       a search space without a valid architecture

Each has the *place* (`stages[2].mixer.heads`), the *rule* that is broken and the *value* found, as attributes and in its text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_SUGGESTION = "; did you mean "
MAX_NAMES_BEFORE_HINT = 15
MAX_SHOWN_CHARS = 200
"""Of the value that an error shows."""


class SpaceError(ValueError):
    """A description that breaks a rule.

    Args:
        place: the place in the description, a dotted path such as `stages[2].mixer.heads`; empty for the whole.
        rule: the rule, in words.
        value: the value that breaks the rule, or None.
    """

    def __init__(self, place: str, rule: str, value: object = None) -> None:
        self.place = place
        self.rule = rule
        self.value = value
        super().__init__(place, rule, value)

    def __str__(self) -> str:
        text = self.rule if self.value is None else with_value(self.rule, _shortened(self.value))
        return f"{self.place}: {text}" if self.place else text

    def at(self, prefix: str) -> SpaceError:
        """The same error seen from one level further out: `prefix` comes before the place."""
        joint = "" if not self.place or self.place.startswith("[") or not prefix else "."
        return type(self)(f"{prefix}{joint}{self.place}", self.rule, self.value)

    def in_file(self, path: object) -> SpaceError:
        """The same error with the file at `path` before the place."""
        return type(self)(f"{path}: {self.place}" if self.place else str(path), self.rule, self.value)


def _shortened(value: object) -> str:
    """The representation of `value`, at most `MAX_SHOWN_CHARS` of it."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 4]} ..."


class ArchitectureError(SpaceError):
    """An architecture that breaks a rule."""


class EmptySpaceError(SpaceError):
    """A search space without a valid architecture."""


class UnknownSpaceNameError(SpaceError):
    """An unknown name."""


def unknown_name(place: str, kind: str, name: object, known: Iterable[str]) -> UnknownSpaceNameError:
    """The error for an unknown `name`: lists the `known` names and suggests the closest."""
    names = sorted(known)
    return UnknownSpaceNameError(place, f"no such {kind}{known_names(name, names)}", name)


def known_names(name: object, known: Sequence[str]) -> str:
    """The `known` names and those that are close to `name`, which come first where the list is long."""
    listed, hint = f" (known: {', '.join(known)})", suggestion(name, known)
    return hint + listed if len(known) > MAX_NAMES_BEFORE_HINT else listed + hint


def suggestion(name: object, known: Iterable[str]) -> str:
    """The `known` names that are close to `name`: `; did you mean X or Y?`; empty if there is none."""
    spellings = {text.casefold(): text for text in known}
    matches = difflib.get_close_matches(str(name).casefold(), spellings, n=3, cutoff=0.5)
    return f"{_SUGGESTION}{' or '.join(spellings[match] for match in matches)}?" if matches else ""


def with_value(rule: str, value_text: str) -> str:
    """`rule` with the value found; a suggestion of close names comes after it: `no such X, found 'y'; did you mean z?`."""
    rule, start, names = rule.partition(_SUGGESTION)
    return f"{rule}, found {value_text}{start}{names}"
