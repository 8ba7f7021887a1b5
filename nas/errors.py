"""The exceptions of a study, and the exit code that each one ends the command with.

StudyError               a failure at run time: exit code 1
├── UsageError           wrong use, such as a folder without a study or an unknown trial: exit code 2
│   ├── StorageAwayError the server of a study cannot be reached; a search that runs tries again: exit code 2
│   ├── ConfigError      a configuration breaks a rule; names file:line:col or the flag: exit code 2
│   └── UnknownNameError a name is not registered; lists the registered names and the closest match: exit code 2
├── MachineError         the machine failed (disk, memory, device); the same command continues the work: exit code 1
│   └── StorageError     the storage of a study cannot be read or written, maybe only for a while: exit code 1
└── NothingFeasibleError the search ended and no trial satisfies its limits: exit code 3
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable


class StudyError(Exception):
    """A failure at run time; the message says what failed and what to do."""

    exit_code = 1


class UsageError(StudyError):
    """The command was used wrongly."""

    exit_code = 2


class StorageAwayError(UsageError):
    """The server of a study cannot be reached: its address is wrong, or it is away. What failed may be repeated."""


class ConfigError(UsageError):
    """A configuration breaks a rule.

    Args:
        where: the place: `FILE:LINE:COL`, or the command-line argument.
        message: the key, the rule and the value found.
    """

    def __init__(self, where: str, message: str) -> None:
        self.where = where
        self.message = message
        super().__init__(where, message)

    def __str__(self) -> str:
        key, is_override, _ = self.where.partition("=")
        place = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", key)
        message = self.message.removeprefix(f"{place}: ") if is_override else self.message  # not the key twice
        return f"{self.where}: {message}" if self.where else message


class UnknownNameError(UsageError, ValueError):
    """A name that is not registered, such as that of a sampler; also a `ValueError`, so that pydantic reports it.

    Args:
        place: the key or option, such as `sampler.name`.
        kind: the kind of thing that the name should name, such as "sampler".
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
        from search_space.errors import (
            known_names,  # here, since `nas --help` imports this module and not the search space
            with_value,
        )

        place = f"{self.place}: " if self.place else ""
        return with_value(f"{place}no such {self.kind}{known_names(self.name, self.known)}", repr(self.name))


class MachineError(StudyError):
    """The machine failed: its disk, its memory or a device. Trials that were running stay open, and are continued later."""


class StorageError(MachineError):
    """The storage of a study is full or locked, or its server is away. What failed may be repeated."""


class NothingFeasibleError(StudyError):
    """The search ended and no trial satisfies its limits."""

    exit_code = 3


MAX_MESSAGE_LENGTH = 10_000
"""A longer message of an exception, such as one that holds a whole tensor, is cut."""


def message(error: BaseException) -> str:
    """The message of `error`, at most `MAX_MESSAGE_LENGTH` characters; a text that says so where it has none that can be read."""
    try:
        return str(error)[:MAX_MESSAGE_LENGTH]
    except Exception as failure:  # of the `__str__` of a foreign class
        return f"its message cannot be read ({type(failure).__name__})"


MAX_TRACEBACK_LENGTH = 100_000


def format_traceback(error: BaseException) -> str:
    """The traceback of `error` and of what it was raised from; messages and tracebacks that are too long are cut."""
    links: list[BaseException] = [error]
    while (cause := links[-1].__cause__ or links[-1].__context__) is not None and cause not in links:
        links.append(cause)
    if all(len(message(link)) < MAX_MESSAGE_LENGTH for link in links):
        text = "".join(traceback.format_exception(error))
    else:  # a message that is as long as the memory would be copied
        stack = "".join(traceback.format_tb(error.__traceback__))
        text = f"Traceback (most recent call last):\n{stack}{type(error).__name__}: {message(error)}...\n"
    half = MAX_TRACEBACK_LENGTH // 2
    return text if len(text) <= 2 * half else f"{text[:half]}\n...\n{text[-half:]}"


def reason(error: BaseException) -> str:
    """The type and the message of `error`, in one line of at most 400 characters."""
    text = next((line for line in message(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}"[:400] if text else type(error).__name__
