"""The exceptions of a study, and the exit code that each one ends the command with.

StudyError               something about a study cannot go on: exit code 1
├── UsageError           wrong use: a folder that holds no study, an unknown trial: exit code 2
│   ├── ConfigError      a configuration that breaks a rule; names file:line:col or the flag: exit code 2
│   └── UnknownNameError a name that no registry has; lists the known ones and the closest match: exit code 2
└── NothingFeasibleError the search ended and nothing satisfies its limits: exit code 3
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StudyError(Exception):
    """Something about a study cannot go on; the text says what and what to do."""

    exit_code = 1


class UsageError(StudyError):
    """The command was used wrongly."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration breaks a rule.

    Args:
        where: `FILE:LINE:COL`, or the command-line word to blame.
        message: the key, the rule and the value.
    """

    def __init__(self, where: str, message: str) -> None:
        self.where = where
        self.message = message
        super().__init__(where, message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UnknownNameError(UsageError, ValueError):
    """A name that is not registered, such as that of a sampler; also a `ValueError`, so that pydantic reports it.

    Args:
        place: the key or option to blame, such as `sampler.name`.
        kind: what the name should be, such as "sampler".
        name: the name found.
        known: the registered names.
    """

    def __init__(self, place: str, kind: str, name: object, known: Iterable[str]) -> None:
        self.place = place
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(place, kind, name, self.known)

    def __str__(self) -> str:
        matches = difflib.get_close_matches(str(self.name), self.known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(matches)}?" if matches else ""
        place = f"{self.place}: " if self.place else ""
        return f"{place}no such {self.kind} (known: {', '.join(self.known)}){hint}, found {self.name!r}"


class NothingFeasibleError(StudyError):
    """The search ended and no trial satisfies its limits."""

    exit_code = 3


def reason(error: BaseException) -> str:
    """What failed, in one line."""
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
